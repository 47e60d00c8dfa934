/* The part of a container's set-up that is the same with a user namespace and without: its root. */
#ifndef BERTH_SHIM_SETUP_ROOT_H
#define BERTH_SHIM_SETUP_ROOT_H

#include "container.h"

/*
 * Builds the root, resolves the user in it and makes it the process's own. The container's namespaces are entered
 * already. Whatever comes of it, `container` is to be released.
 */
int setup_root(struct container *container, struct setup_result *result, struct error *err);
void setup_release(struct container *container);

/* Whether the program will be found and can be executed, by the user that the process is by now. */
int setup_check_command(const struct bundle *bundle, const struct resolved_user *user, bool any_format,
			struct error *err);

#endif

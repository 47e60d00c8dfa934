/* The set-up of a container in a user namespace: the builder's part and the init's (launch.h). */
#ifndef BERTH_SHIM_SETUP_USER_H
#define BERTH_SHIM_SETUP_USER_H

#include "bundle.h"

/* Places in setup_build's array of descriptors. */
enum { BUILDER_HANDOVER, BUILDER_USER_NAMESPACE, BUILDER_INIT, BUILDER_CONSOLE, BUILDER_HOOKS, BUILDER_FDS };

/*
 * Runs in the builder, a process in a mount namespace of its own and otherwise in the shim's, but for the PID
 * namespace. Hands a mount namespace with the container's root to the init, or tells it what went wrong, and waits
 * until the init has it. Returns the exit code.
 */
int setup_build(const struct bundle *bundle, const struct idmaps *maps, const int fds[BUILDER_FDS]);

/* Runs in the init; else as setup_container. */
int setup_in_user_namespace(const struct bundle *bundle, bool terminal, int handover, struct setup_result *result,
			    struct error *err);

#endif

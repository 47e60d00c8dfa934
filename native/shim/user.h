#ifndef BERTH_SHIM_USER_H
#define BERTH_SHIM_USER_H

#include "bundle.h"

/* Who the container's process will be, resolved against the accounts inside `root`. */
int user_resolve(const struct bundle *bundle, int root, struct resolved_user *user, struct error *err);

#endif

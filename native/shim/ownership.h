/* Who owns what the set-up makes inside a container that has a user namespace. */
#ifndef BERTH_SHIM_OWNERSHIP_H
#define BERTH_SHIM_OWNERSHIP_H

#include "container.h"

/* Files, directories and file systems made from here on belong to the user namespace's root, not to the host's. */
int ownership_take(const struct idmaps *maps, struct error *err);

/* The ids on the host of a user and group of the container; false where one of them has none. */
bool ownership_outside(const struct container *container, uid_t *uid, gid_t *gid);

/*
 * Rewrites the "uid=N" and "gid=N" among a file system's options, which this process gives as the host numbers
 * them. Returns a list in the memory of `arena`, which may be `options` itself.
 */
int ownership_options(const struct container *container, char **options, char ***out, struct arena *arena);

#endif

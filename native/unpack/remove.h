/* Removing trees, without following anything out of them. */
#ifndef BERTH_UNPACK_REMOVE_H
#define BERTH_UNPACK_REMOVE_H

#include <stdint.h>

#include "../common/error.h"

/*
 * Removes `name` in `parent_fd` with all below it; succeeds when it is not there. Symlinks are removed,
 * not followed, and nothing beyond a mount point is touched (EBUSY). Adds what it removed to `removed`.
 */
int remove_entry(int parent_fd, const char *name, uint64_t *removed, struct error *err);

/* The same by path: the tree at `path` itself goes too. */
int remove_tree(const char *path, struct error *err);

#endif

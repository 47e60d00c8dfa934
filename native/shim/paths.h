/*
 * Paths inside a container's root. The image, its volumes and processes that share them decide what these
 * paths lead through, so nothing here is resolved but by openat2 with RESOLVE_IN_ROOT, and what was
 * opened is used by descriptor: a name is never looked up a second time.
 *
 * All return a descriptor (O_CLOEXEC) or a negative errno.
 */
#ifndef BERTH_SHIM_PATHS_H
#define BERTH_SHIM_PATHS_H

#include <stdint.h>

/* `resolve`: RESOLVE_* in addition to RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS. */
int path_open(int root, const char *path, uint64_t flags, uint64_t resolve);

enum path_kind { PATH_DIRECTORY, PATH_FILE };

/*
 * Opens `path` with O_PATH, making what is missing (directories 0755, a file 0644, empty). A symbolic
 * link that leads to nothing is followed: what it points to is made, inside the root.
 */
int path_ensure(int root, const char *path, enum path_kind kind);

/* Opens the directory that holds `path`, made if missing; *name points to the last part, within `path`. */
int path_ensure_parent(int root, const char *path, const char **name);

#endif

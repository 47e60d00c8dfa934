/*
 * Directories get their owner, mode, attributes and times when everything is in place: entries made
 * later would change the times, and a set-group-id bit or a default ACL would be inherited by them.
 * Until then they are kept as records, beyond a megabyte in a nameless file of the tree's own file system:
 * a layer may have millions of directories, and its memory is not its own to choose.
 */
#ifndef BERTH_UNPACK_DIRECTORIES_H
#define BERTH_UNPACK_DIRECTORIES_H

#include "../common/error.h"
#include "metadata.h"
#include "tree.h"

struct directories;

int directories_new(struct directories **out, struct error *err);
void directories_free(struct directories *directories);

int directories_add(struct directories *directories, const struct tree *tree, const char *path,
		    const struct metadata *metadata, struct error *err);

/* In the archive's order, so that of two entries for one directory the later wins. */
int directories_apply(struct directories *directories, const struct tree *tree, struct error *err);

#endif

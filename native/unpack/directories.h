/*
 * Directories get their owner, mode, attributes and times when everything is in place: entries made
 * later would change the times, and a set-group-id bit or a default ACL would be inherited by them.
 */
#ifndef BERTH_UNPACK_DIRECTORIES_H
#define BERTH_UNPACK_DIRECTORIES_H

#include "../common/error.h"
#include "metadata.h"
#include "tree.h"

struct directories;

int directories_new(struct directories **out, struct error *err);
void directories_free(struct directories *directories);

/* Takes over the metadata's attributes. */
int directories_add(struct directories *directories, const char *path, struct metadata *metadata, struct error *err);

/* In the archive's order, so that of two entries for one directory the later wins. */
int directories_apply(const struct directories *directories, const struct tree *tree, struct error *err);

#endif

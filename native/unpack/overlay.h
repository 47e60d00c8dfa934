/* Deletions as overlayfs wants them in a lower directory (Documentation/filesystems/overlayfs.rst). */
#ifndef BERTH_UNPACK_OVERLAY_H
#define BERTH_UNPACK_OVERLAY_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/error.h"
#include "tree.h"

/* A name that hides the lower layers' entry: a character device 0/0. */
bool overlay_is_whiteout(int parent_fd, const char *name);

/* A directory that hides the lower layers' content: trusted.overlay.opaque=y. */
int overlay_make_opaque(int parent_fd, const char *name, const char *entry, struct error *err);

/* A whiteout and then a directory of that name in one layer: a directory with nothing from below. */
int overlay_replace_whiteout(int parent_fd, const char *name, mode_t mode, const char *entry, struct error *err);

/*
 * Handles an entry whose last component starts with `.wh.` (image-spec, layer.md). A whiteout concerns
 * the layers below alone, wherever it stands among the layer's own entries.
 */
int overlay_apply_marker(struct tree *tree, struct place *place, struct error *err);

/* Whether the name is a marker rather than content. */
bool overlay_is_marker(const char *name);

#endif

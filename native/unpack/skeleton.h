/*
 * A tar without the contents of its files, which are in the tree: with both, the very same tar can be made
 * again, byte for byte, so that the layer keeps its digest when it leaves the node.
 *
 *   file    := zstd(magic record*)
 *   magic   := "BERTHSK1"
 *   record  := 'R' length:u32 bytes        bytes of the tar as they are
 *            | 'G' length:u64              the content of a file: the nth 'G' that of the nth 'P'
 *            | 'P' length:u32 path         its path in the tree, relative; may come later than its 'G'
 *            | 'E'                         the end
 *   numbers are big endian
 */
#ifndef BERTH_UNPACK_SKELETON_H
#define BERTH_UNPACK_SKELETON_H

#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

#define SKELETON_MAGIC "BERTHSK1"
#define SKELETON_MAGIC_SIZE 8

struct skeleton;

/* Writes to `fd`, which stays the caller's. */
int skeleton_new(int fd, struct skeleton **out, struct error *err);
void skeleton_free(struct skeleton *skeleton);

/* All functions below take NULL for "none is wanted". */

/* The next bytes of the tar, in order. */
int skeleton_tar(struct skeleton *skeleton, const void *data, size_t length, struct error *err);

/*
 * The next file with content, in the tar's order, went to this path. Where that does not fit what the tar
 * has shown, the tar is of a kind that is not understood, and there will be no skeleton of it.
 */
int skeleton_file(struct skeleton *skeleton, const char *path, uint64_t size, struct error *err);

/* Ends the file. `bytes` is its size, or 0 when there is none: it is empty then. */
int skeleton_finish(struct skeleton *skeleton, uint64_t *bytes, struct error *err);

#endif

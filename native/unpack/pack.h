/* The way back: a layer's directory and its skeleton become the tar that they came from. */
#ifndef BERTH_UNPACK_PACK_H
#define BERTH_UNPACK_PACK_H

#include "../common/error.h"

/*
 * Writes the tar to `output_fd`. The caller compares its digest: a tree that was changed, or a tar that
 * had two files of one name, gives another. Nothing outside of `tree_fd` is opened.
 */
int pack(int tree_fd, int skeleton_fd, int output_fd, struct error *err);

#endif

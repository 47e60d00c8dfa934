/*
 * The metadata of directories that layers only imply (see implied.h), as a layer of its own: a tree of bare
 * directories to be laid over all layers of one image.
 */
#ifndef BERTH_UNPACK_PARENTS_H
#define BERTH_UNPACK_PARENTS_H

#include <stddef.h>

#include "../common/error.h"

/*
 * `layers`: directories of unpacked layers, topmost first. Makes below the empty directory `dest` each
 * directory that the topmost layer which has it only implies and a lower one lists, with what the lower one
 * says of it, and the directories on the way there; `dest` itself becomes what the topmost layer's root is.
 */
int parents_make(const char *dest, char *const *layers, size_t count, struct error *err);

#endif

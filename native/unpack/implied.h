/*
 * Directories that a layer does not list, and that only entries below them imply. Where a lower layer of an
 * image has such a directory, its owner, mode and attributes are the ones that count, but overlay shows those
 * of the topmost layer. A layer does not know what will lie below it, so the directory is marked, and what an
 * image needs is laid over its layers (see parents.h).
 */
#ifndef BERTH_UNPACK_IMPLIED_H
#define BERTH_UNPACK_IMPLIED_H

#include <stdbool.h>

void implied_mark(int parent_fd, const char *name);
void implied_clear(int fd);
bool implied_is(int fd);

#endif

/* Reading what has a length that both sides know. */
#ifndef BERTH_COMMON_READ_H
#define BERTH_COMMON_READ_H

#include <stddef.h>

/* Reads `size` bytes. Returns 0, -ENODATA where the input ends before, or another negative errno. */
int read_exactly(int fd, void *out, size_t size);

#endif

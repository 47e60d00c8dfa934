/* A message with a descriptor beside it, over a pair of SOCK_SEQPACKET sockets. */
#ifndef BERTH_COMMON_PASS_H
#define BERTH_COMMON_PASS_H

#include <stddef.h>

/* `fd` may be -1. Returns 0 or -errno. */
int pass_send(int socket, const void *bytes, size_t size, int fd);
/*
 * Waits for a message of exactly `size` bytes; *fd is -1 where none came with it, else close-on-exec. Returns 0,
 * or -errno: -EPIPE when the other side has gone without a word.
 */
int pass_receive(int socket, void *bytes, size_t size, int *fd);

#endif

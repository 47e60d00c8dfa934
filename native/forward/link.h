/* One forwarded connection: a client's Unix socket and a TCP socket in the pod's network namespace. */
#ifndef BERTH_FORWARD_LINK_H
#define BERTH_FORWARD_LINK_H

#include "../common/loop.h"

/* Takes a non-blocking socket over, waits for the port, connects and carries. Frees itself. */
void link_start(struct loop *loop, int client);

#endif

/* The forwarder of one port-forward session; docs/shim-protocol.md, Port-forward. */
#ifndef BERTH_FORWARD_FORWARD_H
#define BERTH_FORWARD_FORWARD_H

#include <jansson.h>
#include <sys/types.h>

#include "../common/error.h"

/* Serves a FORWARD request: binds the socket and starts the process that listens on it. */
int forward_start(const json_t *request, pid_t *pid, struct error *err);

#endif

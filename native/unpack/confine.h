/* What the process gives up before it reads the first byte of a layer. */
#ifndef BERTH_UNPACK_CONFINE_H
#define BERTH_UNPACK_CONFINE_H

#include "../common/error.h"

/*
 * Leaves the process in its own mount, network and IPC namespaces with an empty, read-only root, the
 * capabilities and system calls that unpacking needs and no more, no new privileges and no core dumps. `dest` (an empty
 * directory) is reachable through the returned descriptor alone: a mount of its own, attached nowhere,
 * without devices, set-user-id or execution. So no path, nor any library that is loaded by one, can come
 * from the layer.
 */
int confine(const char *dest, struct error *err);

#endif

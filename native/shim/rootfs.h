#ifndef BERTH_SHIM_ROOTFS_H
#define BERTH_SHIM_ROOTFS_H

#include "container.h"

/*
 * Detaches the mount namespace from the host's propagation and attaches the container's root over the
 * bundle's directory; sets root_fd.
 */
int rootfs_attach(struct container *container, struct error *err);

/* Makes root_fd the process's root and takes the old one away. */
int rootfs_pivot(const struct container *container, struct error *err);

/* The last steps, once nothing has to be made in the root any more. */
int rootfs_seal(const struct container *container, struct error *err);

#endif

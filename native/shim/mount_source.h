/* What a mount shows: a detached copy of a host's tree, or a new filesystem. */
#ifndef BERTH_SHIM_MOUNT_SOURCE_H
#define BERTH_SHIM_MOUNT_SOURCE_H

#include "container.h"

/* A new filesystem, or the container's cgroup: what depends on the container's own namespaces. */
int mount_source_new(const struct container *container, const struct mount_spec *mount, struct error *err);

#endif

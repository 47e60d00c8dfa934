#ifndef BERTH_SHIM_MOUNTS_H
#define BERTH_SHIM_MOUNTS_H

#include "container.h"

/*
 * Takes detached copies of everything of the host that will be mounted inside, while the host's mounts are
 * still as the host has them. Fills sources and console_mount.
 */
int mounts_open_sources(struct container *container, struct error *err);

/* Mounts everything into the root, in the bundle's order. */
int mounts_attach(struct container *container, struct error *err);

#endif

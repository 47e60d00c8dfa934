#ifndef BERTH_SHIM_DEVICES_H
#define BERTH_SHIM_DEVICES_H

#include "container.h"

/* Fills /dev: the standard devices and links, the terminal as /dev/console, and linux.devices. */
int devices_make(const struct container *container, struct error *err);

/* Opens (O_PATH) the container's /dev/null and proves that it is the null device; -ENOENT: there is none. */
int devices_open_null(const struct container *container);

#endif

#ifndef BERTH_SHIM_MASKS_H
#define BERTH_SHIM_MASKS_H

#include "container.h"

/* maskedPaths and readonlyPaths; what does not exist needs neither. */
int masks_apply(const struct container *container, struct error *err);

#endif

/* The spelling of names in archives. */
#ifndef BERTH_UNPACK_NAME_H
#define BERTH_UNPACK_NAME_H

#include <stddef.h>

#include "../common/error.h"

/*
 * Makes an archived name relative and clean: leading, trailing and double slashes and `.` components go
 * (an absolute name is taken from the layer's root, as tar does); `..` is refused.
 */
int name_clean(const char *name, char *clean, size_t size, struct error *err);

/* The part of a clean path before the last slash ("" without one) into `parent`; returns the rest. */
const char *name_split(const char *path, char *parent, size_t size);

#endif

#ifndef BERTH_SHIM_SYSCTL_H
#define BERTH_SHIM_SYSCTL_H

#include "container.h"

/* What forbids setting it for this container: a sentence, or NULL. */
const char *sysctl_problem(const struct bundle *bundle, const char *name, const char *value);

int sysctls_write(const struct container *container, struct error *err);

#endif

/* Whether a mount takes part in mount propagation, as mount_namespaces(7) tells it. */
#ifndef BERTH_SHIM_PROPAGATION_H
#define BERTH_SHIM_PROPAGATION_H

#include "bundle.h"

/*
 * A bind mount that shall share or follow the mounts of its source can only do so where the source's own mount is
 * shared, or follows one that is: otherwise it would be made and nothing would ever come through. `directory` is
 * what a relative source is relative to.
 */
int propagation_check(int directory, const struct mount_spec *mount, struct error *err);

#endif

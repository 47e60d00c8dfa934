#ifndef BERTH_SHIM_NAMESPACES_H
#define BERTH_SHIM_NAMESPACES_H

#include "bundle.h"

/* In the container's init: joins the given namespaces, unshares the cgroup namespace, names the host. */
int namespaces_enter(const struct bundle *bundle, struct error *err);

/* The CLONE_NEW* flags of the namespaces in which the container differs from the host, without its PID's. */
int namespaces_of_container(const struct bundle *bundle);

#endif

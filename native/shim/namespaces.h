#ifndef BERTH_SHIM_NAMESPACES_H
#define BERTH_SHIM_NAMESPACES_H

#include "bundle.h"

/* In the container's init: joins the given namespaces, unshares the cgroup namespace, names the host. */
int namespaces_enter(const struct bundle *bundle, struct error *err);

/* In a process that is to have a user namespace, before it enters that: joins what is given by path. */
int namespaces_join(const struct bundle *bundle, struct error *err);

/* In the process that builds the root of such a container: enters what its init has, names the host. */
int namespaces_follow(const struct bundle *bundle, int init_pidfd, struct error *err);

/* The CLONE_NEW* flags of the namespaces in which the container differs from the host, without its PID's and user's. */
int namespaces_of_container(const struct bundle *bundle);

#endif

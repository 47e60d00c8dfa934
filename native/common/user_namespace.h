/* User namespaces, and the processes that hold them while they are made. */
#ifndef BERTH_COMMON_USER_NAMESPACE_H
#define BERTH_COMMON_USER_NAMESPACE_H

#include <sys/types.h>

#include "error.h"
#include "idmap.h"

/* A process that sits in new namespaces and waits for its end. */
struct namespace_holder {
	pid_t pid;  /* as the procfs at /proc numbers it */
	int pidfd;
	int leash;  /* the process ends when this is closed, so it never outlives its maker */
};

/*
 * Makes a user namespace with these maps and, owned by it, the namespaces of `flags` (CLONE_NEW…). Needs
 * CAP_SETUID and CAP_SETGID in the user namespace of the caller, and the host's procfs at /proc.
 */
int namespace_hold(const struct idmaps *maps, unsigned long long flags, struct namespace_holder *holder,
		   struct error *err);
/* Ends the process; what is not pinned or open elsewhere goes with it. */
void namespace_release(struct namespace_holder *holder);

/* A new user namespace by descriptor. */
int user_namespace_make(const struct idmaps *maps, struct error *err);
/* One that is pinned at `path`, proven to be a user namespace. */
int user_namespace_open(const char *path, struct error *err);

/*
 * Joins the user namespace of `fd` (a namespace or a pidfd) as its root: from here on all ids are those inside,
 * and the capabilities are worth nothing outside. Cannot be taken back.
 */
int user_namespace_enter(int fd, struct error *err);
/* Takes user and group 0 of the user namespace that the process is in already. */
int user_namespace_become_root(struct error *err);

/* The pid of a pidfd's process as the procfs at /proc numbers it, or -errno; -ESRCH when it is reaped. */
pid_t pidfd_number(int pidfd);

#endif

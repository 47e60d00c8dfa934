/*
 * Processes born in a user namespace, and with them the namespaces that it is to own. One that is to own a PID
 * namespace must be the one of whoever clones; and the clone needs what only a process outside is permitted: a
 * place in the cgroup, files that are root's alone. So a process in the middle does the one, then the other.
 */
#ifndef BERTH_COMMON_USER_SPAWN_H
#define BERTH_COMMON_USER_SPAWN_H

#include "error.h"
#include "spawn.h"

struct user_spawn {
	int user_namespace;
	int cgroup;                       /* directory to be born in; -1: the caller's */
	unsigned long long flags;         /* CLONE_NEW… that the user namespace shall own */
	unsigned long long middle_flags;  /* CLONE_PARENT: a sibling of the caller, not its child */
	/* In the middle process, still with the caller's privileges; may be NULL. */
	int (*prepare)(void *context, struct error *err);
	/* In the new one, its ids not yet taken (user_namespace_become_root); must not return. */
	void (*run)(void *context);
	void *context;
};

/*
 * Returns the new process's pid, as the procfs at /proc numbers it, or a negative errno. It is a child of the
 * caller, or of the caller's parent with CLONE_PARENT in `middle_flags`.
 */
pid_t user_spawn(const struct user_spawn *how, int *pidfd, struct error *err);

#endif

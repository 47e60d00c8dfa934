/* Processes made with clone3: namespaces, a pidfd and the cgroup in one step. */
#ifndef BERTH_COMMON_SPAWN_H
#define BERTH_COMMON_SPAWN_H

#include <sys/types.h>

struct spawn {
	unsigned long long flags;  /* CLONE_NEW…, CLONE_PARENT */
	int cgroup;                /* directory to be born in; -1: the parent's */
};

/*
 * fork() with more. Returns the pid in the parent, 0 in the child, -errno on failure. `pidfd` (close-on-exec)
 * is set in the parent alone; it may be NULL.
 */
pid_t spawn(const struct spawn *how, int *pidfd);

/* Default dispositions and an empty mask: the supervisor's ignored signals must not reach the program. */
void spawn_reset_signals(void);

/*
 * Moves `count` descriptors to 3, 4, … in order, all close-on-exec, closes every other above 2 and updates
 * the array. A descriptor of -1 keeps its place empty.
 */
int spawn_keep_descriptors(int *fds, int count);

#endif

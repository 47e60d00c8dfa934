/* The container's cgroup and the leaves below it that execs run in. Paths are cgroup v2's. */
#ifndef BERTH_SHIM_LEAF_H
#define BERTH_SHIM_LEAF_H

#include <stdbool.h>

#include "../common/error.h"

#define LEAF_NAME_SIZE 32

int cgroup_open(const char *path, struct error *err);
/* SIGKILL to all in it and below it (cgroup.kill, Linux 5.14). */
int cgroup_kill(int cgroup);
/* A signal to each process in it and below it. Returns how many there were. */
int cgroup_signal(int cgroup, int signal);
/* memory.events says that the kernel killed something for want of memory; false where the file is missing. */
bool cgroup_oom_killed(int cgroup);

/* Makes the leaf `exec-NUMBER` and returns its open directory. */
int leaf_create(int cgroup, unsigned number, char name[LEAF_NAME_SIZE], struct error *err);
/* -EBUSY: somebody lives there. */
int leaf_remove(int cgroup, const char *name);
/*
 * Removes every leaf that has no process left, also those that an earlier exec's background children kept.
 * Returns how many are left.
 */
int leaf_sweep(int cgroup);

#endif

/* The init process of a shared PID namespace: reaps orphans, and ends the namespace when it ends. */
#ifndef BERTH_LAUNCHER_REAPER_H
#define BERTH_LAUNCHER_REAPER_H

#include <sys/types.h>

#include "../common/error.h"

/*
 * Starts it in a new PID namespace as a child of the launcher; returns once it is confined. `user` is the pin of
 * the user namespace that the PID namespace shall belong to, "" for the host's.
 */
int reaper_start(const char *id, const char *cgroup, const char *user, pid_t *pid, struct error *err);

#endif

/* The init process of a shared PID namespace: reaps orphans, and ends the namespace when it ends. */
#ifndef BERTH_LAUNCHER_REAPER_H
#define BERTH_LAUNCHER_REAPER_H

#include <sys/types.h>

#include "../common/error.h"

/* Starts it in a new PID namespace as a child of the launcher; returns once it is confined. */
int reaper_start(const char *id, const char *cgroup, pid_t *pid, struct error *err);

#endif

/* A process that does nothing: systemd makes no scope without one, and takes away a scope that has none left. */
#ifndef BERTH_LAUNCHER_HOLD_H
#define BERTH_LAUNCHER_HOLD_H

#include <sys/types.h>

#include "../common/error.h"

/* Starts it; SIGTERM and SIGKILL end it. `id` is what it is for, shown as its title. */
int hold_start(const char *id, pid_t *pid, struct error *err);
/* Its life. It ends by itself when it is still in the cgroup it began in after this many seconds. */
__attribute__((noreturn)) void hold_live(unsigned patience);

#endif

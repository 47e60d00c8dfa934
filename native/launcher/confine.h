/* What takes everything away from a process of ours that lives among a pod's. */
#ifndef BERTH_LAUNCHER_CONFINE_H
#define BERTH_LAUNCHER_CONFINE_H

#include "../common/error.h"

/*
 * An empty read-only root, so that its /proc/PID/root leads nowhere. The calling process must be in a mount
 * namespace of its own. `step` is that of the error.
 */
int confine_root(const char *step, struct error *err);
/* No capability, now or by any exec, and not dumpable. */
int confine_privileges(const char *step, struct error *err);

#endif

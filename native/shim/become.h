/* What a container's init and an exec do alike once they are in the container's namespaces. */
#ifndef BERTH_SHIM_BECOME_H
#define BERTH_SHIM_BECOME_H

#include "bundle.h"

/* A session of its own; with `terminal`, standard input becomes its controlling terminal. */
int become_session_leader(bool terminal, struct error *err);

/* Working directory, limits, user, capabilities: the process is the container's from here on. */
/*
 * `user_namespace` (a namespace or a pidfd) is entered on the way, as soon as nothing is left to do that needs the
 * host's privileges; -1 where there is none, or the process is in it already.
 */
int become_container_process(const struct process_spec *process, const struct resolved_user *user,
			     int user_namespace, struct error *err);

/* Signals as a program expects them; no descriptor but the standard ones survives the exec. */
void become_ready_to_execute(void);

#endif

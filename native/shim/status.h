/* The container's state as told to clients and kept in status.json. */
#ifndef BERTH_SHIM_STATUS_H
#define BERTH_SHIM_STATUS_H

#include <jansson.h>
#include <stdint.h>

#include "setup.h"

enum container_state { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_EXITED, STATE_FAILED };

struct status {
	enum container_state state;
	pid_t shim_pid, pid;
	uint64_t created_at, started_at, finished_at; /* CLOCK_REALTIME, ns; 0: not yet */
	int exit_code, signal;
	bool oom_killed;
	uint64_t log_dropped;      /* log entries that the file could not take */
	uint64_t log_limited;      /* and those beyond the rate limit */
	bool has_error;
	struct error error;
	bool has_user;
};

uint64_t status_now(void);
/* A time as the protocol writes it: a decimal string. NULL when memory is out. */
json_t *status_time(uint64_t nanoseconds);
json_t *status_json(const struct status *status, const char *id, const struct resolved_user *user);
/* Replaces status.json in the directory. */
int status_write(int directory, const json_t *json, struct error *err);

#endif

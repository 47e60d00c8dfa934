#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/scope.h"

static const char *const state_names[] = {
	[STATE_CREATING] = "creating", [STATE_CREATED] = "created", [STATE_RUNNING] = "running",
	[STATE_EXITED] = "exited",     [STATE_FAILED] = "failed",
};

uint64_t status_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

json_t *status_time(uint64_t nanoseconds)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, nanoseconds);
	return json_string(text);
}

static json_t *user_json(const struct resolved_user *user)
{
	json_t *groups = json_array();

	for (int i = 0; i < user->group_count; i++)
		json_array_append_new(groups, json_integer(user->groups[i]));
	return json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid, "groups",
			 groups);
}

json_t *status_json(const struct status *status, const char *id, const struct resolved_user *user)
{
	return json_pack("{s:i, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:i, s:i, s:b, s:I, s:I, s:o, s:o}",
			 "version", 1, "id", id, "state", state_names[status->state],
			 "shimPid", (int)status->shim_pid, "pid", (int)status->pid,
			 "createdAt", status_time(status->created_at), "startedAt", status_time(status->started_at),
			 "finishedAt", status_time(status->finished_at),
			 "exitCode", status->exit_code, "signal", status->signal, "oomKilled", status->oom_killed,
			 "logDropped", (json_int_t)status->log_dropped, "logLimited", (json_int_t)status->log_limited,
			 "user", status->has_user ? user_json(user) : json_null(),
			 "error", status->has_error ? error_to_json(&status->error) : json_null());
}

int status_write(int directory, const json_t *json, struct error *err)
{
	scope_free char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	scope_fd int fd = -1;
	size_t length;

	if (text == NULL)
		return error_set(err, ENOMEM, "bundle", "status.json", "no memory for the status");
	fd = openat(directory, "status.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "bundle", "status.json.new", "open");
	length = strlen(text);
	text[length] = '\n'; /* a text file's last line; the terminating NUL is not written */
	if (write(fd, text, length + 1) != (ssize_t)(length + 1))
		return error_errno(err, "bundle", "status.json.new", "write");
	if (renameat(directory, "status.json.new", directory, "status.json") < 0)
		return error_errno(err, "bundle", "status.json", "rename");
	return 0;
}

/* How an exec begins: its request, its streams, its cgroup and its process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/request.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "child.h"
#include "exec_state.h"
#include "launch.h"

struct exec_options {
	struct exec_request request;
	bool with_stdin;
	long long columns, rows;
};

__attribute__((noreturn)) static void exec_child(const struct exec_session *exec, const struct exec_options *options,
						  int report_fd)
{
	int keep[2] = { report_fd, exec->shim->init.exit.fd };
	struct error err;

	child_enter(&exec->stdio, keep, 2, exec->shim->bundle);
	setup_exec(exec->shim->bundle, &exec->shim->result, keep[1], &options->request, &err);
	child_fail(keep[0], &err);
}

static int open_streams(struct exec_session *exec, const struct exec_options *options, struct error *err)
{
	uid_t uid = exec->shim->result.user.uid;
	gid_t gid = exec->shim->result.user.gid;
	int ptmx = options->request.terminal ? stdio_container_ptmx(exec->shim->init.pid, err) : -1;
	int result;

	if (options->request.terminal && ptmx < 0)
		return ptmx;
	result = stdio_open(&exec->stdio, options->request.terminal, options->with_stdin, ptmx, err);
	if (result < 0)
		return result;
	if (options->request.terminal && options->columns > 0 && options->rows > 0)
		stdio_resize(exec->stdio.out, (unsigned short)options->columns, (unsigned short)options->rows);
	launch_host_ids(exec->shim->init.maps, &uid, &gid);
	stdio_own(&exec->stdio, uid, gid);
	return 0;
}

static int launch(struct exec_session *exec, const struct exec_options *options, struct error *err)
{
	struct shim *shim = exec->shim;
	struct spawn how = { .cgroup = -1 };
	struct child_pipe report = { -1, -1 };
	int result = open_streams(exec, options, err);

	result = result < 0 ? result : child_pipe_open(&report, true, err);
	if (result == 0 && shim->cgroup >= 0)
		result = exec->leaf = leaf_create(shim->cgroup, ++shim->exec_number, exec->leaf_name, err);
	if (result >= 0) {
		how.cgroup = exec->leaf;
		exec->pid = spawn(&how, &exec->exit.fd);
		if (exec->pid == 0)
			exec_child(exec, options, report.writer);
		result = exec->pid < 0 ?
				 error_set(err, -exec->pid, "clone", "", "clone3: %s", strerror(-exec->pid)) : 0;
	}
	if (result == 0) {
		exec->report.fd = take_fd(&report.reader);
		result = exec_watch(exec);
		if (result < 0) {
			exec_kill(exec);
			error_set(err, -result, "stdio", "", "epoll_ctl: %s", strerror(-result));
		}
	}
	child_pipe_close(&report);
	return result;
}

/* The array is the caller's; its strings belong to `object`. */
static int parse_arguments(const json_t *object, char ***out, struct error *err)
{
	const json_t *args = json_object_get(object, "args");
	size_t count = json_array_size(args);
	char **list;

	if (count == 0)
		return error_set(err, EINVAL, "command", "", "args: at least one string expected");
	list = calloc(count + 1, sizeof(*list));
	if (list == NULL)
		return error_set(err, ENOMEM, "command", "", "no memory for the arguments");
	for (size_t i = 0; i < count; i++) {
		list[i] = (char *)json_string_value(json_array_get(args, i));
		if (list[i] == NULL) {
			free(list);
			return error_set(err, EINVAL, "command", "", "args: entry %zu is no string", i);
		}
	}
	*out = list;
	return 0;
}

int exec_begin(struct client *client, uint32_t id, const json_t *object, struct error *err)
{
	struct shim *shim = client->shim;
	struct exec_options options = { 0 };
	scope_free char **args = NULL;
	struct exec_session *exec;
	int result = parse_arguments(object, &args, err);

	result = result < 0 ? result : request_bool(object, "terminal", &options.request.terminal, err);
	result = result < 0 ? result : request_bool(object, "stdin", &options.with_stdin, err);
	result = result < 0 ? result : request_integer(object, "columns", 0, 0, 65535, &options.columns, err);
	result = result < 0 ? result : request_integer(object, "rows", 0, 0, 65535, &options.rows, err);
	if (result < 0)
		return result;
	if (shim->status.state != STATE_RUNNING || shim->init.gone)
		return error_set(err, ESRCH, "exec", "", "the container is not running");
	options.request.args = args;
	exec = exec_new(client, id);
	if (exec == NULL)
		return error_set(err, ENOMEM, "exec", "", "no memory");
	result = launch(exec, &options, err);
	if (result < 0) {
		stdio_close(&exec->stdio);
		exec_free(exec);
		shim_sweep(shim, false);
	}
	return result;
}

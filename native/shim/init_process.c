/* The container's first process: made, waited for, started, signalled, and its end recorded. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../common/protocol.h"
#include "../common/scope.h"
#include "child.h"
#include "launch.h"
#include "leaf.h"
#include "shim.h"

/* Without end: there is no more to come from the report pipe. */
static void close_report(struct init *init)
{
	watch_close(&init->shim->loop, &init->report);
}

void init_answer_start(struct init *init)
{
	struct shim *shim = init->shim;

	if (init->starter != NULL)
		channel_send_json(&init->starter->channel, init->start_id, MESSAGE_OK,
				  json_pack("{s:i, s:o}", "pid", (int)init->pid, "startedAt",
					    status_time(shim->status.started_at)));
	init->starter = NULL;
}

static void take_start(struct init *init)
{
	init->shim->status.started_at = status_now();
	shim_set_state(init->shim, STATE_RUNNING, "started");
	if (!hooks_pending(init->shim, HOOK_POSTSTART))
		init_answer_start(init);
}

static void take_failure(struct init *init, const struct error *err)
{
	init->shim->status.error = *err;
	init->shim->status.has_error = true;
	if (init->starter != NULL)
		channel_send_error(&init->starter->channel, init->start_id, err);
	init->starter = NULL;
	close_report(init);
}

static void own_streams(struct init *init)
{
	uid_t uid = init->shim->result.user.uid;
	gid_t gid = init->shim->result.user.gid;

	launch_host_ids(init->maps, &uid, &gid);
	stdio_own(&init->stdio, uid, gid);
}

static void take_report(struct init *init)
{
	struct shim *shim = init->shim;
	struct report report;
	enum report_kind kind = child_read_report(init->report.fd, &report);

	if (kind == REPORT_GOT && report.failed) {
		take_failure(init, &report.err);
	} else if (kind == REPORT_GOT && shim->status.state == STATE_CREATING) {
		shim->result = report.result;
		shim->status.has_user = true;
		own_streams(init);
		shim_set_state(shim, STATE_CREATED, "created");
	} else if (kind == REPORT_END) {
		close_report(init);
		/* Closed by exec, if START was given; else by death, which the pidfd tells. */
		if (shim->status.state == STATE_CREATED && init->start < 0)
			take_start(init);
	}
}

static void report_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	take_report(OWNER_OF(watch, struct init, report));
}

/* The process died while it was being set up and could not say why. */
static void note_silent_death(struct init *init, int exit_code, int signal)
{
	struct status *status = &init->shim->status;

	if (status->state != STATE_CREATING || status->has_error)
		return;
	if (signal != 0)
		error_set(&status->error, EINTR, "clone", "", "the process was killed by signal %d during set-up", signal);
	else
		error_set(&status->error, ECHILD, "clone", "", "the process exited with %d during set-up", exit_code);
	status->has_error = true;
}

static void exit_ready(struct watch *watch, uint32_t events)
{
	struct init *init = OWNER_OF(watch, struct init, exit);
	struct shim *shim = init->shim;
	struct error gone;

	(void)events;
	if (!child_wait(watch->fd, &shim->status.exit_code, &shim->status.signal))
		return;
	shim->status.finished_at = status_now();
	init->gone = true;
	watch_pause(&shim->loop, watch);
	/* Whatever it told before it died comes first: whether it was set up, and whether it had started. */
	while (init->report.fd >= 0)
		take_report(init);
	note_silent_death(init, shim->status.exit_code, shim->status.signal);
	/* Once it ran, START waits for hooks alone. */
	if (init->starter != NULL && shim->status.state != STATE_RUNNING) {
		error_set(&gone, ESRCH, "exec", "", "the container was killed before it started");
		take_failure(init, &gone);
	}
	if (shim->cgroup >= 0) {
		shim->status.oom_killed = cgroup_oom_killed(shim->cgroup);
		/* In a PID namespace of its own the kernel kills the rest (pid_namespaces(7)), elsewhere nobody does. */
		if (!(bundle_clone_flags(shim->bundle) & CLONE_NEWPID))
			cgroup_kill(shim->cgroup);
	}
	/* The slave was held so that a program may close and open its terminal; now reading it may end. */
	stdio_close_child(&init->stdio);
	input_drop(&init->in);
	shim_maybe_finish(shim);
}

static void builder_ready(struct watch *watch, uint32_t events)
{
	int ignored;

	(void)events;
	/* What it has to say it has told the init. */
	if (child_wait(watch->fd, &ignored, &ignored))
		watch_close(&OWNER_OF(watch, struct init, builder)->shim->loop, watch);
}

static bool out_full(struct stream *stream)
{
	return attach_full(OWNER_OF(stream, struct init, out)->shim, MESSAGE_STDOUT);
}

static bool err_full(struct stream *stream)
{
	return attach_full(OWNER_OF(stream, struct init, err)->shim, MESSAGE_STDERR);
}

static void out_data(struct stream *stream, const char *bytes, size_t size)
{
	struct shim *shim = OWNER_OF(stream, struct init, out)->shim;

	attach_data(shim, MESSAGE_STDOUT, bytes, size);
	shim_log(shim, LOG_STDOUT, bytes, size);
}

static void err_data(struct stream *stream, const char *bytes, size_t size)
{
	struct shim *shim = OWNER_OF(stream, struct init, err)->shim;

	attach_data(shim, MESSAGE_STDERR, bytes, size);
	shim_log(shim, LOG_STDERR, bytes, size);
}

static void out_end(struct stream *stream)
{
	struct shim *shim = OWNER_OF(stream, struct init, out)->shim;

	attach_stream_end(shim, MESSAGE_STDOUT);
	shim_maybe_finish(shim);
}

static void err_end(struct stream *stream)
{
	struct shim *shim = OWNER_OF(stream, struct init, err)->shim;

	attach_stream_end(shim, MESSAGE_STDERR);
	shim_maybe_finish(shim);
}

static void in_drained(struct input *input)
{
	attach_input_drained(OWNER_OF(input, struct init, in)->shim);
}

static int watch_init(struct shim *shim, struct error *err)
{
	struct init *init = &shim->init;
	struct stdio *stdio = &init->stdio;
	int result;

	init->report.ready = report_ready;
	init->exit.ready = exit_ready;
	init->builder.ready = builder_ready;
	init->out.full = out_full;
	init->out.data = out_data;
	init->out.end = out_end;
	init->err.full = err_full;
	init->err.data = err_data;
	init->err.end = err_end;
	init->in.drained = in_drained;
	if (!stdio->terminal)
		stdio_close_child(stdio);
	result = stream_start(&init->out, &shim->loop, stdio->out);
	result = result < 0 ? result : stream_start(&init->err, &shim->loop, stdio->err);
	input_start(&init->in, &shim->loop, stdio->in);
	result = result < 0 ? result : watch_set(&shim->loop, &init->report, EPOLLIN);
	result = result < 0 ? result : watch_set(&shim->loop, &init->exit, EPOLLIN);
	if (result == 0 && init->builder.fd >= 0)
		result = watch_set(&shim->loop, &init->builder, EPOLLIN);
	return result < 0 ? error_set(err, -result, "stdio", "", "epoll_ctl: %s", strerror(-result)) : 0;
}

static int open_stdio(struct shim *shim, struct error *err)
{
	bool terminal = bundle_terminal(shim->bundle);
	int ptmx = terminal ? stdio_host_ptmx(err) : -1;

	if (terminal && ptmx < 0)
		return ptmx;
	return stdio_open(&shim->init.stdio, terminal, bundle_stdin(shim->bundle), ptmx, err);
}

static int start_init(struct shim *shim, struct child_pipe *report, struct child_pipe *start, struct error *err)
{
	struct launch_request request = { .bundle = shim->bundle, .cgroup = shim->cgroup, .stdio = &shim->init.stdio,
					  .report = report->writer, .start = start->reader,
					  .hooks = shim->init.hook_runner.creation };
	struct launch launch;
	int result = launch_init(&request, &launch, err);

	if (result < 0)
		return result;
	shim->init.pid = shim->status.pid = launch.pid;
	hook_runner_born(&shim->init.hook_runner, launch.pid);
	hooks_watch(shim);
	shim->init.maps = launch.maps;
	shim->init.exit.fd = launch.pidfd;
	shim->init.builder.fd = launch.builder;
	shim->init.report.fd = take_fd(&report->reader);
	shim->init.start = take_fd(&start->writer);
	return watch_init(shim, err);
}

int init_create(struct shim *shim, struct error *err)
{
	struct child_pipe report = { -1, -1 }, start = { -1, -1 };
	int result = open_stdio(shim, err);

	result = result < 0 ? result : child_pipe_open(&report, true, err);
	result = result < 0 ? result : child_pipe_open(&start, false, err);
	result = result < 0 ? result : hook_runner_begin(shim->bundle, &shim->init.hook_runner, err);
	result = result < 0 ? result : bundle_join_before_clone(shim->bundle, err);
	result = result < 0 ? result : start_init(shim, &report, &start, err);
	child_pipe_close(&report);
	child_pipe_close(&start);
	return result;
}

int init_start(struct shim *shim, struct client *client, uint32_t id, struct error *err)
{
	struct init *init = &shim->init;

	if (init->gone || shim->over)
		return error_set(err, ESRCH, "exec", "", "the container has ended");
	if (shim->status.state != STATE_CREATED || init->start < 0)
		return error_set(err, EALREADY, "exec", "", "the container is not waiting to be started");
	if (write(init->start, "s", 1) != 1)
		return error_errno(err, "exec", "", "telling the container to start");
	close(take_fd(&init->start));
	init->starter = client;
	init->start_id = id;
	return 0;
}

int init_kill(struct shim *shim, int signal, bool all, struct error *err)
{
	struct init *init = &shim->init;

	if (init->gone || init->exit.fd < 0)
		return error_set(err, ESRCH, "kill", "", "the container has ended");
	if (all && shim->cgroup >= 0) {
		int result = signal == SIGKILL ? cgroup_kill(shim->cgroup) : 0;
		if (signal != SIGKILL && cgroup_signal(shim->cgroup, signal) == 0)
			return error_set(err, ESRCH, "kill", "", "the container has no process");
		return result < 0 ? error_set(err, -result, "kill", "", "cgroup.kill: %s", strerror(-result)) : 0;
	}
	if (pidfd_send_signal(init->exit.fd, signal, NULL, 0) < 0)
		return error_errno(err, "kill", "", "signal %d", signal);
	return 0;
}

bool init_streams_ended(const struct shim *shim)
{
	return (shim->init.out.ended || shim->init.out.watch.fd < 0) &&
	       (shim->init.err.ended || shim->init.err.watch.fd < 0);
}

void init_bound_streams(struct shim *shim)
{
	stream_bound(&shim->init.out);
	stream_bound(&shim->init.err);
}

void init_drop_streams(struct shim *shim)
{
	stream_drop(&shim->init.out);
	stream_drop(&shim->init.err);
}

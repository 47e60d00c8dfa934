#include "exec_state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../common/protocol.h"
#include "child.h"

/* After the process itself is gone, for background children that hold its output open. */
#define DRAIN_MS 2000

void exec_free(struct exec_session *exec)
{
	struct exec_session **link = &exec->shim->execs;
	struct loop *loop = &exec->shim->loop;

	while (*link != NULL && *link != exec)
		link = &(*link)->next;
	if (*link != NULL)
		*link = exec->next;
	if (exec->client != NULL)
		exec->client->exec = NULL;
	timer_clear(loop, &exec->drain);
	stream_drop(&exec->out);
	stream_drop(&exec->err);
	exec->in.drained = NULL;
	input_drop(&exec->in);
	stdio_close_child(&exec->stdio);
	watch_close(loop, &exec->report);
	watch_close(loop, &exec->exit);
	if (exec->leaf >= 0)
		close(exec->leaf);
	free(exec);
}

void exec_kill(struct exec_session *exec)
{
	exec->killed = true;
	if (exec->leaf >= 0)
		cgroup_kill(exec->leaf);
	if (!exec->gone && exec->exit.fd >= 0)
		pidfd_send_signal(exec->exit.fd, SIGKILL, NULL, 0);
}

static void maybe_finish(struct exec_session *exec)
{
	struct shim *shim = exec->shim;
	bool killed = exec->killed;

	if (!exec->gone || exec->report.fd >= 0)
		return;
	if (!(exec->out.ended && exec->err.ended)) {
		if (!exec->drain.armed)
			timer_set(&shim->loop, &exec->drain, DRAIN_MS);
		return;
	}
	/* First, so that whoever hears of the end finds the leaf gone. Listing all of them is for when one stays. */
	if (exec->leaf < 0 || leaf_remove(shim->cgroup, exec->leaf_name) < 0 || shim->stray_leaves)
		shim_sweep(shim, killed);
	if (exec->client != NULL)
		channel_send_json(&exec->client->channel, exec->id, MESSAGE_EXIT,
				  json_pack("{s:i, s:i}", "exitCode", exec->exit_code, "signal", exec->signal));
	exec_free(exec);
	shim_maybe_finish(shim);
}

static void drain_over(struct timer *timer)
{
	struct exec_session *exec = OWNER_OF(timer, struct exec_session, drain);

	/* The end of the last stream frees the session, so nothing of it is touched after that one's call. */
	if (!exec->out.ended && !exec->err.ended) {
		stream_bound(&exec->out);
		stream_bound(&exec->err);
		return;
	}
	stream_bound(exec->out.ended ? &exec->err : &exec->out);
}

static void send_data(struct exec_session *exec, uint8_t type, const void *bytes, size_t size)
{
	if (exec->client != NULL)
		channel_send(&exec->client->channel, exec->id, type, bytes, size);
}

static bool client_full(const struct exec_session *exec)
{
	return exec->client != NULL && channel_full(&exec->client->channel);
}

static bool out_full(struct stream *stream)
{
	return client_full(OWNER_OF(stream, struct exec_session, out));
}

static bool err_full(struct stream *stream)
{
	return client_full(OWNER_OF(stream, struct exec_session, err));
}

static void out_data(struct stream *stream, const char *bytes, size_t size)
{
	send_data(OWNER_OF(stream, struct exec_session, out), MESSAGE_STDOUT, bytes, size);
}

static void err_data(struct stream *stream, const char *bytes, size_t size)
{
	send_data(OWNER_OF(stream, struct exec_session, err), MESSAGE_STDERR, bytes, size);
}

static void out_end(struct stream *stream)
{
	struct exec_session *exec = OWNER_OF(stream, struct exec_session, out);

	send_data(exec, MESSAGE_STDOUT, "", 0);
	maybe_finish(exec);
}

static void err_end(struct stream *stream)
{
	struct exec_session *exec = OWNER_OF(stream, struct exec_session, err);

	send_data(exec, MESSAGE_STDERR, "", 0);
	maybe_finish(exec);
}

static void in_drained(struct input *input)
{
	struct exec_session *exec = OWNER_OF(input, struct exec_session, in);

	if (exec->client != NULL)
		channel_hold(&exec->client->channel, false);
}

/* Replies, and with success lets the data flow: OK is always the first frame. */
static void settle(struct exec_session *exec, const struct error *err)
{
	struct loop *loop = &exec->shim->loop;

	watch_close(loop, &exec->report);
	if (err == NULL) {
		if (exec->client != NULL)
			channel_send_json(&exec->client->channel, exec->id, MESSAGE_OK,
					  json_pack("{s:i}", "pid", (int)exec->pid));
		stream_resume(&exec->out);
		stream_resume(&exec->err);
		return;
	}
	if (exec->client != NULL) {
		/* The connection is free for the next request at once, not only when the process is reaped. */
		channel_send_error(&exec->client->channel, exec->id, err);
		exec->client->exec = NULL;
		exec->client = NULL;
	}
	stream_drop(&exec->out);
	stream_drop(&exec->err);
}

static void take_report(struct exec_session *exec)
{
	struct report report;
	struct error killed;
	enum report_kind kind = child_read_report(exec->report.fd, &report);

	if (kind == REPORT_NONE)
		return;
	if (kind == REPORT_GOT) {
		settle(exec, &report.err);
	} else if (exec->client == NULL) {
		error_set(&killed, ECANCELED, "exec", "", "disconnected");
		settle(exec, &killed);
	} else {
		settle(exec, NULL);
	}
}

static void report_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	take_report(OWNER_OF(watch, struct exec_session, report));
}

static void exit_ready(struct watch *watch, uint32_t events)
{
	struct exec_session *exec = OWNER_OF(watch, struct exec_session, exit);

	(void)events;
	if (!child_wait(watch->fd, &exec->exit_code, &exec->signal))
		return;
	exec->gone = true;
	watch_close(&exec->shim->loop, watch);
	if (exec->report.fd >= 0)
		take_report(exec);
	stdio_close_child(&exec->stdio);
	input_drop(&exec->in);
	maybe_finish(exec);
}

int exec_watch(struct exec_session *exec)
{
	struct loop *loop = &exec->shim->loop;
	struct stdio *stdio = &exec->stdio;
	int result = stream_start(&exec->out, loop, stdio->out);

	result = result < 0 ? result : stream_start(&exec->err, loop, stdio->err);
	/* Quiet until the reply is out. */
	watch_pause(loop, &exec->out.watch);
	watch_pause(loop, &exec->err.watch);
	input_start(&exec->in, loop, stdio->in);
	stdio->in = stdio->out = stdio->err = -1;
	if (!stdio->terminal)
		stdio_close_child(stdio);
	result = result < 0 ? result : watch_set(loop, &exec->report, EPOLLIN);
	return result < 0 ? result : watch_set(loop, &exec->exit, EPOLLIN);
}

struct exec_session *exec_new(struct client *client, uint32_t id)
{
	struct exec_session *exec = calloc(1, sizeof(*exec));

	if (exec == NULL)
		return NULL;
	exec->shim = client->shim;
	exec->client = client;
	exec->id = id;
	exec->leaf = -1;
	exec->exit = (struct watch){ .fd = -1, .ready = exit_ready };
	exec->report = (struct watch){ .fd = -1, .ready = report_ready };
	stdio_init(&exec->stdio);
	exec->out = (struct stream){ .watch.fd = -1, .loop = &client->shim->loop, .full = out_full, .data = out_data,
				     .end = out_end };
	exec->err = (struct stream){ .watch.fd = -1, .loop = &client->shim->loop, .full = err_full, .data = err_data,
				     .end = err_end };
	exec->in = (struct input){ .watch.fd = -1, .loop = &client->shim->loop, .drained = in_drained };
	exec->drain.fire = drain_over;
	exec->next = client->shim->execs;
	client->shim->execs = exec;
	client->exec = exec;
	return exec;
}

void exec_input(struct exec_session *exec, const struct frame *frame)
{
	if (frame->length > 0)
		input_write(&exec->in, frame->payload, frame->length);
	else if (!exec->stdio.terminal)
		input_end(&exec->in);
	if (input_full(&exec->in))
		channel_hold(&exec->client->channel, true);
}

void exec_resize(struct exec_session *exec, unsigned short columns, unsigned short rows)
{
	if (exec->stdio.terminal)
		stdio_resize(exec->in.watch.fd, columns, rows);
}

void exec_resume(struct exec_session *exec)
{
	if (exec->report.fd >= 0)
		return;
	/* Not stream_resume: that ends the stream when epoll fails, and the second end frees the session. */
	if (!exec->out.ended && !exec->out.watch.added)
		watch_set(&exec->shim->loop, &exec->out.watch, EPOLLIN);
	if (!exec->err.ended && !exec->err.watch.added)
		watch_set(&exec->shim->loop, &exec->err.watch, EPOLLIN);
}

void exec_disconnected(struct exec_session *exec)
{
	exec->client = NULL;
	exec_kill(exec);
	/* Nobody reads any more; what still writes is killed with the leaf. */
	stream_drop(&exec->out);
	stream_drop(&exec->err);
	maybe_finish(exec);
}

void exec_abandon_all(struct shim *shim)
{
	for (struct exec_session *exec = shim->execs, *next; exec != NULL; exec = next) {
		next = exec->next;
		exec_kill(exec);
		if (client_full(exec))
			channel_break(&exec->client->channel);
	}
}

void exec_forget_all(struct shim *shim)
{
	while (shim->execs != NULL)
		exec_free(shim->execs);
}

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "../common/scope.h"
#include "child.h"
#include "hooks.h"
#include "input.h"
#include "launch.h"
#include "leaf.h"
#include "stdio.h"
#include "stream.h"

#define SETUP_FAILED 125

struct run {
	struct loop loop;
	struct bundle *bundle;
	int cgroup;
	struct hook_runner hooks;
	pid_t pid;
	struct stdio stdio;
	struct watch exit;     /* pidfd */
	int builder;           /* pidfd, -1: none */
	struct watch signals;
	struct stream output;  /* the terminal's, to our standard output */
	struct stream keyboard;
	struct input input;
	bool raw;
	struct termios cooked;
	bool gone;
	int exit_code, signal;
};

static void maybe_stop(struct run *run)
{
	if (run->gone && run->output.ended)
		loop_stop(&run->loop);
}

static void exit_ready(struct watch *watch, uint32_t events)
{
	struct run *run = OWNER_OF(watch, struct run, exit);

	(void)events;
	if (!child_wait(watch->fd, &run->exit_code, &run->signal))
		return;
	run->gone = true;
	watch_pause(&run->loop, watch);
	stdio_close_child(&run->stdio);
	if (run->cgroup >= 0 && !(bundle_clone_flags(run->bundle) & CLONE_NEWPID))
		cgroup_kill(run->cgroup);
	maybe_stop(run);
}

static void copy_window_size(struct run *run)
{
	struct winsize size;

	if (run->stdio.terminal && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		stdio_resize(run->input.watch.fd, size.ws_col, size.ws_row);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct run *run = OWNER_OF(watch, struct run, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		copy_window_size(run);
	else if (!run->gone)
		pidfd_send_signal(run->exit.fd, (int)info.ssi_signo, NULL, 0);
}

static bool never_full(struct stream *stream)
{
	(void)stream;
	return false;
}

static bool input_is_full(struct stream *stream)
{
	return input_full(&OWNER_OF(stream, struct run, keyboard)->input);
}

static void show(struct stream *stream, const char *bytes, size_t size)
{
	(void)stream;
	while (size > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		bytes += written;
		size -= (size_t)written;
	}
}

static void output_end(struct stream *stream)
{
	maybe_stop(OWNER_OF(stream, struct run, output));
}

static void type(struct stream *stream, const char *bytes, size_t size)
{
	input_write(&OWNER_OF(stream, struct run, keyboard)->input, bytes, size);
}

static void keyboard_end(struct stream *stream)
{
	(void)stream; /* a terminal has no end of file to pass on; the program goes on without input */
}

static void input_drained(struct input *input)
{
	stream_resume(&OWNER_OF(input, struct run, input)->keyboard);
}

static int watch_terminal(struct run *run, struct error *err)
{
	struct termios raw;
	int result;

	run->output = (struct stream){ .watch.fd = -1, .ended = true, .full = never_full, .data = show, .end = output_end };
	run->keyboard = (struct stream){ .watch.fd = -1, .ended = true, .full = input_is_full, .data = type,
					 .end = keyboard_end };
	run->input = (struct input){ .watch.fd = -1, .loop = &run->loop, .drained = input_drained };
	if (!run->stdio.terminal)
		return 0;
	input_start(&run->input, &run->loop, run->stdio.in);
	copy_window_size(run);
	result = stream_start(&run->output, &run->loop, run->stdio.out);
	/* EPERM: a regular file, which epoll does not take; it is no keyboard. */
	if (result == 0 && stream_start(&run->keyboard, &run->loop, fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) == -EPERM)
		stream_drop(&run->keyboard);
	if (tcgetattr(STDIN_FILENO, &run->cooked) == 0) {
		raw = run->cooked;
		cfmakeraw(&raw);
		run->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	return result < 0 ? error_set(err, -result, "stdio", "", "epoll_ctl: %s", strerror(-result)) : 0;
}

static int watch_signals(struct run *run, struct error *err)
{
	static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signals = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signals_ready };
	if (run->signals.fd < 0 || watch_set(&run->loop, &run->signals, EPOLLIN) < 0)
		return error_errno(err, "stdio", "", "signalfd");
	return 0;
}

static int open_stdio(struct run *run, struct error *err)
{
	int ptmx;

	stdio_init(&run->stdio);
	if (!bundle_terminal(run->bundle)) {
		for (int i = 0; i < 3; i++)
			run->stdio.child[i] = i;
		return 0;
	}
	ptmx = stdio_host_ptmx(err);
	return ptmx < 0 ? ptmx : stdio_open(&run->stdio, true, true, ptmx, err);
}

static int start(struct run *run, int *report_fd, struct error *err)
{
	struct child_pipe report = { -1, -1 };
	struct launch_request request = { .bundle = run->bundle, .cgroup = run->cgroup, .stdio = &run->stdio, .start = -1 };
	struct launch launch;
	int result = child_pipe_open(&report, false, err);

	request.report = report.writer;
	result = result < 0 ? result : hook_runner_begin(run->bundle, &run->hooks, err);
	request.hooks = run->hooks.creation;
	result = result < 0 ? result : bundle_join_before_clone(run->bundle, err);
	result = result < 0 ? result : launch_init(&request, &launch, err);
	if (result == 0) {
		run->pid = launch.pid;
		hook_runner_born(&run->hooks, run->pid);
		run->exit = (struct watch){ .fd = launch.pidfd, .ready = exit_ready };
		run->builder = launch.builder;
		free(launch.maps);
		*report_fd = take_fd(&report.reader);
	}
	child_pipe_close(&report);
	return result;
}

static void tell(const struct error *err)
{
	fprintf(stderr, "berth-shim: %s%s%s: %s\n", err->step, *err->path ? " " : "", err->path, err->message);
}

/* Those whose failure is only told of. */
static void run_hooks(struct run *run, enum hook_stage stage, pid_t init)
{
	struct error err;

	hook_runner_ask(&run->hooks, stage, init);
	while (hook_runner_answer(&run->hooks, &err) == HOOK_FAILED)
		tell(&err);
}

/* Blocks until the program has taken over: there is nothing else to do before. */
static int await_start(struct run *run, int report_fd, struct error *err)
{
	struct report report;
	enum report_kind kind = child_read_report(report_fd, &report);
	int ignored;

	if (run->builder >= 0)
		child_await(run->builder, &ignored, &ignored);
	scope_close_fd(&run->builder);
	run->builder = -1;
	if (kind != REPORT_GOT)
		return 0;
	*err = report.err;
	return -EIO;
}

static int bring_up(struct run *run, const char *directory, struct error *err)
{
	scope_fd int report_fd = -1;
	int result = bundle_load(directory, &run->bundle, err);
	const char *cgroup;

	if (result < 0)
		return result;
	cgroup = bundle_cgroup_path(run->bundle);
	if (cgroup != NULL && (run->cgroup = cgroup_open(cgroup, err)) < 0)
		return run->cgroup;
	if (cgroup != NULL && (result = bundle_restrict_devices(run->bundle, run->cgroup, err)) < 0)
		return result;
	result = loop_open(&run->loop, err);
	result = result < 0 ? result : open_stdio(run, err);
	result = result < 0 ? result : watch_signals(run, err);
	result = result < 0 ? result : start(run, &report_fd, err);
	result = result < 0 ? result : await_start(run, report_fd, err);
	if (result < 0)
		return result;
	run_hooks(run, HOOK_POSTSTART, run->pid);
	result = watch_terminal(run, err);
	return result < 0 ? result : watch_set(&run->loop, &run->exit, EPOLLIN);
}

int run_main(const char *directory)
{
	struct run run = { .cgroup = -1, .hooks = HOOK_RUNNER_NONE, .exit.fd = -1, .builder = -1 };
	struct error err;
	int result = bring_up(&run, directory, &err);

	result = result < 0 ? result : loop_run(&run.loop, &err);
	if (run.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &run.cooked);
	run_hooks(&run, HOOK_POSTSTOP, 0);
	hook_runner_end(&run.hooks);
	if (result < 0) {
		tell(&err);
		return SETUP_FAILED;
	}
	return run.exit_code;
}

/* One container from its bundle to its end, for the tests. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "setup_support.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "../shim/child.h"
#include "../shim/launch.h"
#include "../shim/setup.h"

struct streams {
	int report[2]; /* closed by the exec */
	int go[2];
	int output[2];
	int terminal[2]; /* master, slave */
};

static void become_output(struct streams *streams, bool terminal)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	spawn_reset_signals(); /* as the shim does; make and shells in the background ignore some */
	dup2(terminal ? streams->terminal[1] : null, 0);
	dup2(terminal ? streams->terminal[1] : streams->output[1], 1);
	dup2(terminal ? streams->terminal[1] : streams->output[1], 2);
}

static void say(int fd, const struct report *report)
{
	if (write(fd, report, sizeof(*report)) != (ssize_t)sizeof(*report))
		_exit(126);
}

static void collect(struct streams *streams, bool terminal, struct setup_outcome *outcome)
{
	int fd = terminal ? streams->terminal[0] : streams->output[0];
	size_t used = strlen(outcome->output);

	for (;;) {
		ssize_t got = read(fd, outcome->output + used, sizeof(outcome->output) - 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	outcome->output[used] = '\0';
}

/* Bounded, so that a container that never makes the file is a failure and not a hang. */
static void wait_for(const struct setup_fixture *fixture, const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", fixture->upper, name);
	for (int round = 0; round < 2000 && access(path, F_OK) < 0; round++)
		usleep(5000);
}

/* The shim's part of an exec: a fork that is born in the container's PID namespace. */
static void run_exec(const struct bundle *bundle, const struct setup_result *result, int pidfd, const char *script,
		     struct streams *streams, struct setup_outcome *outcome)
{
	char *args[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	struct exec_request request = { .args = args };
	struct report report = { .failed = true };
	pid_t child = fork();

	if (child == 0) {
		become_output(streams, false);
		setup_exec(bundle, result, pidfd, &request, &report.err);
		say(streams->report[1], &report);
		_exit(127);
	}
	close(streams->report[1]);
	streams->report[1] = -1;
	if (read(streams->report[0], &report, sizeof(report)) == (ssize_t)sizeof(report))
		outcome->error = report.err;
	waitpid(child, &outcome->status, 0);
}

static void supervise(const struct setup_fixture *fixture, const struct bundle *bundle, const struct setup_case *what,
		      struct streams *streams, const struct launch *launched, const struct timespec *start,
		      struct setup_outcome *outcome)
{
	struct timespec now;
	struct report report;
	enum report_kind kind;
	int ignored;

	if (what->exec == NULL) {
		close(streams->report[1]);
		streams->report[1] = -1;
	}
	kind = child_read_report(streams->report[0], &report);
	/* As long as it is not reaped, it holds up the end of the PID namespace and with it the init's. */
	if (launched->builder >= 0)
		child_await(launched->builder, &ignored, &ignored);
	if (kind != REPORT_GOT) {
		error_set(&outcome->error, EIO, "none", "", "the set-up died without a word");
	} else if (report.failed) {
		outcome->error = report.err;
	} else {
		outcome->created = true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		outcome->created_after = (double)(now.tv_sec - start->tv_sec) * 1e3 +
					 (double)(now.tv_nsec - start->tv_nsec) / 1e6;
		if (write(streams->go[1], "g", 1) != 1)
			perror("go");
		if (what->exec != NULL) {
			if (what->exec_after != NULL)
				wait_for(fixture, what->exec_after);
			run_exec(bundle, &report.result, launched->pidfd, what->exec, streams, outcome);
			pidfd_send_signal(launched->pidfd, SIGKILL, NULL, 0);
		} else if (read(streams->report[0], &report, sizeof(report)) == (ssize_t)sizeof(report)) {
			outcome->error = report.err;
		}
	}
	close(streams->output[1]);
	close(streams->terminal[1]);
	collect(streams, what->terminal, outcome);
}

static void open_streams(struct streams *streams)
{
	if (pipe2(streams->report, O_CLOEXEC) < 0 || pipe2(streams->go, O_CLOEXEC) < 0 ||
	    pipe2(streams->output, O_CLOEXEC) < 0 || openpty(&streams->terminal[0], &streams->terminal[1], NULL, NULL, NULL) < 0) {
		perror("streams");
		exit(1);
	}
}

static void close_streams(struct streams *streams)
{
	close(streams->report[0]);
	close(streams->report[1]);
	close(streams->go[0]);
	close(streams->go[1]);
	close(streams->output[0]);
	close(streams->terminal[0]);
}

static int launch(const struct bundle *bundle, const struct streams *streams, bool terminal, struct launch *launched,
		  struct error *err)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct stdio stdio = { .terminal = terminal,
			       .child = { terminal ? streams->terminal[1] : null, streams->output[1], streams->output[1] } };
	struct launch_request request = { .bundle = bundle, .cgroup = -1, .stdio = &stdio, .report = streams->report[1],
					  .start = streams->go[0], .hooks = -1 };
	int ret = launch_init(&request, launched, err);

	close(null);
	return ret;
}

static void run(const struct setup_fixture *fixture, const struct setup_case *what, struct setup_outcome *outcome)
{
	struct bundle *bundle;
	struct streams streams;
	struct timespec start;
	struct launch launched;
	int status;

	memset(outcome, 0, sizeof(*outcome));
	setup_write_bundle(fixture, what);
	if (bundle_load(fixture->bundle, &bundle, &outcome->error) < 0)
		return;
	outcome->loaded = true;
	open_streams(&streams);
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (bundle_join_before_clone(bundle, &outcome->error) < 0 ||
	    launch(bundle, &streams, what->terminal, &launched, &outcome->error) < 0) {
		close(streams.output[1]);
		close(streams.terminal[1]);
		close(streams.report[1]);
	} else {
		supervise(fixture, bundle, what, &streams, &launched, &start, outcome);
		waitpid(launched.pid, &status, 0);
		scope_close_fd(&launched.builder);
		close(launched.pidfd);
		free(launched.maps);
		if (what->exec == NULL)
			outcome->status = status;
	}
	close_streams(&streams);
	bundle_free(bundle);
}

/* In a process of its own, as a shim is: its children are born in the container's PID namespace afterwards. */
void setup_run(const struct setup_fixture *fixture, const struct setup_case *what, struct setup_outcome *outcome)
{
	struct setup_outcome *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (shared == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run(fixture, what, shared);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		expect("the container's supervisor lives", false);
	*outcome = *shared;
	munmap(shared, sizeof(*shared));
}

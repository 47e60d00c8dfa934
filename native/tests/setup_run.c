/* One container from its bundle to its end, for the tests. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "setup_support.h"
#include "../common/spawn.h"
#include "../shim/setup.h"

/* What the child says through the report pipe: ready, or why not. */
struct report {
	bool ready;
	struct error error;
	struct setup_result result;
};

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

static void __attribute__((noreturn)) child(const struct bundle *bundle, struct streams *streams, bool terminal)
{
	struct report report = { .ready = false };
	char go;

	become_output(streams, terminal);
	if (setup_container(bundle, terminal ? streams->terminal[1] : -1, &report.result, &report.error) < 0) {
		say(streams->report[1], &report);
		_exit(127);
	}
	report.ready = true;
	say(streams->report[1], &report);
	if (read(streams->go[0], &go, 1) != 1)
		_exit(125);
	report.ready = false;
	setup_finish(bundle, &report.result, &report.error);
	say(streams->report[1], &report);
	_exit(127);
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

/* The shim's part of an exec: a fork that joins the PID namespace first, then one that is in it. */
static void run_exec(const struct bundle *bundle, const struct setup_result *result, pid_t init, const char *script,
		     struct streams *streams, struct setup_outcome *outcome)
{
	char *args[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	struct exec_request request = { .args = args };
	struct report report = { .ready = false };
	pid_t middle = fork();
	int pidfd;

	if (middle == 0) {
		pid_t inner;
		int status = 0;

		pidfd = pidfd_open(init, 0);
		if (setns(pidfd, CLONE_NEWPID) < 0)
			_exit(124);
		inner = fork();
		if (inner == 0) {
			become_output(streams, false);
			setup_exec(bundle, result, pidfd, &request, &report.error);
			say(streams->report[1], &report);
			_exit(127);
		}
		waitpid(inner, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	}
	close(streams->report[1]);
	streams->report[1] = -1;
	if (read(streams->report[0], &report, sizeof(report)) == (ssize_t)sizeof(report))
		outcome->error = report.error;
	waitpid(middle, &outcome->status, 0);
}

static void supervise(const struct setup_fixture *fixture, const struct bundle *bundle, const struct setup_case *what,
		      struct streams *streams, pid_t pid, const struct timespec *start, struct setup_outcome *outcome)
{
	struct timespec now;
	struct report report;

	if (what->exec == NULL) {
		close(streams->report[1]);
		streams->report[1] = -1;
	}
	if (read(streams->report[0], &report, sizeof(report)) != (ssize_t)sizeof(report)) {
		error_set(&outcome->error, EIO, "none", "", "the set-up died without a word");
	} else if (!report.ready) {
		outcome->error = report.error;
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
			run_exec(bundle, &report.result, pid, what->exec, streams, outcome);
			kill(pid, SIGKILL);
		} else if (read(streams->report[0], &report, sizeof(report)) == (ssize_t)sizeof(report)) {
			outcome->error = report.error;
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

void setup_run(const struct setup_fixture *fixture, const struct setup_case *what, struct setup_outcome *outcome)
{
	struct bundle *bundle;
	struct streams streams;
	struct timespec start;
	int status;
	pid_t pid;

	memset(outcome, 0, sizeof(*outcome));
	setup_write_bundle(fixture, what);
	if (bundle_load(fixture->bundle, &bundle, &outcome->error) < 0)
		return;
	outcome->loaded = true;
	if (bundle_join_before_clone(bundle, &outcome->error) < 0) {
		bundle_free(bundle);
		return;
	}
	open_streams(&streams);
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = (pid_t)syscall(SYS_clone, bundle_clone_flags(bundle) | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		child(bundle, &streams, what->terminal);
	if (pid < 0) {
		error_errno(&outcome->error, "clone", "", "clone");
		close(streams.output[1]);
		close(streams.terminal[1]);
	} else {
		supervise(fixture, bundle, what, &streams, pid, &start, outcome);
		waitpid(pid, &status, 0);
		if (what->exec == NULL)
			outcome->status = status;
	}
	close_streams(&streams);
	bundle_free(bundle);
}

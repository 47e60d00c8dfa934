#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/spawn.h"

int child_pipe_open(struct child_pipe *pipe_, bool reader_nonblocking, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "stdio", "", "pipe");
	*pipe_ = (struct child_pipe){ ends[0], ends[1] };
	if (reader_nonblocking && fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		error_errno(err, "stdio", "", "fcntl");
		child_pipe_close(pipe_);
		return -err->code;
	}
	return 0;
}

void child_pipe_close(struct child_pipe *pipe_)
{
	scope_close_fd(&pipe_->reader);
	scope_close_fd(&pipe_->writer);
	*pipe_ = (struct child_pipe){ -1, -1 };
}

void child_report(int fd, const struct report *report)
{
	ssize_t written = write(fd, report, sizeof(*report));
	(void)written; /* nobody reads: the shim is gone, and the start pipe's end of file will end us */
}

void child_fail(int fd, const struct error *err)
{
	struct report report = { .failed = true, .err = *err };

	child_report(fd, &report);
	_exit(err->code == ENOENT ? 127 : 126);
}

/*
 * The daemon's own protection from the OOM killer is inherited and must not become the container's. Lowering
 * below what was inherited takes CAP_SYS_RESOURCE (proc(5)): without it, the inherited value is the least.
 */
int child_set_oom_score(const struct bundle *bundle, struct error *err)
{
	char text[16];
	bool present = false;
	int value = bundle_oom_score_adj(bundle, &present);
	scope_fd int fd = -1;
	int length;

	if (!present)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "rlimit", "/proc/self/oom_score_adj", "open");
	length = snprintf(text, sizeof(text), "%d", value);
	if (write(fd, text, (size_t)length) < 0 && errno != EACCES && errno != EPERM)
		return error_errno(err, "rlimit", "/proc/self/oom_score_adj", "writing %d", value);
	return 0;
}

void child_enter(const struct stdio *stdio, int *keep, int count, const struct bundle *bundle)
{
	struct error err;
	int result;

	spawn_reset_signals();
	setsid();
	result = stdio_install(stdio->child, stdio->terminal);
	if (result < 0) {
		error_set(&err, -result, "stdio", "", "taking the standard streams: %s", strerror(-result));
		child_fail(keep[0], &err);
	}
	result = spawn_keep_descriptors(keep, count);
	if (result < 0) {
		error_set(&err, -result, "stdio", "", "closing descriptors: %s", strerror(-result));
		child_fail(keep[0], &err);
	}
	if (child_set_oom_score(bundle, &err) < 0)
		child_fail(keep[0], &err);
}

enum report_kind child_read_report(int fd, struct report *report)
{
	ssize_t got;

	do {
		got = read(fd, report, sizeof(*report));
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return REPORT_NONE;
	if (got != sizeof(*report))
		return REPORT_END;
	/* Written by our own code, but from a process that had begun to be the container's. */
	report->err.step[sizeof(report->err.step) - 1] = '\0';
	report->err.path[sizeof(report->err.path) - 1] = '\0';
	report->err.message[sizeof(report->err.message) - 1] = '\0';
	if (report->result.user.group_count < 0 || report->result.user.group_count > 256)
		report->result.user.group_count = 0;
	return REPORT_GOT;
}

static bool wait_for(int pidfd, int flags, int *exit_code, int *signal)
{
	siginfo_t info = { 0 };
	int ret;

	do {
		ret = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | flags);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0 || info.si_pid == 0)
		return false;
	*signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	*exit_code = *signal == 0 ? info.si_status : 128 + *signal;
	return true;
}

bool child_wait(int pidfd, int *exit_code, int *signal)
{
	return wait_for(pidfd, WNOHANG, exit_code, signal);
}

void child_await(int pidfd, int *exit_code, int *signal)
{
	wait_for(pidfd, 0, exit_code, signal);
}

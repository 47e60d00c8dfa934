#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t spawn(const struct spawn *how, int *pidfd)
{
	int fd = -1;
	struct clone_args args = { .flags = how->flags };
	long pid;

	/* clone(2): with CLONE_PARENT the exit signal is the caller's own, and setting one is EINVAL. */
	if (!(how->flags & CLONE_PARENT))
		args.exit_signal = SIGCHLD;
	if (pidfd != NULL) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&fd;
	}
	if (how->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)how->cgroup;
	}
	/* glibc has no wrapper; without CLONE_VM the raw call is a fork, safe in a single-threaded program. */
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid > 0 && pidfd != NULL)
		*pidfd = fd;
	return (pid_t)pid;
}

void spawn_reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL); /* EINVAL for SIGKILL, SIGSTOP and glibc's own */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int spawn_keep_descriptors(int *fds, int count)
{
	/* First out of the way of the target numbers, then down into them. */
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + count);
		if (fds[i] < 0)
			return -errno;
	}
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0) {
			close(3 + i);
			continue;
		}
		if (dup3(fds[i], 3 + i, O_CLOEXEC) < 0)
			return -errno;
		fds[i] = 3 + i;
	}
	return close_range((unsigned)(3 + count), ~0u, 0) < 0 ? -errno : 0;
}

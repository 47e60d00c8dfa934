#include "reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/spawn.h"
#include "title.h"

/* An empty read-only root, so that /proc/1/root of the shared namespace leads nowhere. */
static int enter_empty_root(struct error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, "reaper", "/", "making mounts private");
	/* /proc serves as the mount point because it is there on every host that has containers. */
	if (mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "mode=555,nr_inodes=1") < 0)
		return error_errno(err, "reaper", "", "mounting an empty root");
	if (chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(err, "reaper", "", "pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(err, "reaper", "", "leaving the old root");
	return 0;
}

static int drop_privileges(struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return error_errno(err, "reaper", "", "dropping capability %d", capability);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0)
		return error_errno(err, "reaper", "", "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, "reaper", "", "prctl");
	return 0;
}

static void serve(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	for (;;) {
		siginfo_t info;
		int signal = sigwaitinfo(&set, &info);

		/*
		 * A sender outside the namespace appears as pid 0 (pid_namespaces(7)); a container inside it must not
		 * be able to end the pod.
		 */
		if (signal == SIGTERM && info.si_pid == 0)
			_exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
	}
}

static void report(int fd, const struct error *err)
{
	ssize_t written = write(fd, err, sizeof(*err));
	(void)written; /* the reader is gone: nobody is left to tell */
}

__attribute__((noreturn)) static void reaper_main(const char *id, int pipe_fd)
{
	struct error err = { 0 };
	char short_id[13];
	sigset_t all;

	spawn_reset_signals();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL); /* before the parent hears of us: no SIGCHLD may be lost */
	snprintf(short_id, sizeof(short_id), "%.12s", id);
	title_set("berth-reaper", short_id);
	setsid();
	close_range(0, 2, 0);
	if (spawn_keep_descriptors(&pipe_fd, 1) < 0)
		_exit(1);
	if (enter_empty_root(&err) < 0 || drop_privileges(&err) < 0) {
		report(pipe_fd, &err);
		_exit(1);
	}
	report(pipe_fd, &err); /* all zero: ready */
	close(pipe_fd);
	serve();
	_exit(1);
}

static int await_ready(int fd, struct error *err)
{
	struct error told;
	ssize_t got;

	do {
		got = read(fd, &told, sizeof(told));
	} while (got < 0 && errno == EINTR);
	if (got != sizeof(told))
		return error_set(err, ECHILD, "reaper", "", "the reaper ended while it was being confined");
	if (told.step[0] == '\0')
		return 0;
	*err = told;
	return told.code > 0 ? -told.code : -EIO;
}

int reaper_start(const char *id, const char *cgroup, pid_t *pid, struct error *err)
{
	/* CLONE_PARENT: a child of the launcher, which outlives the process that makes the sandbox. */
	struct spawn how = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PARENT, .cgroup = -1 };
	scope_fd int directory = -1, reader = -1, writer = -1;
	int ends[2];
	pid_t child;

	if (*cgroup != '\0') {
		directory = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (directory < 0)
			return error_errno(err, "reaper", cgroup, "opening the cgroup");
		how.cgroup = directory;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "reaper", "", "pipe");
	reader = ends[0];
	writer = ends[1];
	child = spawn(&how, NULL);
	if (child == 0)
		reaper_main(id, writer);
	if (child < 0)
		return error_set(err, -child, "reaper", cgroup, "clone3: %s", strerror(-child));
	*pid = child;
	close(take_fd(&writer));
	return await_ready(reader, err);
}

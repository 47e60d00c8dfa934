#include "reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/spawn.h"
#include "../common/user_namespace.h"
#include "../common/user_spawn.h"
#include "confine.h"
#include "title.h"

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
	if (confine_root("reaper", &err) < 0 || confine_privileges("reaper", &err) < 0) {
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

struct birth {
	const char *id;
	int pipe_fd;
};

static void become_reaper(void *context)
{
	const struct birth *birth = context;
	struct error err = { 0 };

	if (user_namespace_become_root(&err) < 0) {
		report(birth->pipe_fd, &err);
		_exit(1);
	}
	reaper_main(birth->id, birth->pipe_fd);
}

/* CLONE_PARENT: a child of the launcher, which outlives the process that makes the sandbox. */
static pid_t spawn_reaper(struct birth *birth, const char *user, int cgroup, struct error *err)
{
	struct spawn how = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PARENT, .cgroup = cgroup };
	scope_fd int namespace = -1, pidfd = -1;
	struct user_spawn owned = { .cgroup = cgroup, .flags = CLONE_NEWPID | CLONE_NEWNS, .middle_flags = CLONE_PARENT,
				    .run = become_reaper, .context = birth };
	pid_t child;

	if (*user != '\0') {
		namespace = user_namespace_open(user, err);
		owned.user_namespace = namespace;
		return namespace < 0 ? namespace : user_spawn(&owned, &pidfd, err);
	}
	child = spawn(&how, NULL);
	if (child == 0)
		reaper_main(birth->id, birth->pipe_fd);
	return child < 0 ? error_set(err, -child, "reaper", "", "clone3: %s", strerror(-child)) : child;
}

int reaper_start(const char *id, const char *cgroup, const char *user, pid_t *pid, struct error *err)
{
	scope_fd int directory = -1, reader = -1, writer = -1;
	struct birth birth = { .id = id };
	int ends[2];
	pid_t child;

	if (*cgroup != '\0') {
		directory = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (directory < 0)
			return error_errno(err, "reaper", cgroup, "opening the cgroup");
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "reaper", "", "pipe");
	reader = ends[0];
	writer = birth.pipe_fd = ends[1];
	child = spawn_reaper(&birth, user, directory, err);
	if (child < 0)
		return child;
	*pid = child;
	close(take_fd(&writer));
	return await_ready(reader, err);
}

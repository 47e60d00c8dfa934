#include "user_spawn.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pass.h"
#include "scope.h"
#include "user_namespace.h"

static pid_t give_birth(const struct user_spawn *how, int *pidfd, struct error *err)
{
	struct spawn birth = { .flags = how->flags | CLONE_PARENT, .cgroup = -1 };
	pid_t child;

	if (how->prepare != NULL && how->prepare(how->context, err) < 0)
		return -1;
	if (setns(how->user_namespace, CLONE_NEWUSER) < 0)
		return error_errno(err, "namespace", "user", "cannot join the user namespace");
	child = spawn(&birth, pidfd);
	if (child == 0) {
		how->run(how->context);
		_exit(1);
	}
	return child < 0 ? error_set(err, -child, "clone", "", "clone3: %s", strerror(-child)) : child;
}

__attribute__((noreturn)) static void middle(const struct user_spawn *how, int socket)
{
	struct error err = { 0 };
	int pidfd = -1;

	/* A message of no error carries the new process. */
	if (give_birth(how, &pidfd, &err) > 0)
		memset(&err, 0, sizeof(err));
	_exit(pass_send(socket, &err, sizeof(err), pidfd) < 0 ? 1 : 0);
}

static pid_t take_child(int socket, int *pidfd, struct error *err)
{
	scope_fd int fd = -1;
	struct error told;
	int ret = pass_receive(socket, &told, sizeof(told), &fd);
	pid_t pid;

	if (ret < 0)
		return error_set(err, ECHILD, "clone", "", "the process in the middle died: %s", strerror(-ret));
	if (fd < 0) {
		*err = told;
		return told.code > 0 ? -told.code : -EIO;
	}
	pid = pidfd_number(fd);
	if (pid < 0)
		return error_set(err, -pid, "clone", "", "cannot tell the new process's number: %s", strerror(-pid));
	*pidfd = take_fd(&fd);
	return pid;
}

pid_t user_spawn(const struct user_spawn *how, int *pidfd, struct error *err)
{
	struct spawn birth = { .flags = how->middle_flags, .cgroup = how->cgroup };
	scope_fd int ours = -1, theirs = -1, between = -1;
	int pair[2];
	siginfo_t info;
	pid_t child;
	pid_t result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "clone", "", "socketpair");
	ours = pair[0];
	theirs = pair[1];
	child = spawn(&birth, &between);
	if (child == 0)
		middle(how, theirs);
	if (child < 0)
		return error_set(err, -child, "clone", "", "clone3: %s", strerror(-child));
	close(take_fd(&theirs));
	result = take_child(ours, pidfd, err);
	/* It has nothing left to do but to end. ECHILD: it is not our child, or reaped by the kernel. */
	while (waitid(P_PIDFD, (id_t)between, &info, WEXITED) < 0 && errno == EINTR)
		continue;
	return result;
}

#include "user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scope.h"
#include "spawn.h"

pid_t pidfd_number(int pidfd)
{
	scope_file FILE *file = NULL;
	char path[48];
	char line[128];
	int pid;

	/* Not what clone3 returned: a caller in another PID namespace than its /proc would be given another number. */
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Pid:\t%d", &pid) == 1)
			return pid > 0 ? pid : -ESRCH;
	return -ESRCH;
}

__attribute__((noreturn)) static void hold(int leash)
{
	char byte;

	spawn_reset_signals();
	if (spawn_keep_descriptors(&leash, 1) < 0)
		_exit(1);
	close_range(0, 2, 0);
	(void)!read(leash, &byte, 1);
	_exit(0);
}

static int write_map(pid_t pid, const char *name, const struct idmap *map, struct error *err)
{
	char path[64];
	char text[IDMAP_RANGES * 36];
	size_t used = 0;
	scope_fd int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	for (size_t i = 0; i < map->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u %u %u\n", map->ranges[i].inside,
					 map->ranges[i].outside, map->ranges[i].length);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* The kernel takes a map in one write, once. */
	if (fd < 0 || write(fd, text, used) != (ssize_t)used)
		return error_errno(err, "namespace", "user", "cannot set the user namespace's %s", name);
	return 0;
}

int namespace_hold(const struct idmaps *maps, unsigned long long flags, struct namespace_holder *holder,
		   struct error *err)
{
	struct spawn how = { .flags = flags | CLONE_NEWUSER, .cgroup = -1 };
	scope_fd int reader = -1;
	int ends[2];
	pid_t child;
	int ret;

	*holder = (struct namespace_holder){ .pidfd = -1, .leash = -1 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "namespace", "user", "pipe");
	reader = ends[0];
	holder->leash = ends[1];
	child = spawn(&how, &holder->pidfd);
	if (child == 0)
		hold(reader);
	if (child < 0) {
		close(take_fd(&holder->leash));
		return error_set(err, -child, "namespace", "user", "cannot make a user namespace: %s%s", strerror(-child),
				 child == -ENOSPC ? " (user.max_user_namespaces is reached)" : "");
	}
	holder->pid = pidfd_number(holder->pidfd);
	ret = holder->pid > 0 ? 0 : error_set(err, -holder->pid, "namespace", "user", "cannot tell the new process's number");
	ret = ret < 0 ? ret : write_map(holder->pid, "uid_map", &maps->uids, err);
	ret = ret < 0 ? ret : write_map(holder->pid, "gid_map", &maps->gids, err);
	if (ret < 0)
		namespace_release(holder);
	return ret;
}

void namespace_release(struct namespace_holder *holder)
{
	siginfo_t info;

	if (holder->leash >= 0)
		close(take_fd(&holder->leash));
	if (holder->pidfd < 0)
		return;
	pidfd_send_signal(holder->pidfd, SIGKILL, NULL, 0);
	/* ECHILD: this process ignores SIGCHLD, and the kernel has reaped it. */
	while (waitid(P_PIDFD, (id_t)holder->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		continue;
	close(take_fd(&holder->pidfd));
}

int user_namespace_make(const struct idmaps *maps, struct error *err)
{
	struct namespace_holder holder;
	char path[48];
	int fd;
	int ret = namespace_hold(maps, 0, &holder, err);

	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", holder.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ret = error_errno(err, "namespace", "user", "cannot open the new user namespace");
	namespace_release(&holder);
	return fd < 0 ? ret : fd;
}

int user_namespace_open(const char *path, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct statfs fs;

	if (fd < 0)
		return error_errno(err, "namespace", path, "cannot open the user namespace");
	/* The file system first: an ioctl's number means something else on other files. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWUSER)
		return error_set(err, EINVAL, "namespace", path, "is not a user namespace");
	return take_fd(&fd);
}

int user_namespace_become_root(struct error *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return error_errno(err, "namespace", "user", "cannot become root of the user namespace");
	/* Every change of credentials lets dumpable follow fs.suid_dumpable. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, "namespace", "user", "cannot forbid dumps");
	return 0;
}

int user_namespace_enter(int fd, struct error *err)
{
	if (setns(fd, CLONE_NEWUSER) < 0)
		return error_errno(err, "namespace", "user", "cannot join the user namespace");
	return user_namespace_become_root(err);
}

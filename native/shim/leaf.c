#include "leaf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"

#define DEPTH_MAX 16

int cgroup_open(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "cgroup", path, "opening the cgroup") : fd;
}

int cgroup_kill(int cgroup)
{
	scope_fd int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		return -errno;
	return 0;
}

static int signal_processes(int cgroup, int signal)
{
	scope_file FILE *file = NULL;
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	int count = 0;
	long pid;

	if (fd < 0)
		return 0;
	file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return 0;
	}
	/* 0 stands for a process of a PID namespace that is not visible here. */
	while (fscanf(file, "%ld", &pid) == 1)
		if (pid > 0 && kill((pid_t)pid, signal) == 0)
			count++;
	return count;
}

static int open_below(int directory, const struct dirent *entry)
{
	if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
		return -1;
	return openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static DIR *list(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);

	if (stream == NULL && copy >= 0)
		close(copy);
	return stream;
}

static int signal_tree(int cgroup, int signal, int depth)
{
	int count = signal_processes(cgroup, signal);
	scope_dir DIR *stream = depth < DEPTH_MAX ? list(cgroup) : NULL;
	struct dirent *entry;

	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		scope_fd int below = open_below(cgroup, entry);
		if (below >= 0)
			count += signal_tree(below, signal, depth + 1);
	}
	return count;
}

int cgroup_signal(int cgroup, int signal)
{
	return signal_tree(cgroup, signal, 0);
}

bool cgroup_oom_killed(int cgroup)
{
	char text[512];
	scope_fd int fd = openat(cgroup, "memory.events", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *line;

	if (got <= 0)
		return false;
	text[got] = '\0';
	line = strstr(text, "oom_kill ");
	return line != NULL && strtoull(line + strlen("oom_kill "), NULL, 10) > 0;
}

int leaf_create(int cgroup, unsigned number, char name[LEAF_NAME_SIZE], struct error *err)
{
	int fd;

	snprintf(name, LEAF_NAME_SIZE, "exec-%u", number);
	if (mkdirat(cgroup, name, 0755) < 0 && errno != EEXIST)
		return error_errno(err, "cgroup", name, "making the exec's cgroup");
	fd = openat(cgroup, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "cgroup", name, "opening the exec's cgroup") : fd;
}

int leaf_remove(int cgroup, const char *name)
{
	return unlinkat(cgroup, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int leaf_sweep(int cgroup)
{
	scope_dir DIR *stream = list(cgroup);
	struct dirent *entry;
	int left = 0;

	while (stream != NULL && (entry = readdir(stream)) != NULL)
		if (entry->d_type == DT_DIR && strncmp(entry->d_name, "exec-", 5) == 0 &&
		    unlinkat(cgroup, entry->d_name, AT_REMOVEDIR) < 0)
			left++; /* EBUSY: somebody lives there */
	return left;
}

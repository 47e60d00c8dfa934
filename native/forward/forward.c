#include "forward.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/request.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "../launcher/listen.h"
#include "serve.h"

static int open_namespace(const char *path, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "namespace", path, "opening the network namespace");
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(err, EINVAL, "namespace", path, "this is no network namespace");
	return take_fd(&fd);
}

/* Binds it; the directory is kept, so that the socket can be removed when paths lead nowhere any more. */
static int open_socket(const char *path, int *directory, char name[NAME_MAX + 1], struct error *err)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	struct error inner;
	int fd;

	snprintf(name, NAME_MAX + 1, "%s", slash + 1);
	snprintf(parent, sizeof(parent), "%.*s/", (int)(slash - path), path);
	*directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*directory < 0)
		return error_errno(err, "socket", path, "opening the directory");
	fd = listen_in(*directory, name, &inner);
	return fd < 0 ? error_set(err, inner.code, "socket", path, "%s", inner.message) : fd;
}

__attribute__((noreturn)) static void forward_child(int fds[3], const char *name)
{
	/* Also the daemon's end: as long as a copy lives, berthd's death would go unnoticed. */
	if (spawn_keep_descriptors(fds, 3) < 0)
		_exit(1);
	if (fds[2] >= 0 && setns(fds[2], CLONE_NEWNET) < 0) {
		unlinkat(fds[0], name, 0);
		_exit(1);
	}
	if (fds[2] >= 0)
		close(fds[2]);
	_exit(forward_serve(fds[0], name, fds[1]));
}

int forward_start(const json_t *request, pid_t *pid, struct error *err)
{
	struct spawn how = { .flags = CLONE_NEWNS, .cgroup = -1 };
	scope_fd int namespace = -1, directory = -1, socket = -1;
	const char *net, *path;
	char name[NAME_MAX + 1];
	int result = request_path(request, "net", true, &net, err);

	result = result < 0 ? result : request_path(request, "socket", false, &path, err);
	if (result < 0)
		return result;
	if (*net != '\0' && (namespace = open_namespace(net, err)) < 0)
		return namespace;
	if ((socket = open_socket(path, &directory, name, err)) < 0)
		return socket;
	*pid = spawn(&how, NULL);
	if (*pid == 0)
		forward_child((int[]){ directory, socket, namespace }, name);
	if (*pid < 0) {
		unlinkat(directory, name, 0);
		return error_set(err, -*pid, "clone", "", "clone3: %s", strerror(-*pid));
	}
	return 0;
}

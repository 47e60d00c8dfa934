#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/scope.h"

/* RESOLVE_BENEATH lets ".." through that stays below /proc/sys, and so from one namespace's part into the host's. */
static bool has_odd_part(const char *path)
{
	while (true) {
		size_t length = strcspn(path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		if (path[length] == '\0')
			return false;
		path += length + 1;
	}
}

int sysctl_path(const char *name, char *out, size_t size)
{
	size_t length = strlen(name);
	const char *first = strpbrk(name, "./");
	bool dotted = first != NULL && *first == '.';

	if (length == 0 || length >= size || first == name)
		return -EINVAL;
	/* sysctl(8): the first separator decides; with dots, a slash stands for a dot inside a part (eth0/1). */
	for (size_t i = 0; i <= length; i++)
		out[i] = dotted && name[i] == '.' ? '/' : dotted && name[i] == '/' ? '.' : name[i];
	return has_odd_part(out) ? -EINVAL : 0;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The list is the kernel's: net_namespace(7), ipc_namespaces(7), uts_namespaces(7). */
static bool in_scope(const struct sysctl_scope *scope, const char *path)
{
	if (starts_with(path, "net/"))
		return scope->net;
	if (starts_with(path, "kernel/shm") || starts_with(path, "kernel/msg") || strcmp(path, "kernel/sem") == 0 ||
	    starts_with(path, "fs/mqueue/"))
		return scope->ipc;
	if (strcmp(path, "kernel/domainname") == 0 || strcmp(path, "kernel/hostname") == 0)
		return scope->uts;
	return false;
}

static int open_entry(const char *path, const char *name, struct error *err)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	struct statfs info;
	scope_fd int root = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (root < 0 || fstatfs(root, &info) < 0)
		return error_errno(err, "sysctl", name, "/proc/sys");
	if (info.f_type != PROC_SUPER_MAGIC)
		return error_set(err, ENOTSUP, "sysctl", name, "/proc/sys is not procfs");
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? error_errno(err, "sysctl", name, "opening") : fd;
}

int sysctl_write(const struct sysctl_scope *scope, const char *name, const char *value, size_t length,
		 struct error *err)
{
	char path[256];
	scope_fd int fd = -1;
	ssize_t written;

	if (sysctl_path(name, path, sizeof(path)) < 0)
		return error_set(err, EINVAL, "sysctl", name, "this is no sysctl's name");
	/* A newline or NUL would end the value and start another one for whoever parses it later. */
	if (memchr(value, '\n', length) != NULL || memchr(value, '\0', length) != NULL)
		return error_set(err, EINVAL, "sysctl", name, "the value holds a line break or NUL");
	if (!in_scope(scope, path))
		return error_set(err, EPERM, "sysctl", name, "the sysctl is not of a namespace that the sandbox owns");
	fd = open_entry(path, name, err);
	if (fd < 0)
		return fd;
	written = write(fd, value, length);
	if (written < 0)
		return error_errno(err, "sysctl", name, "writing");
	if ((size_t)written != length)
		return error_set(err, EIO, "sysctl", name, "only a part of the value was taken");
	return 0;
}

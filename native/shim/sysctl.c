#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <linux/openat2.h>

#include "filesystem.h"
#include "paths.h"
#include "../common/scope.h"

/*
 * "net.ipv4.conf.eth0/100.forwarding" and "net/ipv4/conf/eth0.100/forwarding" are the same path: whichever
 * of the two separators comes first separates, the other one stands for itself (sysctl(8)).
 */
static bool to_path(const char *name, char *path, size_t size)
{
	size_t length = strlen(name);
	bool dots = name[strcspn(name, "./")] == '.';

	if (length == 0 || length >= size)
		return false;
	for (size_t i = 0; i <= length; i++)
		path[i] = !dots ? name[i] : name[i] == '.' ? '/' : name[i] == '/' ? '.' : name[i];
	return path[0] != '/' && path[length - 1] != '/' && strstr(path, "//") == NULL && strstr(path, "/../") == NULL &&
	       strstr(path, "/./") == NULL && strncmp(path, "../", 3) != 0;
}

static bool is_ipc(const char *path)
{
	static const char *const ipc[] = { "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
					   "kernel/shmall", "kernel/shmmax", "kernel/shmmni",
					   "kernel/shm_rmid_forced", "kernel/msg_next_id", "kernel/sem_next_id",
					   "kernel/shm_next_id", "kernel/auto_msgmni" };

	for (size_t i = 0; i < sizeof(ipc) / sizeof(ipc[0]); i++)
		if (strcmp(path, ipc[i]) == 0)
			return true;
	return strncmp(path, "fs/mqueue/", 10) == 0;
}

const char *sysctl_problem(const struct bundle *bundle, const char *name, const char *value)
{
	char path[PATH_MAX];

	if (!to_path(name, path, sizeof(path)))
		return "is not the name of a sysctl";
	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' && *at != '\t')
			return "the value holds a control character";
	if (is_ipc(path))
		return bundle->namespaces[NAMESPACE_IPC].flag != 0 ? NULL : "needs an ipc namespace of its own";
	if (strncmp(path, "net/", 4) == 0)
		return bundle->namespaces[NAMESPACE_NET].flag != 0 ? NULL : "needs a network namespace of its own";
	if (strcmp(path, "kernel/domainname") == 0)
		return bundle->namespaces[NAMESPACE_UTS].flag != 0 ? NULL : "needs a uts namespace of its own";
	return "is not a sysctl of a namespace: it would change the host";
}

static int write_one(int proc, const struct pair *sysctl, struct error *err)
{
	char path[PATH_MAX] = "sys/";
	size_t length = strlen(sysctl->value);
	scope_fd int fd = -1;

	if (!to_path(sysctl->name, path + 4, sizeof(path) - 4))
		return error_set(err, EINVAL, "sysctl", sysctl->name, "is not the name of a sysctl");
	/* On this very procfs, through no link and no mount above it: a write must not end up elsewhere. */
	fd = path_open(proc, path, O_WRONLY | O_NOCTTY, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	if (fd < 0) {
		errno = -fd;
		return error_errno(err, "sysctl", sysctl->name, "cannot open it");
	}
	if (write(fd, sysctl->value, length) != (ssize_t)length)
		return error_errno(err, "sysctl", sysctl->name, "cannot write \"%.128s\"", sysctl->value);
	return 0;
}

int sysctls_write(const struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	scope_fd int own = -1;
	int proc = container->proc_fd;
	int ret;

	if (bundle->sysctl_count == 0)
		return 0;
	if (proc < 0) {
		own = filesystem_mount("proc", NULL, NULL, 0, "sysctl", "/proc", err);
		if (own < 0)
			return own;
		proc = own;
	}
	for (size_t i = 0; i < bundle->sysctl_count; i++)
		if ((ret = write_one(proc, &bundle->sysctls[i], err)) < 0)
			return ret;
	return 0;
}

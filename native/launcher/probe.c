#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/user_namespace.h"
#include "../shim/overlay.h"

static int try_overlay(int directory, const char *path, int user_namespace, struct error *err)
{
	char one[PATH_MAX + 8], other[PATH_MAX + 8], at[PATH_MAX + 8];
	char *lower[] = { one, other, NULL };
	struct overlay_spec overlay = { .lower = lower, .lower_count = 2 };
	scope_fd int lowest = -1, target = -1, mount_fd = -1;

	snprintf(one, sizeof(one), "%s/one", path);
	snprintf(other, sizeof(other), "%s/other", path);
	snprintf(at, sizeof(at), "%s/at", path);
	if (mkdirat(directory, "one", 0755) < 0 || mkdirat(directory, "other", 0755) < 0 ||
	    mkdirat(directory, "at", 0755) < 0)
		return error_errno(err, "probe", path, "mkdir");
	target = openat(directory, "at", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return error_errno(err, "probe", at, "open");
	mount_fd = overlay_attach(&overlay, user_namespace, at, target, &lowest, err);
	/* A mount point cannot be removed. */
	while (umount2(at, MNT_DETACH) == 0)
		continue;
	return mount_fd < 0 ? mount_fd : 0;
}

int probe_user_namespaces(const char *directory, struct error *err)
{
	const struct idmap map = { 1, { { 0, 65536, 65536 } } };
	const struct idmaps maps = { map, map };
	char path[PATH_MAX];
	scope_fd int user_namespace = user_namespace_make(&maps, err);
	scope_fd int fd = -1;
	int ret;

	if (user_namespace < 0)
		return user_namespace;
	/* The mounts go with this process. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, "probe", "", "a mount namespace");
	if (snprintf(path, sizeof(path), "%s/.probe-XXXXXX", directory) >= (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "probe", directory, "the path is too long");
	if (mkdtemp(path) == NULL || (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return error_errno(err, "probe", path, "a temporary directory");
	ret = try_overlay(fd, path, user_namespace, err);
	unlinkat(fd, "one", AT_REMOVEDIR);
	unlinkat(fd, "other", AT_REMOVEDIR);
	unlinkat(fd, "at", AT_REMOVEDIR);
	rmdir(path);
	return ret;
}

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "filesystem.h"
#include "paths.h"
#include "mount_source.h"
#include "volume_fill.h"
#include "../common/scope.h"

/* inode number of the root of every procfs */
#define PROC_ROOT_INO 1

/*
 * What may be put over a file of /proc: the files that lxcfs and its like replace. Anything else there
 * would deceive this set-up or the container's processes about the kernel's own interface.
 */
static bool may_cover_proc(const char *destination)
{
	static const char *const files[] = { "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
					     "/proc/swaps",   "/proc/uptime",	 "/proc/loadavg", "/proc/slabinfo",
					     "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
					     "/proc/sys/crypto/fips_enabled" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(destination, files[i]) == 0)
			return true;
	return false;
}

static bool is_procfs(int fd, bool *root)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	*root = fstat(fd, &st) == 0 && st.st_ino == PROC_ROOT_INO;
	return true;
}

static bool is_same(int one, int other)
{
	struct stat a;
	struct stat b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int check_target(const struct container *container, const struct mount_spec *mount, int source, int target,
			struct error *err)
{
	bool target_root = false;
	bool source_root = false;

	if (is_same(target, container->root_fd))
		return error_set(err, EPERM, "mount", mount->destination, "must not be mounted over the root");
	if (!is_procfs(target, &target_root) || may_cover_proc(mount->destination))
		return 0;
	if (target_root && is_procfs(source, &source_root) && source_root)
		return 0;
	return error_set(err, EPERM, "mount", mount->destination, "must not be mounted over procfs");
}

static bool is_proc_or_sys(const struct mount_spec *mount)
{
	return mount->kind == MOUNT_FILESYSTEM &&
	       (strcmp(mount->type, "proc") == 0 || strcmp(mount->type, "sysfs") == 0);
}

static int open_target(const struct container *container, const struct mount_spec *mount, int source, struct error *err)
{
	struct stat st;
	int fd;

	if (fstat(source, &st) < 0)
		return error_errno(err, "mount", mount->destination, "cannot stat what is to be mounted");
	fd = path_ensure(container->root_fd, mount->destination, S_ISDIR(st.st_mode) ? PATH_DIRECTORY : PATH_FILE);
	/* An image whose /proc is a link would have another directory taken for procfs later on. */
	if (fd >= 0 && is_proc_or_sys(mount)) {
		close(fd);
		fd = path_open(container->root_fd, mount->destination, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	}
	if (fd >= 0)
		return fd;
	errno = -fd;
	return error_errno(err, "mount", mount->destination, "cannot open or make the mount point");
}

/* Only the image's own files: what lies in a volume of the pod is not the image's to be copied from there. */
static int fill(const struct container *container, const struct mount_spec *mount, int source, int target,
		struct error *err)
{
	struct stat root;
	struct stat at;

	if (!mount->copy_up || fstat(container->root_fd, &root) < 0 || fstat(target, &at) < 0 || root.st_dev != at.st_dev)
		return 0;
	return volume_fill(target, source, mount->destination, err);
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int attach(const struct container *container, const struct mount_spec *mount, int source, struct error *err)
{
	scope_fd int target = open_target(container, mount, source, err);
	int ret;

	if (target < 0)
		return target;
	if ((ret = check_target(container, mount, source, target, err)) < 0 ||
	    (ret = fill(container, mount, source, target, err)) < 0)
		return ret;
	/* The kernel only says EINVAL then. */
	if (is_directory(source) != is_directory(target))
		return error_set(err, ENOTDIR, "mount", mount->destination,
				 "cannot mount it (one of source and destination is a directory, the other is not)");
	ret = filesystem_attach(source, target);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "mount", mount->destination, "cannot mount it");
	}
	return 0;
}

static bool covers_dev(const struct mount_spec *mount)
{
	return mount->kind == MOUNT_BIND && strncmp(mount->destination, "/dev", 4) == 0 &&
	       mount->destination[4 + strspn(mount->destination + 4, "/")] == '\0';
}

int mounts_attach(struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	int ret;

	container->own_dev = true;
	for (size_t i = 0; i < bundle->mount_count; i++) {
		const struct mount_spec *mount = &bundle->mounts[i];
		scope_fd int fd = take_fd(&container->sources[i]);
		bool root = false;

		if (fd < 0 && (fd = mount_source_new(container, mount, err)) < 0)
			return fd;
		if ((ret = attach(container, mount, fd, err)) < 0)
			return ret;
		if (covers_dev(mount))
			container->own_dev = false;
		if (mount->kind == MOUNT_FILESYSTEM && container->proc_fd < 0 && strcmp(mount->type, "proc") == 0 &&
		    is_procfs(fd, &root) && root)
			container->proc_fd = take_fd(&fd);
	}
	return 0;
}

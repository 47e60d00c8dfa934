#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "filesystem.h"
#include "ownership.h"
#include "paths.h"
#include "../common/scope.h"

/* Opens what stands there and proves that it is the device. */
static int open_verified(int parent, const char *name, const struct device_spec *device)
{
	int fd = path_open(parent, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == (device->mode & S_IFMT) &&
	    (S_ISFIFO(st.st_mode) || st.st_rdev == device->number))
		return fd;
	close(fd);
	return -EEXIST;
}

/*
 * Only what lies in the container's own /dev is changed; a device in a volume, or in the host's /dev, belongs
 * to whoever put it there.
 */
static bool is_own(const struct container *container, const struct device_spec *device)
{
	return container->own_dev && strncmp(device->path, "/dev/", 5) == 0;
}

/*
 * A device that nobody gave to the container's users stays the host's root's: in a user namespace that is nobody, and
 * the container's root may do with it what others may. What all may use can be anybody's.
 */
static bool is_of_host(const struct device_spec *device)
{
	return device->uid == 0 && device->gid == 0 && (device->mode & 06) != 06;
}

/* By descriptor, so that neither reaches anything but the device. */
static int set_access(const struct container *container, int parent, const char *name,
		      const struct device_spec *device, bool existed, struct error *err)
{
	scope_fd int fd = open_verified(parent, name, device);
	uid_t uid = device->uid;
	gid_t gid = device->gid;
	bool of_host = is_of_host(device);
	char link[32];

	if (fd < 0)
		return error_set(err, -fd, "device", device->path, "the image has something else there");
	if (!of_host && !ownership_outside(container, &uid, &gid))
		return error_set(err, EINVAL, "device", device->path, "its owner is not in the container's user namespace");
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return error_errno(err, "device", device->path, "cannot set its owner");
	/* fchmod refuses an O_PATH descriptor, and fchmodat2 is younger (6.6) than the kernels we run on. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (existed && chmod(link, device->mode & 07777) < 0)
		return error_errno(err, "device", device->path, "cannot set its mode");
	return 0;
}

/*
 * Where mknod is not allowed (a device cgroup on a v1 host, a user namespace), the host's device of the
 * same name is mounted in its place.
 */
static int bind_from_host(int parent, const char *name, const struct device_spec *device, struct error *err)
{
	scope_fd int tree = open_tree(AT_FDCWD, device->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	scope_fd int target = -1;
	struct stat st;
	int ret;

	if (tree < 0 || fstat(tree, &st) < 0)
		return error_errno(err, "device", device->path, "mknod is not permitted, nor can the host's be opened");
	if ((st.st_mode & S_IFMT) != (device->mode & S_IFMT) || st.st_rdev != device->number)
		return error_set(err, EPERM, "device", device->path,
				 "mknod is not permitted, and the host has another device under this name");
	if (mknodat(parent, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return error_errno(err, "device", device->path, "cannot make the file to mount it on");
	target = path_open(parent, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	ret = target < 0 ? target : filesystem_attach(tree, target);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "device", device->path, "cannot mount the host's device");
	}
	return 0;
}

static int make(const struct container *container, const struct device_spec *device, struct error *err)
{
	const char *name;
	scope_fd int parent = path_ensure_parent(container->root_fd, device->path, &name);
	scope_fd int found = -1;

	if (parent < 0) {
		errno = -parent;
		return error_errno(err, "device", device->path, "cannot open or make its directory");
	}
	if (mknodat(parent, name, device->mode, device->number) == 0)
		return device->uid == 0 && device->gid == 0 && (container->maps == NULL || !is_of_host(device)) ?
			       0 :
			       set_access(container, parent, name, device, false, err);
	if (errno == EPERM)
		return bind_from_host(parent, name, device, err);
	if (errno != EEXIST)
		return error_errno(err, "device", device->path, "cannot make the device");
	if (is_own(container, device))
		return set_access(container, parent, name, device, true, err);
	found = open_verified(parent, name, device);
	return found < 0 ? error_set(err, -found, "device", device->path, "something else is there already") : 0;
}

static int make_standard(const struct container *container, struct error *err)
{
	static const struct {
		const char *path;
		unsigned int major, minor;
	} standard[] = {
		{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
		{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
	};

	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		struct device_spec device = {
			.path = standard[i].path,
			.mode = S_IFCHR | 0666,
			.number = makedev(standard[i].major, standard[i].minor),
		};
		int ret = make(container, &device, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* An image that brings its own under these names keeps them: they are names for programs, nothing more. */
static int make_links(const struct container *container, struct error *err)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },	 { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "/proc/kcore", "core" },	 { "pts/ptmx", "ptmx" },
	};
	scope_fd int dev = path_ensure(container->root_fd, "/dev", PATH_DIRECTORY);

	if (dev < 0) {
		errno = -dev;
		return error_errno(err, "device", "/dev", "cannot open it");
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		/* Not every kernel has it; the host's /proc tells, as long as it is this process's. */
		if (strcmp(links[i][0], "/proc/kcore") == 0 && access("/proc/kcore", F_OK) < 0)
			continue;
		if (symlinkat(links[i][0], dev, links[i][1]) < 0 && errno != EEXIST)
			return error_errno(err, "device", links[i][1], "cannot make the link in /dev");
	}
	return 0;
}

static int attach_console(const struct container *container, struct error *err)
{
	scope_fd int target = -1;
	int ret;

	if (container->console_mount < 0)
		return 0;
	target = path_ensure(container->root_fd, "/dev/console", PATH_FILE);
	ret = target < 0 ? target : filesystem_attach(container->console_mount, target);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "device", "/dev/console", "cannot mount the terminal");
	}
	return 0;
}

/*
 * A privileged container's bundle lists every device of the host. Its /dev/ptmx would open the host's
 * pseudo terminals, and its /dev/console is the host's: the container's own take their place.
 */
static bool is_provided(const struct container *container, const struct device_spec *device)
{
	if (!container->own_dev)
		return strncmp(device->path, "/dev/", 5) == 0;
	return strcmp(device->path, "/dev/ptmx") == 0 ||
	       (container->console_mount >= 0 && strcmp(device->path, "/dev/console") == 0);
}

int devices_make(const struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	int ret;

	if (container->own_dev && ((ret = make_standard(container, err)) < 0 || (ret = make_links(container, err)) < 0 ||
				   (ret = attach_console(container, err)) < 0))
		return ret;
	for (size_t i = 0; i < bundle->device_count; i++)
		if (!is_provided(container, &bundle->devices[i]) && (ret = make(container, &bundle->devices[i], err)) < 0)
			return ret;
	return 0;
}

int devices_open_null(const struct container *container)
{
	int fd = path_open(container->root_fd, "/dev/null", O_PATH, RESOLVE_NO_SYMLINKS);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		close(fd);
		return -ENODEV;
	}
	return fd;
}

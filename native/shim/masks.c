#include "masks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices.h"
#include "filesystem.h"
#include "paths.h"
#include "../common/scope.h"

/* What is put over masked files and directories: opened when first needed, then copied. */
struct covers {
	int null;
	int empty;
};

/*
 * The container's own /dev/null, so that chmod on a masked file cannot change the host's; proven to be the
 * null device, or an image could have its own file shown in place of a masked one.
 */
static int cover_of_file(const struct container *container, struct covers *covers, const char *path, struct error *err)
{
	int fd;

	if (covers->null < 0)
		covers->null = devices_open_null(container);
	if (covers->null < 0) {
		errno = -covers->null;
		return error_errno(err, "mask", path, "no null device to mask it with");
	}
	fd = open_tree(covers->null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? error_errno(err, "mask", path, "cannot copy the null device's mount") : fd;
}

/*
 * One filesystem for all masked directories: it is empty and read-only as such, not just by its mounts. The
 * first directory gets the mount itself, the others copies of it: a mount that is never attached would cost
 * an RCU grace period when its descriptor is closed (dissolve_on_fput), more than all masks together.
 */
static int cover_of_directory(struct covers *covers, const char *path, struct error *err)
{
	char *options[] = { "ro", "size=4k", "nr_inodes=1", "mode=0555", NULL };
	int fd;

	if (covers->empty < 0) {
		fd = filesystem_mount("tmpfs", "mask", options,
				      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, "mask",
				      path, err);
		covers->empty = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return fd;
	}
	fd = open_tree(covers->empty, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? error_errno(err, "mask", path, "cannot copy the empty filesystem's mount") : fd;
}

static int mask(const struct container *container, struct covers *covers, const char *path, struct error *err)
{
	scope_fd int target = path_open(container->root_fd, path, O_PATH, 0);
	scope_fd int cover = -1;
	struct stat st;
	int ret;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0) {
		errno = -target;
		return error_errno(err, "mask", path, "cannot open what is to be masked");
	}
	if (fstat(target, &st) < 0)
		return error_errno(err, "mask", path, "cannot stat what is to be masked");
	cover = S_ISDIR(st.st_mode) ? cover_of_directory(covers, path, err) :
				      cover_of_file(container, covers, path, err);
	if (cover < 0)
		return cover;
	ret = filesystem_attach(cover, target);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "mask", path, "cannot mask it");
	}
	return 0;
}

static int make_readonly(const struct container *container, const char *path, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE };
	scope_fd int target = path_open(container->root_fd, path, O_PATH, 0);
	scope_fd int tree = -1;
	int ret;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0) {
		errno = -target;
		return error_errno(err, "readonly", path, "cannot open it");
	}
	tree = open_tree(target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return error_errno(err, "readonly", path, "cannot copy its mount");
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "readonly", path, "cannot make the mount read-only");
	ret = filesystem_attach(tree, target);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "readonly", path, "cannot mount it read-only");
	}
	return 0;
}

int masks_apply(const struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	struct covers covers = { -1, -1 };
	int ret = 0;

	for (char **path = bundle->readonly_paths; ret == 0 && *path != NULL; path++)
		ret = make_readonly(container, *path, err);
	for (char **path = bundle->masked_paths; ret == 0 && *path != NULL; path++)
		ret = mask(container, &covers, *path, err);
	scope_close_fd(&covers.null);
	scope_close_fd(&covers.empty);
	return ret;
}

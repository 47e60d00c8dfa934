#include "mount_source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "filesystem.h"
#include "image_mount.h"
#include "mounts.h"
#include "ownership.h"
#include "propagation.h"
#include "../common/scope.h"
#include "../common/user_namespace.h"

static int set_attributes(int fd, unsigned int flags, uint64_t set, bool atime, unsigned long propagation)
{
	struct mount_attr attributes = { .attr_set = set, .propagation = propagation };

	if (atime || (set & MOUNT_ATTR__ATIME) != 0)
		attributes.attr_clr = MOUNT_ATTR__ATIME;
	if (attributes.attr_set == 0 && attributes.attr_clr == 0 && attributes.propagation == 0)
		return 0;
	return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof(attributes));
}

/* On a detached tree, so the container never sees it without them. */
static int apply_options(int fd, const struct mount_spec *mount, struct error *err)
{
	bool whole = !mount->recursive; /* one mount: recursion makes no difference, one call is enough */
	unsigned long tree = whole || mount->propagation_tree ? mount->propagation : 0;
	uint64_t tree_set = mount->attributes_tree | (whole ? mount->attributes : 0);
	bool tree_atime = mount->atime_tree || (whole && mount->atime);

	if (set_attributes(fd, whole ? 0 : AT_RECURSIVE, tree_set, tree_atime, tree) < 0)
		return error_errno(err, "mount", mount->destination, "cannot set the mount's options");
	if (!whole && set_attributes(fd, 0, mount->attributes, mount->atime,
				     mount->propagation_tree ? 0 : mount->propagation) < 0)
		return error_errno(err, "mount", mount->destination, "cannot set the mount's options");
	return 0;
}

/* Possible only as long as the copy is attached nowhere, and for file systems that know of it. */
static int map_ids(const struct container *container, const struct mount_spec *mount, int fd, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP };
	const struct idmaps *maps = mount->maps;
	scope_fd int own = -1;
	bool shared;

	if (maps == NULL)
		return 0;
	shared = maps->uids.count == 0 || (container->maps != NULL && idmaps_equal(maps, container->maps));
	if (!shared && (own = user_namespace_make(maps, err)) < 0)
		return own;
	attributes.userns_fd = (uint64_t)(shared ? container->user_namespace : own);
	if (mount_setattr(fd, "", AT_EMPTY_PATH | (mount->maps_tree ? AT_RECURSIVE : 0), &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "mount", mount->destination, "cannot map the ids of \"%.256s\"%s", mount->source,
				   errno == EINVAL ? " (a file system there does not allow it, or is mapped already)" : "");
	return 0;
}

static int clone_tree(const struct container *container, const struct mount_spec *mount, struct error *err)
{
	int ret = propagation_check(container->directory_fd, mount, err);
	scope_fd int fd = ret < 0 ? -1 :
				    open_tree(container->directory_fd, mount->source,
					      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (mount->recursive ? AT_RECURSIVE : 0));

	if (ret < 0)
		return ret;
	if (fd < 0)
		return error_errno(err, "mount", mount->destination, "cannot open the source \"%.256s\"", mount->source);
	if ((ret = map_ids(container, mount, fd, err)) < 0 || (ret = apply_options(fd, mount, err)) < 0)
		return ret;
	return take_fd(&fd);
}

/*
 * The terminal's slave side, found by its name because a mount can only be copied within its own mount
 * namespace, and compared with the descriptor because a name proves nothing.
 */
static int open_console(struct container *container, struct error *err)
{
	char link[32];
	char path[PATH_MAX];
	struct stat wanted;
	struct stat found;
	ssize_t length;

	if (container->console_fd < 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", container->console_fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return error_errno(err, "device", "/dev/console", "cannot tell the terminal's name");
	path[length] = '\0';
	container->console_mount = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (container->console_mount < 0)
		return error_errno(err, "device", "/dev/console", "cannot open the terminal \"%.128s\"", path);
	if (fstat(container->console_fd, &wanted) < 0 || fstat(container->console_mount, &found) < 0)
		return error_errno(err, "device", "/dev/console", "cannot stat the terminal");
	if (!S_ISCHR(found.st_mode) || wanted.st_dev != found.st_dev || wanted.st_ino != found.st_ino ||
	    wanted.st_rdev != found.st_rdev)
		return error_set(err, EXDEV, "device", "/dev/console", "\"%.128s\" is not the terminal", path);
	return 0;
}

int mounts_open_sources(struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;

	container->sources = malloc((bundle->mount_count + 1) * sizeof(int));
	if (container->sources == NULL)
		return error_set(err, ENOMEM, "mount", "", "no memory for %zu mounts", bundle->mount_count);
	for (size_t i = 0; i < bundle->mount_count; i++)
		container->sources[i] = -1;
	for (size_t i = 0; i < bundle->mount_count; i++) {
		const struct mount_spec *mount = &bundle->mounts[i];

		if (mount->kind != MOUNT_BIND)
			continue;
		container->sources[i] = clone_tree(container, mount, err);
		if (container->sources[i] < 0)
			return container->sources[i];
	}
	return open_console(container, err);
}

/*
 * The cgroup2 hierarchy, whichever of the two names the bundle uses: on a hybrid host too. In a cgroup
 * namespace its root is the container's cgroup. Without one, the container shows only its own cgroup,
 * by a copy of that directory.
 */
static int new_cgroup(const struct container *container, const struct mount_spec *mount, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	scope_fd int tree = -1;
	struct statfs fs;
	int ret;

	if (bundle->namespaces[NAMESPACE_CGROUP].flag != 0)
		return filesystem_mount("cgroup2", mount->source, NULL, mount->attributes | mount->attributes_tree, "mount",
					mount->destination, err);
	if (bundle->cgroup == NULL)
		return error_set(err, EINVAL, "mount", mount->destination,
				 "a cgroup mount needs a cgroup namespace or a cgroup of the container's own");
	tree = open_tree(AT_FDCWD, bundle->cgroup, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return error_errno(err, "mount", mount->destination, "cannot open the cgroup \"%.256s\"", bundle->cgroup);
	if (fstatfs(tree, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return error_set(err, EINVAL, "mount", mount->destination, "\"%.256s\" is not in a cgroup2 filesystem",
				 bundle->cgroup);
	if ((ret = apply_options(tree, mount, err)) < 0)
		return ret;
	return take_fd(&tree);
}

/* It gives both to root, whoever mounts it. */
static int own_terminals(const struct container *container, const struct mount_spec *mount, int fd, struct error *err)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (container->maps == NULL || strcmp(mount->type, "devpts") != 0)
		return 0;
	if (!ownership_outside(container, &uid, &gid) || fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ||
	    fchownat(fd, "ptmx", uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "mount", mount->destination, "cannot give the terminals to the container's root");
	return 0;
}

int mount_source_new(const struct container *container, const struct mount_spec *mount, struct error *err)
{
	struct arena scratch = { 0 };
	char **data;
	int fd;

	if (mount->kind == MOUNT_CGROUP)
		return new_cgroup(container, mount, err);
	if (mount->kind == MOUNT_IMAGE)
		return image_mount_new(container, mount, err);
	if (ownership_options(container, mount->data, &data, &scratch) < 0)
		fd = error_set(err, EINVAL, "mount", mount->destination,
			       "an option names a user or group that is not in the container's user namespace");
	else
		fd = filesystem_mount(mount->type, mount->source, data, mount->attributes | mount->attributes_tree, "mount",
				      mount->destination, err);
	arena_free(&scratch);
	if (fd >= 0 && own_terminals(container, mount, fd, err) < 0) {
		close(fd);
		return err->code > 0 ? -err->code : -EIO;
	}
	/* A new mount is private by itself. */
	if (fd >= 0 && mount->propagation != MS_PRIVATE && set_attributes(fd, 0, 0, false, mount->propagation) < 0) {
		error_errno(err, "mount", mount->destination, "cannot set the mount's propagation");
		close(fd);
		return err->code > 0 ? -err->code : -EIO;
	}
	return fd;
}

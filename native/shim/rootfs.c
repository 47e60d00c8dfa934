#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "filesystem.h"
#include "kernel.h"
#include "overlay.h"
#include "../common/scope.h"

/*
 * Where the root is attached: over the bundle, which is there anyway. Hooks have to find both, so with them it is
 * over root.path.
 */
static int open_place(const struct container *container, char path[PATH_MAX], struct error *err)
{
	const struct bundle *bundle = container->bundle;
	const char *root = bundle->hooks == NULL ? "." : bundle->root_path;
	int fd = openat(container->directory_fd, root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "rootfs", root, "cannot open the directory to attach the root to");
	if (bundle->hooks == NULL || root[0] == '/')
		snprintf(path, PATH_MAX, "%s", bundle->hooks == NULL ? bundle->directory : root);
	else
		snprintf(path, PATH_MAX, "%s/%s", bundle->directory, root);
	return fd;
}

/* A directory given by root.path: taken with the mounts below it, propagation as asked for, else private. */
static int attach_directory(struct container *container, int place, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	unsigned int flags = bundle->root_propagation == 0 || bundle->root_propagation_tree ? AT_RECURSIVE : 0;
	struct mount_attr attributes = { .propagation = bundle->root_propagation };
	scope_fd int tree = open_tree(container->directory_fd, bundle->root_path,
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int ret;

	if (tree < 0)
		return error_errno(err, "rootfs", bundle->root_path, "cannot take the root directory");
	/* pivot_root wants a root that is not shared; rootfs_seal shares it afterwards. */
	if (attributes.propagation == 0 || attributes.propagation == MS_SHARED ||
	    attributes.propagation == MS_UNBINDABLE)
		attributes.propagation = MS_PRIVATE;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | flags, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "rootfs", bundle->root_path, "cannot set the propagation");
	ret = filesystem_attach(tree, place);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "rootfs", bundle->root_path, "cannot attach the root directory");
	}
	container->root_fd = take_fd(&tree);
	return 0;
}

int rootfs_attach(struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	char path[PATH_MAX];
	scope_fd int lowest = -1, place = -1;

	/*
	 * Nothing that is mounted from here on reaches the host; what the host unmounts meanwhile does not
	 * stay busy here. Bind mounts were cloned before this, so those that shall be shared still are.
	 */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return error_errno(err, "rootfs", "/", "cannot leave the host's mount propagation");
	place = open_place(container, path, err);
	if (place < 0)
		return place;
	if (bundle->overlay == NULL)
		return attach_directory(container, place, err);
	/* The layers below it go with the host's root. */
	container->root_fd = overlay_attach(bundle->overlay, container->user_namespace, path, place, &lowest, err);
	return container->root_fd < 0 ? container->root_fd : 0;
}

int rootfs_pivot(const struct container *container, struct error *err)
{
	if (fchdir(container->root_fd) < 0)
		return error_errno(err, "pivot", "/", "cannot enter the root");
	/*
	 * With "." twice the old root ends up on top of the new one, at the same place (pivot_root(2)), so no
	 * directory of the image is needed to put it into, and "." names it for the unmount.
	 */
	if (sys_pivot_root(".", ".") < 0)
		return error_errno(err, "pivot", "/", "cannot pivot the root");
	if (umount2(".", MNT_DETACH) < 0)
		return error_errno(err, "pivot", "/", "cannot take the old root away");
	if (chdir("/") < 0)
		return error_errno(err, "pivot", "/", "cannot enter the new root");
	return 0;
}

int rootfs_seal(const struct container *container, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	unsigned long propagation = bundle->root_propagation;
	struct mount_attr attributes = { .attr_set = bundle->root_readonly ? MOUNT_ATTR_RDONLY : 0 };

	/*
	 * Only the root itself: each mount inside has the propagation its own options ask for, and a
	 * private volume must not become shared because another one is.
	 */
	if (propagation == MS_SHARED || propagation == MS_UNBINDABLE)
		attributes.propagation = propagation;
	if (attributes.attr_set == 0 && attributes.propagation == 0)
		return 0;
	if (mount_setattr(container->root_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "rootfs", "/", "cannot set the root's attributes");
	return 0;
}

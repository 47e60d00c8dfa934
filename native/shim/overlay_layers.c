/* The layers of an overlay with the ids of a user namespace: idmapped copies of their mounts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "filesystem.h"
#include "overlay.h"
#include "../common/scope.h"

#define NAME_SIZE sizeof("/proc/self/fd/-2147483648")

struct layers {
	size_t count; /* as many as there are mounts */
	int *mounts;
	char (*names)[NAME_SIZE];
	char **lower;
};

static int map_layer(const char *path, int user_namespace, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace,
					 .propagation = MS_PRIVATE };
	scope_fd int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return error_errno(err, "rootfs", path, "cannot take the layer");
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "rootfs", path, "cannot map the layer's ids%s",
				   errno == EINVAL ? " (its file system does not allow it)" : "");
	return take_fd(&fd);
}

/*
 * Kernels before 6.15 take a layer only from a mount that is attached somewhere. One upon the other at the same
 * place will do: each is named by its descriptor. And a mount that never was attached costs more to be closed.
 */
static int add_layer(struct layers *layers, const char *path, int user_namespace, int target, struct error *err)
{
	int fd = map_layer(path, user_namespace, err);
	int ret;

	if (fd < 0)
		return fd;
	ret = filesystem_attach(fd, target);
	if (ret < 0) {
		close(fd);
		errno = -ret;
		return error_errno(err, "rootfs", path, "cannot attach the layer");
	}
	snprintf(layers->names[layers->count], NAME_SIZE, "/proc/self/fd/%d", fd);
	layers->lower[layers->count] = layers->names[layers->count];
	layers->mounts[layers->count++] = fd;
	return 0;
}

static bool allocate(struct layers *layers, size_t count)
{
	layers->mounts = calloc(count, sizeof(*layers->mounts));
	layers->names = calloc(count, sizeof(*layers->names));
	layers->lower = calloc(count + 1, sizeof(*layers->lower));
	return layers->mounts != NULL && layers->names != NULL && layers->lower != NULL;
}

static void release(struct layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		scope_close_fd(&layers->mounts[i]);
	free(layers->mounts);
	free(layers->names);
	free(layers->lower);
}

int overlay_attach(const struct overlay_spec *overlay, int user_namespace, const char *target, int target_fd,
		   int *lowest, struct error *err)
{
	struct overlay_spec mapped = *overlay;
	struct layers layers = { 0 };
	int ret = 0;

	*lowest = -1;
	if (user_namespace < 0)
		return overlay_attach_plain(overlay, target, target_fd, err);
	if (!allocate(&layers, overlay->lower_count))
		ret = error_set(err, ENOMEM, "rootfs", target, "no memory for the layers");
	for (size_t i = 0; ret == 0 && i < overlay->lower_count; i++)
		ret = add_layer(&layers, overlay->lower[i], user_namespace, target_fd, err);
	mapped.lower = layers.lower;
	if (ret == 0)
		ret = overlay_attach_plain(&mapped, target, target_fd, err);
	if (ret >= 0)
		*lowest = take_fd(&layers.mounts[0]);
	release(&layers);
	return ret;
}

#include "image_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bundle_parts.h"
#include "overlay.h"
#include "paths.h"
#include "../common/scope.h"

#define LAYER "lowerdir+="
#define INNER_PATH "x-berth.path="

int image_mount_read(struct mount_spec *mount, const struct fields *fields, struct error *err)
{
	struct overlay_spec *overlay = arena_alloc(fields->arena, sizeof(*overlay));
	size_t count = 0;

	while (mount->data[count] != NULL)
		count++;
	if (overlay == NULL || (overlay->lower = arena_alloc(fields->arena, (count + 1) * sizeof(char *))) == NULL)
		return field_no_memory(fields, err);
	mount->image_path = "";
	for (size_t i = 0; i < count; i++) {
		char *option = mount->data[i];

		if (strncmp(option, LAYER "/", sizeof(LAYER)) == 0 && strlen(option) < 4096)
			overlay->lower[overlay->lower_count++] = option + strlen(LAYER);
		else if (strncmp(option, INNER_PATH, strlen(INNER_PATH)) == 0)
			mount->image_path = option + strlen(INNER_PATH);
		else
			return field_error(fields, "options", err, "\"%.64s\" is not an option of an image's mount", option);
	}
	/* The kernel takes no overlay of one directory alone that has nothing to be written to. */
	if (overlay->lower_count < 2)
		return field_error(fields, "options", err, "must name at least two layers");
	mount->image = overlay;
	return 0;
}

/*
 * The path's symlinks are the image's: they are resolved within it. And the copy of a mount is made from
 * one that is attached, since kernels before 6.15 copy nothing from a mount that is not.
 */
static int clone_inside(int root, const struct mount_spec *mount, struct error *err)
{
	scope_fd int inner = path_open(root, mount->image_path[0] == '\0' ? "." : mount->image_path, O_PATH, 0);
	int fd;

	if (inner < 0) {
		errno = -inner;
		return error_errno(err, "mount", mount->destination, "cannot open \"%.256s\" in the image", mount->image_path);
	}
	fd = open_tree(inner, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd >= 0 ? fd :
			 error_errno(err, "mount", mount->destination, "cannot take \"%.256s\" of the image", mount->image_path);
}

/* What umount2 takes away at a place is the topmost mount there, so it is as many calls as there are mounts. */
static int uncover(int lowest, size_t count, const struct mount_spec *mount, struct error *err)
{
	char place[32];

	snprintf(place, sizeof(place), "/proc/self/fd/%d", lowest);
	for (size_t i = 0; i < count; i++)
		if (umount2(place, MNT_DETACH) < 0)
			return error_errno(err, "mount", mount->destination, "cannot put the image's mount in its place");
	return 0;
}

int image_mount_new(const struct container *container, const struct mount_spec *mount, struct error *err)
{
	struct mount_attr attributes = { .attr_set = mount->attributes | mount->attributes_tree | MOUNT_ATTR_RDONLY,
					 .propagation = MS_PRIVATE };
	char place[32];
	scope_fd int lowest = -1;
	int ret;

	/* Over the container's root for a moment: nobody else is in this mount namespace yet, and nothing is written. */
	snprintf(place, sizeof(place), "/proc/self/fd/%d", container->root_fd);
	scope_fd int whole = overlay_attach(mount->image, container->user_namespace, place, container->root_fd, &lowest, err);
	if (whole < 0)
		return whole;
	scope_fd int fd = clone_inside(whole, mount, err);
	ret = lowest < 0 ? uncover(whole, 1, mount, err) : uncover(lowest, mount->image->lower_count + 1, mount, err);
	if (ret < 0)
		return ret;
	if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, "mount", mount->destination, "cannot set the mount's options");
	return fd < 0 ? fd : take_fd(&fd);
}

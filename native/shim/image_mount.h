/* A mount of an image, or of a path inside one: an overlay of the image's layers that nobody can write to. */
#ifndef BERTH_SHIM_IMAGE_MOUNT_H
#define BERTH_SHIM_IMAGE_MOUNT_H

#include "container.h"

/*
 * Takes the layers and the path out of `mount->data`: "lowerdir+=DIR", top first, and "x-berth.path=PATH".
 * Called while the bundle is read; `fields` names the mount in errors.
 */
struct fields;
int image_mount_read(struct mount_spec *mount, const struct fields *fields, struct error *err);

/* A detached mount, to be attached like any other. The container's root must be attached already. */
int image_mount_new(const struct container *container, const struct mount_spec *mount, struct error *err);

#endif

/* New filesystems through fsopen, fsconfig and fsmount: the result is a mount that is attached nowhere yet. */
#ifndef BERTH_SHIM_FILESYSTEM_H
#define BERTH_SHIM_FILESYSTEM_H

#include <stdint.h>

#include "../common/error.h"

/* The longest value fsconfig takes as a string (FSCONFIG_SET_STRING: strndup_user of 256 with its NUL). */
#define FSCONFIG_MAX 255

/*
 * `options`: NULL-terminated "key=value" and "flag"; `attributes`: MOUNT_ATTR_*. Returns the mount's
 * descriptor (O_PATH) or a negative errno, with `step` and `path` in the error.
 */
int filesystem_mount(const char *type, const char *source, char *const *options, uint64_t attributes, const char *step,
		     const char *path, struct error *err);

/*
 * Records errno with what the kernel itself has to say about it: a filesystem context queues messages
 * ("overlay: No changes allowed in reconfigure"), to be read from its descriptor.
 */
int filesystem_error(int context, const char *step, const char *path, const char *doing, struct error *err);

/* Attaches a detached mount onto what `target` is open on. */
int filesystem_attach(int mount, int target);

#endif

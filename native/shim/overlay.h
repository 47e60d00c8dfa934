#ifndef BERTH_SHIM_OVERLAY_H
#define BERTH_SHIM_OVERLAY_H

#include "bundle.h"

/*
 * `user_namespace`: the files of the lower layers shall have the owners that it maps theirs to; -1: as they are.
 * The upper directory holds them as the host numbers them. The mapped layers are left mounted at the same place, below
 * the overlay; *lowest is then a descriptor of the lowest, with which all of them can be unmounted, else -1.
 *
 * Mounts the overlay over the directory `target`, in the calling process's mount namespace, and returns
 * the mount's descriptor (O_PATH).
 */
int overlay_attach(const struct overlay_spec *overlay, int user_namespace, const char *target, int target_fd,
		   int *lowest, struct error *err);

/* The same without maps: what overlay_attach does once the layers are mapped. */
int overlay_attach_plain(const struct overlay_spec *overlay, const char *target, int target_fd, struct error *err);

/* The same by mount(2), for kernels before 6.8; its options must fit into one page. */
int overlay_attach_by_string(const struct overlay_spec *overlay, const char *target, struct error *err);

/* Whether a kernel of this release ("6.1.0-18-amd64") takes the layers in one string only. */
bool overlay_needs_string(const char *release);

#endif

/* The mount options of the OCI runtime spec. */
#ifndef BERTH_SHIM_MOUNT_OPTIONS_H
#define BERTH_SHIM_MOUNT_OPTIONS_H

#include "bundle.h"

enum mount_option { OPTION_DATA, OPTION_TAKEN, OPTION_BIND, OPTION_UNSUPPORTED };

/*
 * Applies one option to `mount`. OPTION_DATA: it is for the filesystem. A later option overrides an
 * earlier one ("ro", "rw" is "rw").
 */
enum mount_option mount_option_apply(struct mount_spec *mount, const char *option);

#endif

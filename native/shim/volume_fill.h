/*
 * Fills a new volume with what the image has at its place, as the image's VOLUME promises: contents, owners,
 * modes, times, extended attributes and hard links.
 */
#ifndef BERTH_SHIM_VOLUME_FILL_H
#define BERTH_SHIM_VOLUME_FILL_H

#include "../common/error.h"

/*
 * Copies all below the directory `from` into the empty directory `to`, which takes over the owner and mode
 * of `from`. Symlinks are copied, never followed. `destination` names the volume in errors.
 */
int volume_fill(int from, int to, const char *destination, struct error *err);

#endif

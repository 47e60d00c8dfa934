/* The id maps of a user namespace: user_namespaces(7). */
#ifndef BERTH_COMMON_IDMAP_H
#define BERTH_COMMON_IDMAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* The kernel takes 340 lines; a pod has one, and every process of set-up carries the maps by value. */
#define IDMAP_RANGES 32

struct idmap_range {
	uint32_t inside, outside, length;
};

struct idmap {
	size_t count;
	struct idmap_range ranges[IDMAP_RANGES];
};

struct idmaps {
	struct idmap uids, gids;
};

/*
 * From the OCI runtime spec's form, [{"containerID":N,"hostID":N,"size":N}]; `array` may be NULL for an empty
 * map. Returns what is wrong with it as a phrase for a message ("overlaps another range"), or NULL.
 */
const char *idmap_from_json(const json_t *array, struct idmap *map);

/* Reads /proc/PID/uid_map and gid_map; PID is as the procfs at /proc numbers it. */
int idmaps_read(pid_t pid, struct idmaps *maps, struct error *err);

/* The id outside that stands for one inside; false where it has none. */
bool idmap_outside(const struct idmap *map, uint32_t inside, uint32_t *outside);

bool idmap_equal(const struct idmap *one, const struct idmap *other);
bool idmaps_equal(const struct idmaps *one, const struct idmaps *other);

#endif

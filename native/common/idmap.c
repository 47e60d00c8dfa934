#include "idmap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scope.h"

/* (uid_t)-1 is no id, so a range ends at it at the latest. */
#define ID_END UINT64_C(0xffffffff)

/* A file with an integer beyond 2^63 is read with reals throughout; ids are exact in those. */
static bool take_id(const json_t *object, const char *key, uint32_t *out)
{
	const json_t *value = json_object_get(object, key);
	double number = json_is_integer(value) ? (double)json_integer_value(value) : json_real_value(value);

	if (!json_is_number(value) || !(number >= 0) || number > (double)UINT32_MAX || number != (double)(uint32_t)number)
		return false;
	*out = (uint32_t)number;
	return true;
}

static bool overlaps(uint32_t start, uint32_t length, uint32_t other, uint32_t other_length)
{
	return start < (uint64_t)other + other_length && other < (uint64_t)start + length;
}

static const char *check_range(const struct idmap *map, const struct idmap_range *range)
{
	if (range->length == 0)
		return "has a range of no length";
	if ((uint64_t)range->inside + range->length > ID_END || (uint64_t)range->outside + range->length > ID_END)
		return "has a range that leads beyond the last id";
	for (size_t i = 0; i < map->count; i++)
		if (overlaps(range->inside, range->length, map->ranges[i].inside, map->ranges[i].length) ||
		    overlaps(range->outside, range->length, map->ranges[i].outside, map->ranges[i].length))
			return "has ranges that overlap";
	return NULL;
}

const char *idmap_from_json(const json_t *array, struct idmap *map)
{
	const json_t *item;
	size_t index;

	map->count = 0;
	if (array == NULL || json_is_null(array))
		return NULL;
	if (!json_is_array(array))
		return "must be an array";
	if (json_array_size(array) > IDMAP_RANGES)
		return "has too many ranges";
	json_array_foreach((json_t *)array, index, item) {
		struct idmap_range range;
		const char *problem;

		if (!take_id(item, "containerID", &range.inside) || !take_id(item, "hostID", &range.outside) ||
		    !take_id(item, "size", &range.length))
			return "must hold objects with containerID, hostID and size";
		problem = check_range(map, &range);
		if (problem != NULL)
			return problem;
		map->ranges[map->count++] = range;
	}
	return NULL;
}

static int read_map(pid_t pid, const char *name, struct idmap *map, struct error *err)
{
	scope_file FILE *file = NULL;
	char path[64];
	struct idmap_range range;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (file == NULL)
		return error_errno(err, "namespace", path, "cannot read the user namespace's map");
	map->count = 0;
	while (fscanf(file, "%u %u %u", &range.inside, &range.outside, &range.length) == 3) {
		if (map->count == IDMAP_RANGES)
			return error_set(err, E2BIG, "namespace", path, "a user namespace of more than %d ranges is not supported",
					 IDMAP_RANGES);
		map->ranges[map->count++] = range;
	}
	return 0;
}

int idmaps_read(pid_t pid, struct idmaps *maps, struct error *err)
{
	int ret = read_map(pid, "uid_map", &maps->uids, err);

	return ret < 0 ? ret : read_map(pid, "gid_map", &maps->gids, err);
}

bool idmap_outside(const struct idmap *map, uint32_t inside, uint32_t *outside)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct idmap_range *range = &map->ranges[i];

		if (inside < range->inside || inside - range->inside >= range->length)
			continue;
		*outside = range->outside + (inside - range->inside);
		return true;
	}
	return false;
}

bool idmap_equal(const struct idmap *one, const struct idmap *other)
{
	return one->count == other->count && memcmp(one->ranges, other->ranges, one->count * sizeof(one->ranges[0])) == 0;
}

bool idmaps_equal(const struct idmaps *one, const struct idmaps *other)
{
	return idmap_equal(&one->uids, &other->uids) && idmap_equal(&one->gids, &other->gids);
}

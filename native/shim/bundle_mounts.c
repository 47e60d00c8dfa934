/* The `mounts` of config.json. */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "bundle_parts.h"
#include "image_mount.h"
#include "mount_options.h"

static int read_options(struct mount_spec *mount, const struct fields *fields, bool *bind, struct error *err)
{
	char **options;
	size_t count;
	size_t kept = 0;
	int ret = field_strings(fields, "options", &options, &count, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(options[i], "x-berth.copy-up") == 0) {
			mount->copy_up = true;
			continue;
		}
		switch (mount_option_apply(mount, options[i])) {
		case OPTION_BIND:
			*bind = true;
			break;
		case OPTION_TAKEN:
			break;
		case OPTION_DATA:
			if (options[i][0] != '\0')
				options[kept++] = options[i];
			break;
		case OPTION_UNSUPPORTED:
			return field_error(fields, "options", err, "\"%s\" is not supported by this shim", options[i]);
		}
	}
	options[kept] = NULL;
	mount->data = options;
	return 0;
}

static int check_kind(struct mount_spec *mount, const struct fields *fields, bool bind, struct error *err)
{
	if (bind || (mount->type != NULL && strcmp(mount->type, "bind") == 0)) {
		mount->kind = MOUNT_BIND;
		if (mount->source == NULL || mount->source[0] == '\0')
			return field_error(fields, "source", err, "missing");
		if (mount->data[0] != NULL)
			return field_error(fields, "options", err, "\"%.64s\" is not an option of a bind mount",
					   mount->data[0]);
		return 0;
	}
	if (mount->type == NULL || mount->type[0] == '\0')
		return field_error(fields, "type", err, "missing");
	if (mount->copy_up)
		return field_error(fields, "options", err, "only a bind mount can be filled");
	if (strcmp(mount->type, "overlay") == 0) {
		mount->kind = MOUNT_IMAGE;
		return image_mount_read(mount, fields, err);
	}
	mount->kind = strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0 ? MOUNT_CGROUP :
												  MOUNT_FILESYSTEM;
	return 0;
}

/* "/" and what amounts to it would hide the root that was just built. */
static bool names_root(const char *path)
{
	return path[strspn(path, "/.")] == '\0';
}

/* Ids that the source's files have, to those that its users see: by themselves, or by an option of that name. */
static int read_maps(struct mount_spec *mount, const struct fields *fields, bool bind, struct error *err)
{
	struct idmaps *kept;
	struct idmaps maps;
	int ret;

	if ((ret = field_idmap(fields, "uidMappings", &maps.uids, err)) < 0 ||
	    (ret = field_idmap(fields, "gidMappings", &maps.gids, err)) < 0)
		return ret;
	if ((maps.uids.count == 0) != (maps.gids.count == 0))
		return field_error(fields, maps.uids.count == 0 ? "uidMappings" : "gidMappings", err, "missing");
	if (maps.uids.count == 0 && mount->maps == NULL)
		return 0;
	if (!bind && (mount->type == NULL || strcmp(mount->type, "bind") != 0))
		return field_error(fields, "uidMappings", err, "only a bind mount can be id-mapped");
	if (maps.uids.count == 0)
		return 0;
	kept = arena_alloc(fields->arena, sizeof(maps));
	if (kept == NULL)
		return field_no_memory(fields, err);
	*kept = maps;
	mount->maps = kept;
	return 0;
}

static int read_mount(struct mount_spec *mount, const struct fields *fields, struct error *err)
{
	bool bind = false;
	int ret;

	/* Volumes are private unless the options say otherwise, as the kubelet's None propagation wants. */
	mount->propagation = MS_PRIVATE;
	mount->propagation_tree = true;
	if ((ret = field_path(fields, "destination", REQUIRED, &mount->destination, err)) < 0 ||
	    (ret = field_string(fields, "source", OPTIONAL, &mount->source, err)) < 0 ||
	    (ret = field_string(fields, "type", OPTIONAL, &mount->type, err)) < 0 ||
	    (ret = read_options(mount, fields, &bind, err)) < 0 || (ret = read_maps(mount, fields, bind, err)) < 0)
		return ret;
	if (names_root(mount->destination))
		return field_error(fields, "destination", err, "must not be the root");
	return check_kind(mount, fields, bind, err);
}

int bundle_read_mounts(struct bundle *bundle, const struct fields *top, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(top, "mounts", OPTIONAL, &array, err);

	if (ret < 0 || array == NULL)
		return ret;
	bundle->mounts = arena_alloc(top->arena, json_array_size(array) * sizeof(*bundle->mounts));
	if (bundle->mounts == NULL)
		return field_no_memory(top, err);
	json_array_foreach(array, index, item) {
		char where[40];
		struct fields fields = { top->file, top->arena, where, item };

		snprintf(where, sizeof(where), "mounts[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = read_mount(&bundle->mounts[index], &fields, err)) < 0)
			return ret;
		bundle->mount_count++;
	}
	return 0;
}

/* The `linux` of config.json. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bundle_parts.h"
#include "sysctl.h"

static int refuse_unsupported(const struct fields *fields, struct error *err)
{
	static const char *const keys[] = { "timeOffsets", "mountLabel",
					    "personality", "intelRdt",    "memoryPolicy", "netDevices" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int ret = field_refuse(fields, keys[i], err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_namespace(struct bundle *bundle, const struct fields *fields, bool *mount, struct error *err)
{
	static const struct {
		const char *name;
		int index;
		unsigned long flag;
	} kinds[] = {
		{ "pid", NAMESPACE_PID, CLONE_NEWPID },	      { "network", NAMESPACE_NET, CLONE_NEWNET },
		{ "ipc", NAMESPACE_IPC, CLONE_NEWIPC },	      { "uts", NAMESPACE_UTS, CLONE_NEWUTS },
		{ "cgroup", NAMESPACE_CGROUP, CLONE_NEWCGROUP }, { "user", NAMESPACE_USER, CLONE_NEWUSER },
	};
	const char *type;
	const char *path;
	int ret;

	if ((ret = field_string(fields, "type", REQUIRED, &type, err)) < 0 ||
	    (ret = field_string(fields, "path", OPTIONAL, &path, err)) < 0)
		return ret;
	/* Go programs write an unset path as an empty one. */
	if (path != NULL && path[0] == '\0')
		path = NULL;
	if (path != NULL && path[0] != '/')
		return field_error(fields, "path", err, "must be an absolute path");
	if (strcmp(type, "mount") == 0) {
		*mount = true;
		return path == NULL ? 0 : field_error(fields, "path", err, "a mount namespace cannot be joined");
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct namespace_spec *slot = &bundle->namespaces[kinds[i].index];

		if (strcmp(type, kinds[i].name) != 0)
			continue;
		if (slot->flag != 0)
			return field_error(fields, "type", err, "\"%s\" appears twice", type);
		slot->flag = kinds[i].flag;
		slot->path = path;
		return 0;
	}
	return field_error(fields, "type", err, "\"%.32s\" is not supported by this shim", type);
}

static int read_namespaces(struct bundle *bundle, const struct fields *parent, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	bool mount = false;
	int ret = field_array(parent, "namespaces", OPTIONAL, &array, err);

	if (ret < 0)
		return ret;
	json_array_foreach(array, index, item) {
		char where[48];
		struct fields fields = { parent->file, parent->arena, where, item };

		snprintf(where, sizeof(where), "linux.namespaces[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = read_namespace(bundle, &fields, &mount, err)) < 0)
			return ret;
	}
	if (!mount)
		return field_error(parent, "namespaces", err, "must hold a new mount namespace");
	return 0;
}

static int read_maps(struct bundle *bundle, const struct fields *fields, struct error *err)
{
	const struct namespace_spec *user = &bundle->namespaces[NAMESPACE_USER];
	struct idmaps *maps = &bundle->maps;
	int ret;

	if ((ret = field_idmap(fields, "uidMappings", &maps->uids, err)) < 0 ||
	    (ret = field_idmap(fields, "gidMappings", &maps->gids, err)) < 0)
		return ret;
	if (maps->uids.count + maps->gids.count > 0 && user->flag == 0)
		return field_error(fields, maps->uids.count > 0 ? "uidMappings" : "gidMappings", err,
				   "needs a user namespace");
	if ((maps->uids.count == 0) != (maps->gids.count == 0) ||
	    (maps->uids.count == 0 && user->flag != 0 && user->path == NULL))
		return field_error(fields, maps->uids.count == 0 ? "uidMappings" : "gidMappings", err,
				   "missing for the user namespace");
	return 0;
}

static int read_device(struct device_spec *device, const struct fields *fields, struct error *err)
{
	const char *type;
	long long major = 0;
	long long minor = 0;
	long long mode = 0666;
	long long uid = 0;
	long long gid = 0;
	int ret;

	if ((ret = field_path(fields, "path", REQUIRED, &device->path, err)) < 0 ||
	    (ret = field_string(fields, "type", REQUIRED, &type, err)) < 0 ||
	    (ret = field_integer(fields, "major", 0, (1LL << 12) - 1, &major, err)) < 0 ||
	    (ret = field_integer(fields, "minor", 0, (1LL << 20) - 1, &minor, err)) < 0 ||
	    (ret = field_integer(fields, "fileMode", 0, 07777 | S_IFMT, &mode, err)) < 0 ||
	    (ret = field_integer(fields, "uid", 0, MAX_ID, &uid, err)) < 0 ||
	    (ret = field_integer(fields, "gid", 0, MAX_ID, &gid, err)) < 0)
		return ret;
	if (strcmp(type, "c") == 0 || strcmp(type, "u") == 0)
		device->mode = S_IFCHR;
	else if (strcmp(type, "b") == 0)
		device->mode = S_IFBLK;
	else if (strcmp(type, "p") == 0)
		device->mode = S_IFIFO;
	else
		return field_error(fields, "type", err, "must be c, u, b or p");
	device->mode |= (mode_t)mode & 07777;
	device->number = S_ISFIFO(device->mode) ? 0 : makedev((unsigned int)major, (unsigned int)minor);
	device->uid = (uid_t)uid;
	device->gid = (gid_t)gid;
	return 0;
}

static int read_devices(struct bundle *bundle, const struct fields *parent, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(parent, "devices", OPTIONAL, &array, err);

	if (ret < 0 || array == NULL)
		return ret;
	bundle->devices = arena_alloc(parent->arena, json_array_size(array) * sizeof(*bundle->devices));
	if (bundle->devices == NULL)
		return field_no_memory(parent, err);
	json_array_foreach(array, index, item) {
		char where[48];
		struct fields fields = { parent->file, parent->arena, where, item };

		snprintf(where, sizeof(where), "linux.devices[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = read_device(&bundle->devices[index], &fields, err)) < 0)
			return ret;
		bundle->device_count++;
	}
	return 0;
}

static int read_sysctls(struct bundle *bundle, const struct fields *parent, struct error *err)
{
	struct fields fields = *parent;
	const char *key;
	json_t *value;
	int ret = field_object(parent, "sysctl", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "linux.sysctl";
	bundle->sysctls = arena_alloc(parent->arena, json_object_size(fields.object) * sizeof(*bundle->sysctls));
	if (bundle->sysctls == NULL)
		return field_no_memory(parent, err);
	json_object_foreach(fields.object, key, value) {
		struct pair *pair = &bundle->sysctls[bundle->sysctl_count];
		const char *problem;

		if ((ret = field_string(&fields, key, REQUIRED, &pair->value, err)) < 0)
			return ret;
		pair->name = arena_string(parent->arena, key, strlen(key));
		if (pair->name == NULL)
			return field_no_memory(parent, err);
		problem = sysctl_problem(bundle, pair->name, pair->value);
		if (problem != NULL)
			return field_error(&fields, key, err, "%s", problem);
		bundle->sysctl_count++;
	}
	return 0;
}

static int read_propagation(struct bundle *bundle, const struct fields *fields, struct error *err)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} kinds[] = { { "private", MS_PRIVATE }, { "slave", MS_SLAVE }, { "shared", MS_SHARED },
		      { "unbindable", MS_UNBINDABLE } };
	const char *text;
	int ret = field_string(fields, "rootfsPropagation", OPTIONAL, &text, err);

	if (ret < 0 || text == NULL || text[0] == '\0')
		return ret;
	bundle->root_propagation_tree = text[0] == 'r';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(text + (text[0] == 'r'), kinds[i].name) == 0)
			bundle->root_propagation = kinds[i].flag;
	if (bundle->root_propagation == 0)
		return field_error(fields, "rootfsPropagation", err, "\"%.32s\" is not a propagation", text);
	return 0;
}

static int check_paths(const struct fields *fields, const char *key, char *const *paths, struct error *err)
{
	for (; *paths != NULL; paths++)
		if ((*paths)[0] != '/' || strlen(*paths) >= 4096)
			return field_error(fields, key, err, "\"%.64s\" is not an absolute path", *paths);
	return 0;
}

/* A compiled filter in berth.json is this profile, compiled already. */
static int read_seccomp(struct bundle *bundle, const struct fields *fields, struct error *err)
{
	json_t *profile;
	int ret;

	if (bundle->seccomp_path != NULL)
		return seccomp_read(bundle->seccomp_path, fields->arena, &bundle->process.seccomp, err);
	ret = field_object(fields, "seccomp", OPTIONAL, &profile, err);
	if (ret < 0 || profile == NULL)
		return ret;
	return seccomp_compile(fields->file, bundle->process.capabilities.bounding, fields->arena, &bundle->process.seccomp,
			       err);
}

int bundle_read_linux(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct fields fields = *top;
	int ret = field_object(top, "linux", REQUIRED, &fields.object, err);

	if (ret < 0)
		return ret;
	fields.where = "linux";
	if ((ret = refuse_unsupported(&fields, err)) < 0 || (ret = read_namespaces(bundle, &fields, err)) < 0 ||
	    (ret = read_maps(bundle, &fields, err)) < 0 ||
	    (ret = field_strings(&fields, "maskedPaths", &bundle->masked_paths, NULL, err)) < 0 ||
	    (ret = check_paths(&fields, "maskedPaths", bundle->masked_paths, err)) < 0 ||
	    (ret = field_strings(&fields, "readonlyPaths", &bundle->readonly_paths, NULL, err)) < 0 ||
	    (ret = check_paths(&fields, "readonlyPaths", bundle->readonly_paths, err)) < 0 ||
	    (ret = read_devices(bundle, &fields, err)) < 0 ||
	    (ret = bundle_read_resources(bundle, &fields, err)) < 0 || (ret = read_sysctls(bundle, &fields, err)) < 0 ||
	    (ret = read_seccomp(bundle, &fields, err)) < 0)
		return ret;
	return read_propagation(bundle, &fields, err);
}

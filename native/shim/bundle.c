#include "bundle.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "bundle_parts.h"
#include "../common/scope.h"

static int check_mounts(const struct bundle *bundle, const struct fields *config, struct error *err)
{
	bool user = bundle->namespaces[NAMESPACE_USER].flag != 0;

	for (size_t i = 0; i < bundle->mount_count; i++) {
		const struct mount_spec *mount = &bundle->mounts[i];

		if (mount->maps != NULL && mount->maps->uids.count == 0 && !user)
			return error_set(err, EINVAL, "bundle", config->file,
					 "mounts[%zu].options: idmap needs a user namespace or uidMappings", i);
		/* The kernel lets mounts come from a user namespace's parent, and none go there (mount_namespaces(7)). */
		if (mount->propagation == MS_SHARED && user)
			return error_set(err, EINVAL, "bundle", config->file,
					 "mounts[%zu].options: a user namespace cannot share mounts with the host", i);
	}
	return 0;
}

/* What no single field can tell. */
static int check_whole(const struct bundle *bundle, const struct fields *config, struct error *err)
{
	if (bundle->overlay == NULL && (bundle->root_path == NULL || bundle->root_path[0] == '\0'))
		return field_error(config, "root.path", err, "missing, and berth.json has no rootfs");
	if ((bundle->hostname != NULL || bundle->domainname != NULL) && bundle->namespaces[NAMESPACE_UTS].flag == 0)
		return field_error(config, bundle->hostname != NULL ? "hostname" : "domainname", err,
				   "needs a uts namespace of its own");
	return check_mounts(bundle, config, err);
}

static int read_config(struct bundle *bundle, const char *file, struct error *err)
{
	struct fields top = { file, &bundle->arena, "", NULL };
	int ret = fields_load(file, &top.object, err);

	if (ret < 0)
		return ret;
	if ((ret = bundle_read_root(bundle, &top, err)) == 0 && (ret = bundle_read_process(bundle, &top, err)) == 0 &&
	    (ret = bundle_read_mounts(bundle, &top, err)) == 0 && (ret = bundle_read_linux(bundle, &top, err)) == 0 &&
	    (ret = bundle_read_hooks(bundle, &top, err)) == 0)
		ret = check_whole(bundle, &top, err);
	json_decref(top.object);
	return ret;
}

static int read_berth(struct bundle *bundle, const char *file, struct error *err)
{
	struct fields top = { file, &bundle->arena, "", NULL };
	int ret = fields_load(file, &top.object, err);

	if (ret < 0)
		return ret;
	ret = bundle_read_berth(bundle, &top, err);
	json_decref(top.object);
	return ret;
}

static int read_both(struct bundle *bundle, const char *directory, struct error *err)
{
	char file[PATH_MAX];
	int ret;

	bundle->directory = arena_string(&bundle->arena, directory, strlen(directory));
	if (bundle->directory == NULL)
		return error_set(err, ENOMEM, "bundle", directory, "no memory to read the bundle");
	snprintf(file, sizeof(file), "%s/berth.json", directory);
	if ((ret = read_berth(bundle, file, err)) < 0)
		return ret;
	snprintf(file, sizeof(file), "%s/config.json", directory);
	return read_config(bundle, file, err);
}

int bundle_load(const char *directory, struct bundle **out, struct error *err)
{
	struct bundle *bundle;
	int ret;

	*out = NULL;
	if (directory[0] != '/' || strlen(directory) > PATH_MAX - sizeof("/config.json"))
		return error_set(err, EINVAL, "bundle", directory, "must be an absolute path");
	bundle = calloc(1, sizeof(*bundle));
	if (bundle == NULL)
		return error_set(err, ENOMEM, "bundle", directory, "no memory to read the bundle");
	ret = read_both(bundle, directory, err);
	/* The JSON trees are many times the size of what is kept, and a shim lives as long as its container. */
	malloc_trim(0);
	if (ret < 0) {
		bundle_free(bundle);
		return ret;
	}
	*out = bundle;
	return 0;
}

void bundle_free(struct bundle *bundle)
{
	if (bundle == NULL)
		return;
	arena_free(&bundle->arena);
	free(bundle);
}

const char *bundle_id(const struct bundle *bundle)
{
	return bundle->id;
}

const char *bundle_log_path(const struct bundle *bundle)
{
	return bundle->log_path;
}

uint64_t bundle_log_rate(const struct bundle *bundle)
{
	return bundle->log_rate;
}

const char *bundle_cgroup_path(const struct bundle *bundle)
{
	return bundle->cgroup;
}

bool bundle_terminal(const struct bundle *bundle)
{
	return bundle->process.terminal;
}

bool bundle_stdin(const struct bundle *bundle)
{
	return bundle->has_stdin;
}

bool bundle_stdin_once(const struct bundle *bundle)
{
	return bundle->stdin_once;
}

int bundle_oom_score_adj(const struct bundle *bundle, bool *present)
{
	*present = bundle->process.has_oom_score_adj;
	return bundle->process.oom_score_adj;
}

unsigned long bundle_clone_flags(const struct bundle *bundle)
{
	unsigned long flags = CLONE_NEWNS;

	/*
	 * Not the cgroup namespace: clone3 copies the namespaces from the caller's css_set (copy_cgroup_ns),
	 * so its root would be the shim's cgroup. The child unshares it when it is in its own. And a user namespace
	 * takes more than a clone (launch.h).
	 */
	for (int i = 0; i < NAMESPACE_COUNT; i++)
		if (bundle->namespaces[i].path == NULL && i != NAMESPACE_CGROUP && i != NAMESPACE_USER)
			flags |= bundle->namespaces[i].flag;
	return flags;
}

bool bundle_has_user_namespace(const struct bundle *bundle)
{
	return bundle->namespaces[NAMESPACE_USER].flag != 0;
}

/* berth.json: what the OCI runtime spec has no place for; and the few fields at the top of config.json. */
#include <string.h>

#include "bundle_parts.h"

static int read_overlay(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct overlay_spec *overlay;
	struct fields fields = *top;
	int ret = field_object(top, "rootfs", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "rootfs";
	overlay = arena_alloc(top->arena, sizeof(*overlay));
	if (overlay == NULL)
		return field_no_memory(top, err);
	if ((ret = field_strings(&fields, "lower", &overlay->lower, &overlay->lower_count, err)) < 0 ||
	    (ret = field_path(&fields, "upper", REQUIRED, &overlay->upper, err)) < 0 ||
	    (ret = field_path(&fields, "work", REQUIRED, &overlay->work, err)) < 0 ||
	    (ret = field_bool(&fields, "volatile", &overlay->is_volatile, err)) < 0)
		return ret;
	if (overlay->lower_count == 0)
		return field_error(&fields, "lower", err, "must name at least one layer");
	for (size_t i = 0; i < overlay->lower_count; i++)
		if (overlay->lower[i][0] != '/' || strlen(overlay->lower[i]) >= 4096)
			return field_error(&fields, "lower", err, "\"%.64s\" is not an absolute path", overlay->lower[i]);
	bundle->overlay = overlay;
	return 0;
}

/* Bytes a second: more than any disk takes, and no sum of it overflows. */
#define LOG_RATE_MAX (1LL << 40)

static int read_log(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct fields fields = *top;
	long long rate = 0;
	int ret = field_object(top, "log", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "log";
	if ((ret = field_integer(&fields, "rate", 0, LOG_RATE_MAX, &rate, err)) < 0)
		return ret;
	bundle->log_rate = (uint64_t)rate;
	return field_path(&fields, "path", REQUIRED, &bundle->log_path, err);
}

static int read_user(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct user_policy *user;
	struct fields fields = *top;
	const char *policy;
	int ret = field_object(top, "user", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "user";
	user = arena_alloc(top->arena, sizeof(*user));
	if (user == NULL)
		return field_no_memory(top, err);
	user->group = -1;
	if ((ret = field_string(&fields, "spec", REQUIRED, &user->spec, err)) < 0 ||
	    (ret = field_integer(&fields, "group", -1, MAX_ID, &user->group, err)) < 0 ||
	    (ret = field_ids(&fields, "supplementalGroups", &user->groups, &user->group_count, err)) < 0 ||
	    (ret = field_string(&fields, "policy", OPTIONAL, &policy, err)) < 0)
		return ret;
	if (policy != NULL && strcmp(policy, "merge") != 0 && strcmp(policy, "strict") != 0)
		return field_error(&fields, "policy", err, "must be \"merge\" or \"strict\"");
	user->strict = policy != NULL && strcmp(policy, "strict") == 0;
	bundle->user = user;
	return 0;
}

static int read_id(struct bundle *bundle, const struct fields *top, struct error *err)
{
	int ret = field_string(top, "id", REQUIRED, &bundle->id, err);

	if (ret < 0)
		return ret;
	if (strlen(bundle->id) != 64 || strspn(bundle->id, "0123456789abcdef") != 64)
		return field_error(top, "id", err, "must be 64 hexadecimal digits");
	return 0;
}

int bundle_read_berth(struct bundle *bundle, const struct fields *top, struct error *err)
{
	int ret;

	if ((ret = read_id(bundle, top, err)) < 0 || (ret = read_overlay(bundle, top, err)) < 0 ||
	    (ret = read_log(bundle, top, err)) < 0 ||
	    (ret = field_bool(top, "stdin", &bundle->has_stdin, err)) < 0 ||
	    (ret = field_bool(top, "stdinOnce", &bundle->stdin_once, err)) < 0 ||
	    (ret = field_string(top, "cgroup", OPTIONAL, &bundle->cgroup, err)) < 0)
		return ret;
	if ((ret = field_path(top, "seccomp", OPTIONAL, &bundle->seccomp_path, err)) < 0)
		return ret;
	if (bundle->cgroup != NULL && bundle->cgroup[0] == '\0')
		bundle->cgroup = NULL;
	if (bundle->cgroup != NULL && bundle->cgroup[0] != '/')
		return field_error(top, "cgroup", err, "must be an absolute path");
	return read_user(bundle, top, err);
}

int bundle_read_root(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct fields fields = *top;
	int ret;

	if ((ret = field_string(top, "hostname", OPTIONAL, &bundle->hostname, err)) < 0 ||
	    (ret = field_string(top, "domainname", OPTIONAL, &bundle->domainname, err)) < 0 ||
	    (ret = field_object(top, "root", OPTIONAL, &fields.object, err)) < 0)
		return ret;
	if (bundle->hostname != NULL && bundle->hostname[0] == '\0')
		bundle->hostname = NULL;
	if (bundle->domainname != NULL && bundle->domainname[0] == '\0')
		bundle->domainname = NULL;
	if (fields.object == NULL)
		return 0;
	fields.where = "root";
	if ((ret = field_bool(&fields, "readonly", &bundle->root_readonly, err)) < 0)
		return ret;
	return field_string(&fields, "path", OPTIONAL, &bundle->root_path, err);
}

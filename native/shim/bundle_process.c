/* The `process` of config.json. */
#include <stdio.h>
#include <string.h>

#include "bundle_parts.h"
#include "capability_names.h"

static int resource_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} resources[] = {
		{ "RLIMIT_AS", RLIMIT_AS },           { "RLIMIT_CORE", RLIMIT_CORE },
		{ "RLIMIT_CPU", RLIMIT_CPU },         { "RLIMIT_DATA", RLIMIT_DATA },
		{ "RLIMIT_FSIZE", RLIMIT_FSIZE },     { "RLIMIT_LOCKS", RLIMIT_LOCKS },
		{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
		{ "RLIMIT_NICE", RLIMIT_NICE },       { "RLIMIT_NOFILE", RLIMIT_NOFILE },
		{ "RLIMIT_NPROC", RLIMIT_NPROC },     { "RLIMIT_RSS", RLIMIT_RSS },
		{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },   { "RLIMIT_RTTIME", RLIMIT_RTTIME },
		{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING }, { "RLIMIT_STACK", RLIMIT_STACK },
	};

	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		if (strcmp(name, resources[i].name) == 0)
			return resources[i].number;
	return -1;
}

static int read_user(struct process_spec *process, const struct fields *parent, struct error *err)
{
	struct fields user = *parent;
	long long uid = 0;
	long long gid = 0;
	long long mask = -1;
	int ret = field_object(parent, "user", OPTIONAL, &user.object, err);

	if (ret < 0 || user.object == NULL)
		return ret;
	user.where = "process.user";
	if ((ret = field_integer(&user, "uid", 0, MAX_ID, &uid, err)) < 0 ||
	    (ret = field_integer(&user, "gid", 0, MAX_ID, &gid, err)) < 0 ||
	    (ret = field_integer(&user, "umask", 0, 0777, &mask, err)) < 0 ||
	    (ret = field_ids(&user, "additionalGids", &process->groups, &process->group_count, err)) < 0)
		return ret;
	process->uid = (uid_t)uid;
	process->gid = (gid_t)gid;
	process->has_umask = mask >= 0;
	process->umask = process->has_umask ? (mode_t)mask : 0;
	return 0;
}

static int read_set(const struct fields *fields, const char *key, uint64_t *out, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(fields, key, OPTIONAL, &array, err);

	if (ret < 0)
		return ret;
	json_array_foreach(array, index, item) {
		int number = json_is_string(item) ? capability_number(json_string_value(item)) : -1;

		if (number < 0)
			return field_error(fields, key, err, "entry %zu (%.64s) is not a capability", index,
					   json_is_string(item) ? json_string_value(item) : "not a string");
		*out |= UINT64_C(1) << number;
	}
	return 0;
}

static int read_capabilities(struct process_spec *process, const struct fields *parent, struct error *err)
{
	struct capability_sets *sets = &process->capabilities;
	struct fields fields = *parent;
	int ret = field_object(parent, "capabilities", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "process.capabilities";
	if ((ret = read_set(&fields, "bounding", &sets->bounding, err)) < 0 ||
	    (ret = read_set(&fields, "effective", &sets->effective, err)) < 0 ||
	    (ret = read_set(&fields, "permitted", &sets->permitted, err)) < 0 ||
	    (ret = read_set(&fields, "inheritable", &sets->inheritable, err)) < 0 ||
	    (ret = read_set(&fields, "ambient", &sets->ambient, err)) < 0)
		return ret;
	if ((sets->effective & ~sets->permitted) != 0)
		return field_error(&fields, "effective", err, "holds a capability that permitted lacks");
	return 0;
}

static int read_limit(struct process_spec *process, const struct fields *limit, struct error *err)
{
	struct limit *entry = &process->limits[process->limit_count];
	uint64_t soft = 0;
	uint64_t hard = 0;
	int ret;

	if ((ret = field_string(limit, "type", REQUIRED, &entry->name, err)) < 0 ||
	    (ret = field_limit(limit, "soft", &soft, err)) < 0 || (ret = field_limit(limit, "hard", &hard, err)) < 0)
		return ret;
	entry->resource = resource_number(entry->name);
	if (entry->resource < 0)
		return field_error(limit, "type", err, "%.64s is not a resource limit", entry->name);
	if (soft > hard)
		return field_error(limit, "soft", err, "is above the hard limit");
	for (size_t i = 0; i < process->limit_count; i++)
		if (process->limits[i].resource == entry->resource)
			return field_error(limit, "type", err, "%s appears twice", entry->name);
	entry->value.rlim_cur = soft;
	entry->value.rlim_max = hard;
	process->limit_count++;
	return 0;
}

static int read_limits(struct process_spec *process, const struct fields *parent, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(parent, "rlimits", OPTIONAL, &array, err);

	if (ret < 0 || array == NULL)
		return ret;
	process->limits = arena_alloc(parent->arena, json_array_size(array) * sizeof(*process->limits));
	if (process->limits == NULL)
		return field_no_memory(parent, err);
	json_array_foreach(array, index, item) {
		char where[48];
		struct fields limit = { parent->file, parent->arena, where, item };

		snprintf(where, sizeof(where), "process.rlimits[%zu]", index);
		if (!json_is_object(item))
			return field_error(&limit, "", err, "must be an object");
		if ((ret = read_limit(process, &limit, err)) < 0)
			return ret;
	}
	return 0;
}

static int check_command(const struct process_spec *process, const struct fields *fields, struct error *err)
{
	if (process->args[0] == NULL)
		return field_error(fields, "args", err, "must name a program");
	if (process->args[0][0] == '\0')
		return field_error(fields, "args", err, "the program's name is empty");
	for (char **variable = process->env; *variable != NULL; variable++)
		if (strchr(*variable, '=') == NULL || (*variable)[0] == '=')
			return field_error(fields, "env", err, "\"%.64s\" is not of the form NAME=value", *variable);
	return 0;
}

static int refuse_unsupported(const struct fields *fields, struct error *err)
{
	static const char *const keys[] = { "selinuxLabel", "ioPriority", "scheduler",
					    "execCPUAffinity" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int ret = field_refuse(fields, keys[i], err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_apparmor(struct process_spec *process, const struct fields *fields, struct error *err)
{
	int ret = field_string(fields, "apparmorProfile", OPTIONAL, &process->apparmor, err);

	if (ret < 0 || process->apparmor == NULL)
		return ret;
	/* What stands behind the name would be read as part of the command to the kernel. */
	if (strpbrk(process->apparmor, "\n\r") != NULL)
		return field_error(fields, "apparmorProfile", err, "holds a line break");
	if (process->apparmor[0] == '\0' || strcmp(process->apparmor, "unconfined") == 0)
		process->apparmor = NULL;
	return 0;
}

int bundle_read_process(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct process_spec *process = &bundle->process;
	struct fields fields = *top;
	long long score = -10000;
	int ret;

	if ((ret = field_object(top, "process", REQUIRED, &fields.object, err)) < 0)
		return ret;
	fields.where = "process";
	if ((ret = refuse_unsupported(&fields, err)) < 0 ||
	    (ret = field_bool(&fields, "terminal", &process->terminal, err)) < 0 ||
	    (ret = field_bool(&fields, "noNewPrivileges", &process->no_new_privileges, err)) < 0 ||
	    (ret = field_integer(&fields, "oomScoreAdj", -1000, 1000, &score, err)) < 0 ||
	    (ret = field_path(&fields, "cwd", REQUIRED, &process->cwd, err)) < 0 ||
	    (ret = field_strings(&fields, "args", &process->args, NULL, err)) < 0 ||
	    (ret = field_strings(&fields, "env", &process->env, &process->env_count, err)) < 0 ||
	    (ret = check_command(process, &fields, err)) < 0 || (ret = read_user(process, &fields, err)) < 0 ||
	    (ret = read_apparmor(process, &fields, err)) < 0 ||
	    (ret = read_capabilities(process, &fields, err)) < 0 || (ret = read_limits(process, &fields, err)) < 0)
		return ret;
	process->has_oom_score_adj = score != -10000;
	process->oom_score_adj = process->has_oom_score_adj ? (int)score : 0;
	return 0;
}

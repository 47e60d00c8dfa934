/* The top of a profile. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

#include "compile.h"

/* Below this, searching a tree costs more than going through the list. */
#define TREE_FROM 32

static int add_architecture(struct compilation *compilation, const struct fields *fields, const char *key, const char *name,
			    struct error *err)
{
	uint32_t token;
	int ret;

	if (!architecture_token(name, &token))
		return field_error(fields, key, err, "\"%.64s\" is not an architecture", name);
	for (size_t i = 0; i < compilation->architecture_count; i++)
		if (compilation->architectures[i].token == token)
			return 0;
	ret = seccomp_arch_add(compilation->context, token);
	/* EDOM: of the other byte order. No process of that kind can run here. */
	if (ret == -EDOM)
		return 0;
	if (ret < 0 && ret != -EEXIST)
		return field_error(fields, key, err, "%.64s cannot be added: %s", name, strerror(-ret));
	if (compilation->architecture_count == MAX_ARCHITECTURES)
		return field_error(fields, key, err, "more than %d architectures", MAX_ARCHITECTURES);
	compilation->architectures[compilation->architecture_count++] = (struct architecture){ token, -1 };
	return 0;
}

/* Docker's archMap: what belongs to this machine's own architecture. */
static int add_map_entry(struct compilation *compilation, const struct fields *fields, struct error *err)
{
	const char *name;
	uint32_t token;
	char **more;
	size_t count;
	int ret = field_string(fields, "architecture", REQUIRED, &name, err);

	if (ret < 0 || (ret = field_strings(fields, "subArchitectures", &more, &count, err)) < 0)
		return ret;
	if (!architecture_token(name, &token))
		return field_error(fields, "architecture", err, "\"%.64s\" is not an architecture", name);
	if (token != seccomp_arch_native())
		return 0;
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = add_architecture(compilation, fields, "subArchitectures", more[i], err);
	return ret;
}

static int read_map(struct compilation *compilation, const struct fields *profile, json_t *map, struct error *err)
{
	json_t *item;
	size_t index;
	int ret = 0;

	json_array_foreach(map, index, item) {
		char where[40];
		struct fields fields = { profile->file, profile->arena, where, item };

		snprintf(where, sizeof(where), "archMap[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = add_map_entry(compilation, &fields, err)) < 0)
			return ret;
	}
	return 0;
}

static int read_architectures(struct compilation *compilation, const struct fields *profile, struct error *err)
{
	json_t *map;
	char **names;
	size_t count;
	int ret;

	/* The library's filters always hold this machine's own. */
	compilation->architectures[compilation->architecture_count++] = (struct architecture){ seccomp_arch_native(), -1 };
	if ((ret = field_strings(profile, "architectures", &names, &count, err)) < 0 ||
	    (ret = field_array(profile, "archMap", OPTIONAL, &map, err)) < 0)
		return ret;
	if (count > 0 && json_array_size(map) > 0)
		return field_error(profile, "archMap", err, "excludes architectures");
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = add_architecture(compilation, profile, "architectures", names[i], err);
	return ret < 0 ? ret : read_map(compilation, profile, map, err);
}

static int read_flags(struct compilation *compilation, const struct fields *profile, struct error *err)
{
	char **names;
	size_t count;
	json_t *array;
	int ret;

	if ((ret = field_array(profile, "flags", OPTIONAL, &array, err)) < 0 ||
	    (ret = field_strings(profile, "flags", &names, &count, err)) < 0)
		return ret;
	/* As runc: without a word on it, filters do not slow the processor's speculation down. */
	if (array == NULL)
		compilation->flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], "SECCOMP_FILTER_FLAG_LOG") == 0)
			compilation->flags |= SECCOMP_FILTER_FLAG_LOG;
		else if (strcmp(names[i], "SECCOMP_FILTER_FLAG_SPEC_ALLOW") == 0)
			compilation->flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
		else if (strcmp(names[i], "SECCOMP_FILTER_FLAG_TSYNC") == 0)
			continue; /* there is one thread when the filter is loaded */
		else if (strcmp(names[i], "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0)
			return field_error(profile, "flags", err, "%s needs a listener, and Berth offers none", names[i]);
		else
			return field_error(profile, "flags", err, "\"%.64s\" is not a flag", names[i]);
	}
	return 0;
}

static int refuse_listener(const struct fields *profile, struct error *err)
{
	static const char *const keys[] = { "listenerPath", "listenerMetadata" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *text;
		int ret = field_string(profile, keys[i], OPTIONAL, &text, err);

		if (ret < 0)
			return ret;
		if (text != NULL && text[0] != '\0')
			return field_error(profile, keys[i], err, "Berth passes no notifications to a listener");
	}
	return 0;
}

static int read_syscalls(struct compilation *compilation, const struct fields *profile, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(profile, "syscalls", OPTIONAL, &array, err);

	if (ret < 0)
		return ret;
	json_array_foreach(array, index, item) {
		char where[40];
		struct fields fields = { profile->file, profile->arena, where, item };

		snprintf(where, sizeof(where), "syscalls[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = rules_add(compilation, &fields, err)) < 0)
			return ret;
	}
	return 0;
}

int profile_read(struct compilation *compilation, const struct fields *profile, struct error *err)
{
	int ret = action_code(profile, "defaultAction", "defaultErrnoRet", &compilation->default_action, err);

	if (ret < 0)
		return ret;
	compilation->context = seccomp_init(compilation->default_action);
	if (compilation->context == NULL)
		return field_no_memory(profile, err);
	if ((ret = refuse_listener(profile, err)) < 0 || (ret = read_flags(compilation, profile, err)) < 0 ||
	    (ret = read_architectures(compilation, profile, err)) < 0 || (ret = read_syscalls(compilation, profile, err)) < 0)
		return ret;
	if (compilation->rule_count > TREE_FROM)
		seccomp_attr_set(compilation->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return 0;
}

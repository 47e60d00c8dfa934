/* One entry of `syscalls`: an action for some system calls, perhaps only with certain arguments. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compile.h"

#define MAX_ARGUMENTS 6

struct entry {
	char **names;
	size_t name_count;
	uint32_t action;
	struct scmp_arg_cmp *conditions;
	size_t condition_count;
	bool alternatives; /* each condition is a rule of its own */
};

static int read_names(const struct fields *fields, struct entry *entry, struct error *err)
{
	const char *single;
	int ret = field_strings(fields, "names", &entry->names, &entry->name_count, err);

	if (ret < 0 || (ret = field_string(fields, "name", OPTIONAL, &single, err)) < 0)
		return ret;
	if (single != NULL && single[0] != '\0') {
		if (entry->name_count > 0)
			return field_error(fields, "name", err, "excludes names");
		entry->names[0] = (char *)single; /* there is room: a list ends with NULL */
		entry->name_count = 1;
	}
	if (entry->name_count == 0)
		return field_error(fields, "names", err, "must name a system call");
	for (size_t i = 0; i < entry->name_count; i++)
		if (entry->names[i][0] == '\0')
			return field_error(fields, "names", err, "entry %zu is empty", i);
	return 0;
}

/* Numbers above 2^63 - 1 have been folded into the negative ones (input.c). */
static int read_value(const struct fields *fields, const char *key, enum presence presence, scmp_datum_t *out, struct error *err)
{
	json_t *value = json_object_get(fields->object, key);

	*out = 0;
	if (value == NULL && presence == OPTIONAL)
		return 0;
	if (!json_is_integer(value))
		return field_error(fields, key, err, "must be an integer from 0 to 2^64 - 1");
	*out = (scmp_datum_t)json_integer_value(value);
	return 0;
}

static int read_condition(const struct fields *fields, struct scmp_arg_cmp *out, struct error *err)
{
	long long index = -1;
	int ret;

	if ((ret = field_integer(fields, "index", 0, MAX_ARGUMENTS - 1, &index, err)) < 0 ||
	    (ret = operator_code(fields, "op", &out->op, err)) < 0 ||
	    (ret = read_value(fields, "value", REQUIRED, &out->datum_a, err)) < 0 ||
	    (ret = read_value(fields, "valueTwo", OPTIONAL, &out->datum_b, err)) < 0)
		return ret;
	if (index < 0)
		return field_error(fields, "index", err, "missing");
	out->arg = (unsigned int)index;
	return 0;
}

static int read_conditions(const struct fields *fields, struct entry *entry, struct error *err)
{
	size_t seen[MAX_ARGUMENTS] = { 0 };
	json_t *array;
	json_t *item;
	size_t index;
	int ret = field_array(fields, "args", OPTIONAL, &array, err);

	if (ret < 0 || array == NULL)
		return ret;
	entry->conditions = arena_alloc(fields->arena, json_array_size(array) * sizeof(*entry->conditions));
	if (entry->conditions == NULL)
		return field_no_memory(fields, err);
	json_array_foreach(array, index, item) {
		struct scmp_arg_cmp *condition = &entry->conditions[index];
		char where[80];
		struct fields inner = { fields->file, fields->arena, where, item };

		snprintf(where, sizeof(where), "%s.args[%zu]", fields->where, index);
		if (!json_is_object(item))
			return field_error(&inner, "", err, "must be an object");
		if ((ret = read_condition(&inner, condition, err)) < 0)
			return ret;
		/* The library takes one condition on an argument; runc and crun make more of them alternatives. */
		entry->alternatives = entry->alternatives || seen[condition->arg]++ > 0;
	}
	entry->condition_count = json_array_size(array);
	return 0;
}

static int add(struct compilation *compilation, const struct fields *fields, const struct entry *entry, const char *name,
	       int number, unsigned int count, const struct scmp_arg_cmp *conditions, struct error *err)
{
	int ret = seccomp_rule_add_array(compilation->context, entry->action, number, count, conditions);

	compilation->rule_count++;
	/* The same rule twice does no harm. */
	if (ret == 0 || ret == -EEXIST)
		return 0;
	return field_error(fields, "names", err, "no rule can be made for %.64s: %s", name, strerror(-ret));
}

static int add_known(struct compilation *compilation, const struct fields *fields, const struct entry *entry, const char *name,
		     int number, struct error *err)
{
	int ret = 0;

	if (!entry->alternatives)
		return add(compilation, fields, entry, name, number, (unsigned int)entry->condition_count, entry->conditions, err);
	for (size_t i = 0; ret == 0 && i < entry->condition_count; i++)
		ret = add(compilation, fields, entry, name, number, 1, &entry->conditions[i], err);
	return ret;
}

static int add_newer(struct compilation *compilation, const struct fields *fields, const struct entry *entry, const char *name,
		     int number, struct error *err)
{
	if (entry->condition_count > 0)
		return field_error(fields, "args", err, "arguments of %.64s cannot be examined: it is newer than the seccomp library", name);
	for (size_t i = 0; i < compilation->newer_count; i++)
		if (compilation->newer[i].number == number)
			return 0; /* the first rule counts */
	if (compilation->newer_count == MAX_NEWER)
		return field_error(fields, "names", err, "too many system calls that are newer than the seccomp library");
	compilation->newer[compilation->newer_count++] = (struct newer_rule){ number, entry->action };
	return 0;
}

static void note_last(struct compilation *compilation, const char *name, int newer)
{
	for (size_t i = 0; i < compilation->architecture_count; i++) {
		struct architecture *architecture = &compilation->architectures[i];
		int number = newer >= 0 ? newer_on(architecture->token, newer) :
					  seccomp_syscall_resolve_name_arch(architecture->token, name);

		if (number > architecture->last)
			architecture->last = number;
	}
}

int rules_add(struct compilation *compilation, const struct fields *fields, struct error *err)
{
	struct entry entry = { 0 };
	bool hold;
	int ret;

	if ((ret = read_names(fields, &entry, err)) < 0 ||
	    (ret = action_code(fields, "action", "errnoRet", &entry.action, err)) < 0 ||
	    (ret = read_conditions(fields, &entry, err)) < 0 ||
	    (ret = conditions_hold(compilation->around, fields, &hold, err)) < 0 || !hold)
		return ret;
	for (size_t i = 0; ret == 0 && i < entry.name_count; i++) {
		const char *name = entry.names[i];
		int number = seccomp_syscall_resolve_name(name);
		int newer = number == __NR_SCMP_ERROR ? newer_number(name) : -1;

		note_last(compilation, name, newer);
		/* The library refuses what says nothing new. */
		if (entry.action == compilation->default_action)
			continue;
		/* A name that nobody knows is of a kernel to come, or of another machine. */
		if (newer >= 0)
			ret = add_newer(compilation, fields, &entry, name, newer, err);
		else if (number != __NR_SCMP_ERROR)
			ret = add_known(compilation, fields, &entry, name, number, err);
	}
	return ret;
}

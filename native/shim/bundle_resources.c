/* The `linux.resources` of config.json: the device rules. Limits are written by whoever made the cgroup. */
#include <stdio.h>
#include <string.h>

#include "bundle_parts.h"

/* The kernel's numbers (linux/kdev_t.h). */
#define MAJOR_MAX ((1LL << 12) - 1)
#define MINOR_MAX ((1LL << 20) - 1)

static int read_type(const struct fields *fields, uint32_t *type, struct error *err)
{
	const char *text;
	int ret = field_string(fields, "type", OPTIONAL, &text, err);

	if (ret < 0)
		return ret;
	if (text == NULL || text[0] == '\0' || strcmp(text, "a") == 0)
		*type = 0;
	else if (strcmp(text, "c") == 0)
		*type = BPF_DEVCG_DEV_CHAR;
	else if (strcmp(text, "b") == 0)
		*type = BPF_DEVCG_DEV_BLOCK;
	else
		return field_error(fields, "type", err, "must be a, c or b");
	return 0;
}

static int read_access(const struct fields *fields, uint32_t *access, struct error *err)
{
	const char *text;
	int ret = field_string(fields, "access", REQUIRED, &text, err);

	if (ret < 0)
		return ret;
	*access = 0;
	for (const char *letter = text; *letter != '\0'; letter++) {
		if (*letter == 'r')
			*access |= BPF_DEVCG_ACC_READ;
		else if (*letter == 'w')
			*access |= BPF_DEVCG_ACC_WRITE;
		else if (*letter == 'm')
			*access |= BPF_DEVCG_ACC_MKNOD;
		else
			return field_error(fields, "access", err, "must be made of r, w and m");
	}
	return *access == 0 ? field_error(fields, "access", err, "must be made of r, w and m") : 0;
}

static int read_rule(const struct fields *fields, struct device_rule *rule, struct error *err)
{
	long long major = DEVICE_ANY;
	long long minor = DEVICE_ANY;
	int ret;

	if ((ret = field_bool(fields, "allow", &rule->allow, err)) < 0 || (ret = read_type(fields, &rule->type, err)) < 0 ||
	    (ret = field_integer(fields, "major", DEVICE_ANY, MAJOR_MAX, &major, err)) < 0 ||
	    (ret = field_integer(fields, "minor", DEVICE_ANY, MINOR_MAX, &minor, err)) < 0)
		return ret;
	rule->major = major;
	rule->minor = minor;
	return read_access(fields, &rule->access, err);
}

static int read_rules(struct bundle *bundle, const struct fields *parent, json_t *array, struct error *err)
{
	size_t count = json_array_size(array);
	json_t *item;
	size_t index;
	int ret;

	bundle->device_rules = arena_alloc(parent->arena, (count + DEVICE_RULES_STANDARD) * sizeof(*bundle->device_rules));
	if (bundle->device_rules == NULL)
		return field_no_memory(parent, err);
	json_array_foreach(array, index, item) {
		char where[56];
		struct fields fields = { parent->file, parent->arena, where, item };

		snprintf(where, sizeof(where), "linux.resources.devices[%zu]", index);
		if (!json_is_object(item))
			return field_error(&fields, "", err, "must be an object");
		if ((ret = read_rule(&fields, &bundle->device_rules[index], err)) < 0)
			return ret;
	}
	count = device_rules_complete(bundle->device_rules, count);
	bundle->device_rule_count = device_rules_reduce(bundle->device_rules, count);
	bundle->has_device_rules = true;
	return 0;
}

int bundle_read_resources(struct bundle *bundle, const struct fields *parent, struct error *err)
{
	struct fields fields = *parent;
	json_t *array;
	int ret = field_object(parent, "resources", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "linux.resources";
	if ((ret = field_array(&fields, "devices", OPTIONAL, &array, err)) < 0 || json_array_size(array) == 0 ||
	    (ret = read_rules(bundle, &fields, array, err)) < 0)
		return ret;
	if (bundle->cgroup == NULL && device_rules_restrict(bundle->device_rules, bundle->device_rule_count))
		return field_error(&fields, "devices", err, "needs a cgroup, and berth.json names none");
	return 0;
}

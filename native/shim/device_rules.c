#include "device_rules.h"

#include <string.h>

/* The OCI spec's default devices, pseudo terminals, and mknod of any device. */
static const struct device_rule standard[DEVICE_RULES_STANDARD] = {
	{ true, BPF_DEVCG_DEV_CHAR, DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD },
	{ true, BPF_DEVCG_DEV_BLOCK, DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD },
	{ true, BPF_DEVCG_DEV_CHAR, 1, 3, DEVICE_ACCESS_ALL },		/* null */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 5, DEVICE_ACCESS_ALL },		/* zero */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 7, DEVICE_ACCESS_ALL },		/* full */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 8, DEVICE_ACCESS_ALL },		/* random */
	{ true, BPF_DEVCG_DEV_CHAR, 1, 9, DEVICE_ACCESS_ALL },		/* urandom */
	{ true, BPF_DEVCG_DEV_CHAR, 5, 0, DEVICE_ACCESS_ALL },		/* tty */
	{ true, BPF_DEVCG_DEV_CHAR, 5, 1, DEVICE_ACCESS_ALL },		/* console */
	{ true, BPF_DEVCG_DEV_CHAR, 5, 2, DEVICE_ACCESS_ALL },		/* ptmx */
	{ true, BPF_DEVCG_DEV_CHAR, 136, DEVICE_ANY, DEVICE_ACCESS_ALL }, /* pts */
};

static bool names_all(const struct device_rule *rule)
{
	return rule->type == 0 && rule->major == DEVICE_ANY && rule->minor == DEVICE_ANY;
}

size_t device_rules_complete(struct device_rule *rules, size_t count)
{
	size_t at = count;

	while (at > 0 && !names_all(&rules[at - 1]))
		at--;
	memmove(&rules[at + DEVICE_RULES_STANDARD], &rules[at], (count - at) * sizeof(*rules));
	memcpy(&rules[at], standard, sizeof(standard));
	return count + DEVICE_RULES_STANDARD;
}

/* Whatever `rule` says of a device, `later` says as well. */
static bool covers(const struct device_rule *later, const struct device_rule *rule)
{
	return (later->type == 0 || later->type == rule->type) &&
	       (later->major == DEVICE_ANY || later->major == rule->major) &&
	       (later->minor == DEVICE_ANY || later->minor == rule->minor) && (rule->access & ~later->access) == 0;
}

static bool is_overruled(const struct device_rule *rules, size_t index, size_t count)
{
	for (size_t later = index + 1; later < count; later++)
		if (covers(&rules[later], &rules[index]))
			return true;
	return false;
}

size_t device_rules_reduce(struct device_rule *rules, size_t count)
{
	size_t kept = 0;

	/* A rule looks only at later ones, which have not moved yet. */
	for (size_t i = 0; i < count; i++) {
		/* Nothing is allowed yet that could be denied. */
		if (kept == 0 && !rules[i].allow)
			continue;
		if (!is_overruled(rules, i, count))
			rules[kept++] = rules[i];
	}
	return kept;
}

bool device_rules_restrict(const struct device_rule *rules, size_t count)
{
	if (count == 0 || !names_all(&rules[0]) || rules[0].access != DEVICE_ACCESS_ALL)
		return true;
	for (size_t i = 0; i < count; i++)
		if (!rules[i].allow)
			return true;
	return false;
}

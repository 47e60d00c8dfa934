#include "mount_options.h"

#include <string.h>
#include <sys/mount.h>

/*
 * `clear` only takes back what an earlier option of the same list said. It is never passed to the kernel
 * as an attribute to clear: "rw" is on nearly every bind mount that a kubelet asks for, and must not make
 * a read-only mount of the host writable.
 */
static const struct {
	const char *name;
	uint64_t set;
	uint64_t clear;
} attributes[] = {
	{ "ro", MOUNT_ATTR_RDONLY, 0 },           { "rw", 0, MOUNT_ATTR_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID, 0 },       { "suid", 0, MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0 },         { "dev", 0, MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 },       { "exec", 0, MOUNT_ATTR_NOEXEC },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 }, { "diratime", 0, MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 }, { "symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW },
	{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME }, { "atime", 0, MOUNT_ATTR__ATIME },
	{ "relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME }, { "norelatime", 0, MOUNT_ATTR__ATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME }, { "nostrictatime", 0, MOUNT_ATTR__ATIME },
};

static const struct {
	const char *name;
	unsigned long propagation;
} propagations[] = {
	{ "private", MS_PRIVATE }, { "slave", MS_SLAVE }, { "shared", MS_SHARED }, { "unbindable", MS_UNBINDABLE },
};

static bool apply_attribute(struct mount_spec *mount, const char *name, bool tree)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		uint64_t *target = tree ? &mount->attributes_tree : &mount->attributes;

		if (strcmp(name, attributes[i].name) != 0)
			continue;
		*target = (*target & ~attributes[i].clear) | attributes[i].set;
		if ((attributes[i].clear & MOUNT_ATTR__ATIME) == MOUNT_ATTR__ATIME)
			*(tree ? &mount->atime_tree : &mount->atime) = true;
		return true;
	}
	return false;
}

static bool apply_propagation(struct mount_spec *mount, const char *name, bool tree)
{
	for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
		if (strcmp(name, propagations[i].name) != 0)
			continue;
		mount->propagation = propagations[i].propagation;
		mount->propagation_tree = tree;
		return true;
	}
	return false;
}

static bool contains(const char *const *list, const char *option)
{
	for (; *list != NULL; list++)
		if (strcmp(option, *list) == 0)
			return true;
	return false;
}

/* No range: those of the container's user namespace. */
static const struct idmaps container_maps;

enum mount_option mount_option_apply(struct mount_spec *mount, const char *option)
{
	static const char *const nothing[] = { "defaults", "async", "loud", "nomand", "nolazytime", "noiversion", NULL };
	static const char *const unsupported[] = { "tmpcopyup", "remount", "move", NULL };

	if (strcmp(option, "bind") == 0 || strcmp(option, "rbind") == 0) {
		mount->recursive = option[0] == 'r';
		return OPTION_BIND;
	}
	if (strcmp(option, "idmap") == 0 || strcmp(option, "ridmap") == 0) {
		mount->maps = &container_maps;
		mount->maps_tree = option[0] == 'r';
		return OPTION_TAKEN;
	}
	/* The names win over their "r" forms: "ro" and "rw" are not "o" and "w" for a tree. */
	if (apply_attribute(mount, option, false) || apply_propagation(mount, option, false))
		return OPTION_TAKEN;
	if (option[0] == 'r' && (apply_attribute(mount, option + 1, true) || apply_propagation(mount, option + 1, true)))
		return OPTION_TAKEN;
	if (contains(nothing, option))
		return OPTION_TAKEN;
	return contains(unsupported, option) ? OPTION_UNSUPPORTED : OPTION_DATA;
}

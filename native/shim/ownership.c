#include "ownership.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Leaving uid 0 for file accesses takes the capabilities for files away (capabilities(7)); they are still permitted. */
static int restore_effective(struct error *err)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(err, "namespace", "user", "cannot read the process's capabilities");
	for (int half = 0; half < 2; half++)
		data[half].effective = data[half].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return error_errno(err, "namespace", "user", "cannot keep the capabilities for files");
	return 0;
}

int ownership_take(const struct idmaps *maps, struct error *err)
{
	uint32_t uid;
	uint32_t gid;

	if (!idmap_outside(&maps->uids, 0, &uid) || !idmap_outside(&maps->gids, 0, &gid))
		return error_set(err, EINVAL, "namespace", "user", "the user namespace has no root");
	setfsgid(gid);
	setfsuid(uid);
	/* The only way to learn whether they took it: asking for what is no id changes nothing. */
	if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
		return error_set(err, EPERM, "namespace", "user", "cannot make files as the user namespace's root");
	return restore_effective(err);
}

bool ownership_outside(const struct container *container, uid_t *uid, gid_t *gid)
{
	if (container->maps == NULL)
		return true;
	return idmap_outside(&container->maps->uids, *uid, uid) && idmap_outside(&container->maps->gids, *gid, gid);
}

static const struct idmap *map_of(const struct container *container, const char *option)
{
	if (strncmp(option, "uid=", 4) == 0)
		return &container->maps->uids;
	return strncmp(option, "gid=", 4) == 0 ? &container->maps->gids : NULL;
}

int ownership_options(const struct container *container, char **options, char ***out, struct arena *arena)
{
	size_t count = 0;
	char **list;

	*out = options;
	while (options != NULL && options[count] != NULL)
		count++;
	if (container->maps == NULL || count == 0)
		return 0;
	list = arena_alloc(arena, (count + 1) * sizeof(char *));
	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct idmap *map = map_of(container, options[i]);
		char text[20];
		char *end;
		unsigned long long id;
		uint32_t outside;

		list[i] = options[i];
		if (map == NULL)
			continue;
		id = strtoull(options[i] + 4, &end, 10);
		if (end == options[i] + 4 || *end != '\0' || id > UINT32_MAX || !idmap_outside(map, (uint32_t)id, &outside))
			return -EINVAL;
		snprintf(text, sizeof(text), "%.4s%u", options[i], outside);
		list[i] = arena_string(arena, text, strlen(text));
		if (list[i] == NULL)
			return -ENOMEM;
	}
	*out = list;
	return 0;
}

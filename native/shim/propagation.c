#include "propagation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../common/scope.h"

struct peers {
	bool shared, follows;
	char where[512];
};

/* proc_pid_mountinfo(5): ID PARENT DEVICE ROOT PLACE OPTIONS, optional fields, "-". */
static bool read_line(char *line, unsigned long long id, struct peers *peers)
{
	char *rest = NULL;
	char *field = strtok_r(line, " ", &rest);

	if (field == NULL || strtoull(field, NULL, 10) != id)
		return false;
	for (int number = 1; (field = strtok_r(NULL, " ", &rest)) != NULL && strcmp(field, "-") != 0; number++) {
		if (number == 4)
			snprintf(peers->where, sizeof(peers->where), "%s", field);
		peers->shared = peers->shared || (number > 5 && strncmp(field, "shared:", 7) == 0);
		peers->follows = peers->follows || (number > 5 && strncmp(field, "master:", 7) == 0);
	}
	return true;
}

static int find(unsigned long long id, struct peers *peers)
{
	scope_file FILE *file = fopen("/proc/self/mountinfo", "re");
	scope_free char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		return -errno;
	while (getline(&line, &size, file) >= 0)
		if (read_line(line, id, peers))
			return 0;
	return -ENOENT;
}

int propagation_check(int directory, const struct mount_spec *mount, struct error *err)
{
	struct peers peers = { 0 };
	struct statx at;
	int ret;

	if (mount->propagation != MS_SHARED && mount->propagation != MS_SLAVE)
		return 0;
	if (statx(directory, mount->source, 0, STATX_MNT_ID, &at) < 0)
		return error_errno(err, "mount", mount->destination, "cannot open the source \"%.256s\"", mount->source);
	ret = find(at.stx_mnt_id, &peers);
	if (ret < 0)
		return error_set(err, -ret, "mount", mount->destination, "cannot tell the propagation of \"%.256s\": %s",
				 mount->source, strerror(-ret));
	if (peers.shared || (mount->propagation == MS_SLAVE && peers.follows))
		return 0;
	return error_set(err, EINVAL, "mount", mount->destination,
			 "\"%.128s\" is on the mount \"%.128s\", which is not shared%s", mount->source, peers.where,
			 mount->propagation == MS_SLAVE ? " nor follows one that is" : "");
}

/* What an entry says about its inode: owner, mode, times, extended attributes and ACLs. */
#ifndef BERTH_UNPACK_METADATA_H
#define BERTH_UNPACK_METADATA_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "../common/error.h"

struct archive_entry;

struct attribute {
	struct attribute *next;
	char *name;
	size_t size;
	unsigned char value[];
};

struct metadata {
	uid_t uid;
	gid_t gid;
	mode_t mode; /* 07777 */
	struct timespec times[2];
	/*
	 * Attributes under `trusted.` and `user.overlay.` are left out: overlayfs would read some of them as
	 * its own (a redirect to any directory of a lower layer, say), and what only the node's own privileged
	 * processes may set is not an image's to say. `security.selinux` is left out too: labels are the
	 * node's policy.
	 */
	struct attribute *attributes;
};

int metadata_read(struct archive_entry *entry, const char *path, struct metadata *metadata, struct error *err);
/* One more attribute; name and value are copied. */
int metadata_add(struct metadata *metadata, const char *name, const void *value, size_t size, const char *path,
		 struct error *err);
void metadata_clear(struct metadata *metadata);

/*
 * In this order, because the kernel takes set-user-id bits and capabilities away on chown and on
 * write, and an ACL's mask lives in the group bits: owner, attributes, mode, times.
 * `fresh`: the inode was just made by us with the mode's permission bits under umask 0.
 */
int metadata_apply(const struct metadata *metadata, int fd, const char *path, bool fresh, struct error *err);

/*
 * The same for what cannot be opened (symlinks, devices, fifos) or has another name already, and is
 * `present`. An owner that is right is not set again, which would take capabilities away. Changes the
 * working directory.
 */
int metadata_apply_at(const struct metadata *metadata, int parent_fd, const char *name, const struct stat *present,
		      const char *path, struct error *err);

#endif

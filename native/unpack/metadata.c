#include "metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "acl.h"
#include "tree.h"

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool wanted(const char *name)
{
	return !starts_with(name, "trusted.") && !starts_with(name, "user.overlay.") && strcmp(name, "security.selinux") != 0;
}

int metadata_add(struct metadata *metadata, const char *name, const void *value, size_t size, const char *path,
		 struct error *err)
{
	struct attribute *attribute = malloc(sizeof(*attribute) + size);
	char *copy = strdup(name);

	if (attribute == NULL || copy == NULL) {
		free(attribute);
		free(copy);
		return error_set(err, ENOMEM, "write", path, "no memory for extended attributes");
	}
	attribute->next = metadata->attributes;
	attribute->name = copy;
	attribute->size = size;
	if (size > 0)
		memcpy(attribute->value, value, size);
	metadata->attributes = attribute;
	return 0;
}

static int read_acl(struct archive_entry *entry, int type, const char *name, const char *path,
		    struct metadata *metadata, struct error *err)
{
	void *value = NULL;
	size_t size = 0;
	int result = acl_to_attribute(entry, type, &value, &size, path, err);
	if (result == 0 && size > 0)
		result = metadata_add(metadata, name, value, size, path, err);
	free(value);
	return result;
}

static int read_attributes(struct archive_entry *entry, const char *path, struct metadata *metadata, struct error *err)
{
	const char *name;
	const void *value;
	size_t size;
	int result = 0;

	if (archive_entry_xattr_reset(entry) > 0) {
		while (result == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
			if (name != NULL && wanted(name))
				result = metadata_add(metadata, name, value, size, path, err);
		}
	}
	if (result == 0)
		result = read_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", path, metadata, err);
	if (result == 0 && archive_entry_filetype(entry) == AE_IFDIR)
		result = read_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", path, metadata, err);
	return result;
}

/* -1 as a 32-bit number means "leave it" to chown, and beyond that the number would wrap, perhaps to root. */
static bool id_fits(int64_t id)
{
	return id >= 0 && id < (int64_t)UINT32_MAX;
}

/* As in other runtimes: what is before 1970, or does not fit 64 bits of nanoseconds, becomes 1970. */
static struct timespec bounded(struct timespec time)
{
	static const struct timespec last = { .tv_sec = INT64_MAX / 1000000000, .tv_nsec = INT64_MAX % 1000000000 };
	bool after = time.tv_sec > last.tv_sec || (time.tv_sec == last.tv_sec && time.tv_nsec > last.tv_nsec);

	return time.tv_sec < 0 || after ? (struct timespec){ 0 } : time;
}

static void read_times(struct archive_entry *entry, struct metadata *metadata)
{
	struct timespec changed = { archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) };
	struct timespec accessed = { archive_entry_atime(entry), archive_entry_atime_nsec(entry) };
	bool earlier = accessed.tv_sec < changed.tv_sec ||
		       (accessed.tv_sec == changed.tv_sec && accessed.tv_nsec < changed.tv_nsec);

	metadata->times[1] = bounded(changed);
	metadata->times[0] = bounded(earlier || !archive_entry_atime_is_set(entry) ? changed : accessed);
}

int metadata_read(struct archive_entry *entry, const char *path, struct metadata *metadata, struct error *err)
{
	int64_t uid = archive_entry_uid(entry);
	int64_t gid = archive_entry_gid(entry);

	*metadata = (struct metadata){ 0 };
	if (!id_fits(uid) || !id_fits(gid))
		return error_set(err, EOVERFLOW, "entry", path, "its owner %lld:%lld does not fit 32 bits", (long long)uid,
				 (long long)gid);
	metadata->uid = (uid_t)uid;
	metadata->gid = (gid_t)gid;
	metadata->mode = archive_entry_mode(entry) & 07777;
	read_times(entry, metadata);
	int result = read_attributes(entry, path, metadata, err);
	if (result < 0)
		metadata_clear(metadata);
	return result;
}

void metadata_clear(struct metadata *metadata)
{
	while (metadata->attributes != NULL) {
		struct attribute *attribute = metadata->attributes;
		metadata->attributes = attribute->next;
		free(attribute->name);
		free(attribute);
	}
}

/* What ext4 has for all attributes of an inode is a block; where it has no room, it says that the disk is full. */
#define SMALL_ATTRIBUTES 2048

static bool attributes_are_small(const struct metadata *metadata)
{
	size_t size = 0;

	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next)
		size += strlen(at->name) + at->size;
	return size <= SMALL_ATTRIBUTES;
}

/*
 * A file system without such attributes is the node's choice, not the layer's fault; and EPERM is what
 * user attributes get on anything but files and directories (xattr(7)).
 */
static int attribute_error(const struct metadata *metadata, const struct attribute *attribute, const char *path,
			   struct error *err)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	if (errno == EOPNOTSUPP || (errno == EPERM && starts_with(attribute->name, "user.")))
		return 0;
	if (full && !attributes_are_small(metadata))
		return error_set(err, E2BIG, "entry", path, "its attributes are more than the file system takes for one file");
	return error_errno(err, full ? "write" : "entry", path, "cannot set the attribute %s", attribute->name);
}

int metadata_apply(const struct metadata *metadata, int fd, const char *path, bool fresh, struct error *err)
{
	bool owned = metadata->uid != 0 || metadata->gid != 0;

	if ((!fresh || owned) && fchown(fd, metadata->uid, metadata->gid) < 0)
		return tree_error(err, path, "cannot set its owner");
	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next) {
		if (fsetxattr(fd, at->name, at->value, at->size, 0) < 0) {
			int result = attribute_error(metadata, at, path, err);
			if (result < 0)
				return result;
		}
	}
	/* After the attributes: where an ACL and the mode differ, the mode counts, as with other runtimes. */
	if ((!fresh || (metadata->mode & 07000) != 0 || metadata->attributes != NULL) && fchmod(fd, metadata->mode) < 0)
		return tree_error(err, path, "cannot set its mode");
	if (futimens(fd, metadata->times) < 0)
		return tree_error(err, path, "cannot set its times");
	return 0;
}

/* There is no setxattr relative to a descriptor before Linux 6.13. */
static int set_attributes_at(const struct metadata *metadata, int parent_fd, const char *name, const char *path,
			     struct error *err)
{
	if (metadata->attributes != NULL && fchdir(parent_fd) < 0)
		return tree_error(err, path, "cannot enter its directory");
	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next) {
		if (lsetxattr(name, at->name, at->value, at->size, 0) < 0) {
			int result = attribute_error(metadata, at, path, err);
			if (result < 0)
				return result;
		}
	}
	return 0;
}

int metadata_apply_at(const struct metadata *metadata, int parent_fd, const char *name, const struct stat *present,
		      const char *path, struct error *err)
{
	bool owned = metadata->uid != present->st_uid || metadata->gid != present->st_gid;
	bool moded = owned || metadata->attributes != NULL || metadata->mode != (present->st_mode & 07777);

	if (owned && fchownat(parent_fd, name, metadata->uid, metadata->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, path, "cannot set its owner");
	int result = set_attributes_at(metadata, parent_fd, name, path, err);
	if (result < 0)
		return result;
	/* chmod would follow a symlink; what is known to be none stays so, for nobody else is here. */
	if (!S_ISLNK(present->st_mode) && moded && fchmodat(parent_fd, name, metadata->mode, 0) < 0)
		return tree_error(err, path, "cannot set its mode");
	if (utimensat(parent_fd, name, metadata->times, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, path, "cannot set its times");
	return 0;
}

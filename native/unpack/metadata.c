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
	return !starts_with(name, "trusted.overlay.") && !starts_with(name, "user.overlay.") &&
	       strcmp(name, "security.selinux") != 0;
}

static int add_attribute(struct metadata *metadata, const char *name, const void *value, size_t size, const char *path,
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
		result = add_attribute(metadata, name, value, size, path, err);
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
				result = add_attribute(metadata, name, value, size, path, err);
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
	metadata->times[1].tv_sec = archive_entry_mtime(entry);
	metadata->times[1].tv_nsec = archive_entry_mtime_nsec(entry);
	metadata->times[0] = metadata->times[1];
	if (archive_entry_atime_is_set(entry) && archive_entry_atime(entry) > archive_entry_mtime(entry)) {
		metadata->times[0].tv_sec = archive_entry_atime(entry);
		metadata->times[0].tv_nsec = archive_entry_atime_nsec(entry);
	}
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

/*
 * A file system without such attributes is the node's choice, not the layer's fault; and EPERM is what
 * user attributes get on anything but files and directories (xattr(7)).
 */
static int attribute_error(const struct attribute *attribute, const char *path, struct error *err)
{
	if (errno == EOPNOTSUPP || (errno == EPERM && starts_with(attribute->name, "user.")))
		return 0;
	return error_errno(err, errno == ENOSPC || errno == EDQUOT ? "write" : "entry", path, "cannot set the attribute %s",
			   attribute->name);
}

int metadata_apply(const struct metadata *metadata, int fd, const char *path, bool fresh, struct error *err)
{
	bool owned = metadata->uid != 0 || metadata->gid != 0;

	if ((!fresh || owned) && fchown(fd, metadata->uid, metadata->gid) < 0)
		return tree_error(err, path, "cannot set its owner");
	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next) {
		if (fsetxattr(fd, at->name, at->value, at->size, 0) < 0) {
			int result = attribute_error(at, path, err);
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

int metadata_apply_at(const struct metadata *metadata, int parent_fd, const char *name, bool symlink, const char *path,
		      struct error *err)
{
	bool owned = metadata->uid != 0 || metadata->gid != 0;

	if (owned && fchownat(parent_fd, name, metadata->uid, metadata->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, path, "cannot set its owner");
	/* chmod would follow a symlink; what was just made under this name by us is none, and nobody else is here. */
	if (!symlink && (metadata->mode & 07000) != 0 && fchmodat(parent_fd, name, metadata->mode, 0) < 0)
		return tree_error(err, path, "cannot set its mode");
	/* There is no setxattr relative to a descriptor before Linux 6.13. */
	if (metadata->attributes != NULL && fchdir(parent_fd) < 0)
		return tree_error(err, path, "cannot enter its directory");
	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next) {
		if (lsetxattr(name, at->name, at->value, at->size, 0) < 0) {
			int result = attribute_error(at, path, err);
			if (result < 0)
				return result;
		}
	}
	if (utimensat(parent_fd, name, metadata->times, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, path, "cannot set its times");
	return 0;
}

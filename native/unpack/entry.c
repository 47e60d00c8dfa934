#include "entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "../common/scope.h"
#include "content.h"
#include "overlay.h"
#include "skeleton.h"

/* Runs `make`, and once more after clearing the place where something of an earlier entry stands in the way. */
typedef int (*maker)(const struct place *place, struct archive_entry *entry, const struct metadata *metadata);

static int make_over(struct tree *tree, const struct place *place, struct archive_entry *entry,
		     const struct metadata *metadata, maker make, struct error *err)
{
	int made = make(place, entry, metadata);
	if (made < 0 && errno == EEXIST) {
		int result = tree_clear(tree, place, err);
		if (result < 0)
			return result;
		made = make(place, entry, metadata);
	}
	return made < 0 ? tree_error(err, place->path, "cannot make it") : made;
}

static int make_file(const struct place *place, struct archive_entry *entry, const struct metadata *metadata)
{
	(void)entry;
	return openat(place->parent_fd, place->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		      metadata->mode & 0777);
}

static int make_symlink(const struct place *place, struct archive_entry *entry, const struct metadata *metadata)
{
	(void)metadata;
	return symlinkat(archive_entry_symlink(entry), place->parent_fd, place->name);
}

static int make_node(const struct place *place, struct archive_entry *entry, const struct metadata *metadata)
{
	mode_t type = archive_entry_filetype(entry);
	dev_t device = type == AE_IFIFO ? 0
					: makedev((unsigned int)archive_entry_rdevmajor(entry),
						  (unsigned int)archive_entry_rdevminor(entry));
	return mknodat(place->parent_fd, place->name, type | (metadata->mode & 0777), device);
}

static int unpack_file(struct unpacking *unpacking, struct archive_entry *entry, const struct place *place,
		       const struct metadata *metadata, struct error *err)
{
	scope_fd int fd = make_over(unpacking->tree, place, entry, metadata, make_file, err);
	if (fd < 0)
		return fd;
	tree_count_inode(unpacking->tree);
	int64_t size = archive_entry_size(entry);
	int result = content_write(unpacking->archive, size, fd, place->path, err);
	if (result == 0 && size > 0 && archive_entry_sparse_count(entry) == 0)
		result = skeleton_file(unpacking->skeleton, place->path, (uint64_t)size, err);
	return result < 0 ? result : metadata_apply(metadata, fd, place->path, true, err);
}

static int unpack_unopened(struct unpacking *unpacking, struct archive_entry *entry, const struct place *place,
			   const struct metadata *metadata, struct error *err)
{
	bool symlink = archive_entry_filetype(entry) == AE_IFLNK;
	if (symlink && archive_entry_symlink(entry) == NULL)
		return error_set(err, EINVAL, "entry", place->path, "the symlink has no target");
	int result = make_over(unpacking->tree, place, entry, metadata, symlink ? make_symlink : make_node, err);
	if (result < 0)
		return result;
	tree_count_inode(unpacking->tree);
	const struct stat fresh = { .st_mode = archive_entry_filetype(entry) | (metadata->mode & 0777) };
	return metadata_apply_at(metadata, place->parent_fd, place->name, &fresh, place->path, err);
}

/* A directory joins one that is there already; anything else gives way to it. */
static int make_directory(struct unpacking *unpacking, const struct place *place, struct error *err)
{
	struct stat status;

	if (mkdirat(place->parent_fd, place->name, 0755) == 0) {
		tree_count_inode(unpacking->tree);
		return 0;
	}
	if (errno != EEXIST || fstatat(place->parent_fd, place->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, place->path, "cannot make the directory");
	if (S_ISDIR(status.st_mode))
		return 0;
	if (S_ISCHR(status.st_mode) && status.st_rdev == 0)
		return overlay_replace_whiteout(place->parent_fd, place->name, 0755, place->path, err);
	int result = tree_clear(unpacking->tree, place, err);
	if (result < 0)
		return result;
	if (mkdirat(place->parent_fd, place->name, 0755) < 0)
		return tree_error(err, place->path, "cannot make the directory");
	tree_count_inode(unpacking->tree);
	return 0;
}

static int unpack_directory(struct unpacking *unpacking, const struct place *place, const struct metadata *metadata,
			    struct error *err)
{
	/* As in other runtimes: archives made of a temporary directory would close the root to all but its owner. */
	if (*place->name == '\0')
		return 0;
	int result = make_directory(unpacking, place, err);
	return result < 0 ? result : directories_add(unpacking->directories, unpacking->tree, place->path, metadata, err);
}

/* Where the link's header and that of the first name differ, the later counts, as with other runtimes. */
static int apply_to_link(struct archive_entry *entry, const struct place *place, struct error *err)
{
	struct stat present;
	struct metadata metadata;

	if (fstatat(place->parent_fd, place->name, &present, AT_SYMLINK_NOFOLLOW) < 0)
		return tree_error(err, place->path, "cannot look at the hard link");
	int result = metadata_read(entry, place->path, &metadata, err);
	if (result == 0)
		result = metadata_apply_at(&metadata, place->parent_fd, place->name, &present, place->path, err);
	metadata_clear(&metadata);
	return result;
}

/* The target's last component is never followed. */
static int unpack_hard_link(struct unpacking *unpacking, struct archive_entry *entry, struct error *err)
{
	const char *target = archive_entry_hardlink(entry);
	const char *name = archive_entry_pathname(entry);
	struct place to, from;
	int result = tree_locate(unpacking->tree, target, false, &to, err);
	if (result < 0)
		return result;
	if (*to.name == '\0')
		return error_set(err, EISDIR, "entry", name, "a hard link to the layer's root");
	/* The second lookup may drop the first one's descriptor from the cache. */
	scope_fd int target_fd = fcntl(to.parent_fd, F_DUPFD_CLOEXEC, 0);
	if (target_fd < 0)
		return tree_error(err, name, "cannot keep the link's target");
	result = tree_locate(unpacking->tree, name, true, &from, err);
	if (result < 0)
		return result;
	if (strcmp(to.path, from.path) == 0)
		return faccessat(target_fd, to.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : tree_error(err, name, "a hard link to itself");
	bool linked = linkat(target_fd, to.name, from.parent_fd, from.name, 0) == 0;
	if (!linked && errno == EEXIST) {
		result = tree_clear(unpacking->tree, &from, err);
		if (result < 0)
			return result;
		linked = linkat(target_fd, to.name, from.parent_fd, from.name, 0) == 0;
	}
	if (linked)
		return apply_to_link(entry, &from, err);
	/* linkat(2): of a directory; and that is the layer's fault, not a lack of rights. */
	if (errno == EPERM)
		return error_set(err, EISDIR, "entry", name, "a hard link to a directory");
	return tree_error(err, name, "cannot make the hard link");
}

static int unpack_inode(struct unpacking *unpacking, struct archive_entry *entry, const struct place *place,
			const struct metadata *metadata, struct error *err)
{
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return unpack_file(unpacking, entry, place, metadata, err);
	case AE_IFDIR:
		return unpack_directory(unpacking, place, metadata, err);
	case AE_IFLNK:
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
		return unpack_unopened(unpacking, entry, place, metadata, err);
	default:
		return error_set(err, EINVAL, "entry", place->path, "an entry of unknown type");
	}
}

int entry_unpack(struct unpacking *unpacking, struct archive_entry *entry, struct error *err)
{
	struct place place;
	struct metadata metadata;
	const char *name = archive_entry_pathname(entry);
	const char *target = archive_entry_hardlink(entry);

	if (name == NULL || *name == '\0')
		return error_set(err, EINVAL, "entry", "", "an entry without a name, or with one that cannot be read");
	int result = tree_locate(unpacking->tree, name, true, &place, err);
	if (result < 0)
		return result;
	if (*place.name == '\0' && (target != NULL || archive_entry_filetype(entry) != AE_IFDIR))
		return error_set(err, EINVAL, "entry", name, "the layer's root is not a directory");
	if (overlay_is_marker(place.name))
		return overlay_apply_marker(unpacking->tree, &place, err);
	if (target != NULL)
		return unpack_hard_link(unpacking, entry, err);
	result = metadata_read(entry, place.path, &metadata, err);
	if (result < 0)
		return result;
	result = unpack_inode(unpacking, entry, &place, &metadata, err);
	metadata_clear(&metadata);
	return result;
}

#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"

#define MARKER ".wh."
#define META_MARKER ".wh..wh."
#define OPAQUE_MARKER ".wh..wh..opq"

bool overlay_is_marker(const char *name)
{
	return strncmp(name, MARKER, strlen(MARKER)) == 0;
}

bool overlay_is_whiteout(int parent_fd, const char *name)
{
	struct stat status;
	return fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

int overlay_make_opaque(int parent_fd, const char *name, const char *entry, struct error *err)
{
	scope_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return tree_error(err, entry, "cannot open the directory to be opaque");
	if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
		return error_errno(err, "write", entry, "cannot make the directory opaque");
	return 0;
}

int overlay_replace_whiteout(int parent_fd, const char *name, mode_t mode, const char *entry, struct error *err)
{
	if (unlinkat(parent_fd, name, 0) < 0 || mkdirat(parent_fd, name, mode) < 0)
		return tree_error(err, entry, "cannot replace the whiteout by a directory");
	return overlay_make_opaque(parent_fd, name, entry, err);
}

static int apply_whiteout(struct tree *tree, const struct place *place, const char *hidden, struct error *err)
{
	struct stat status;

	if (*hidden == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return error_set(err, EINVAL, "entry", place->path, "the whiteout hides no name");
	if (fstatat(place->parent_fd, hidden, &status, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(status.st_mode) ? overlay_make_opaque(place->parent_fd, hidden, place->path, err) : 0;
	if (errno != ENOENT || mknodat(place->parent_fd, hidden, S_IFCHR, 0) < 0)
		return tree_error(err, place->path, "cannot make the whiteout");
	tree_count_inode(tree);
	return 0;
}

int overlay_apply_marker(struct tree *tree, struct place *place, struct error *err)
{
	if (strcmp(place->name, OPAQUE_MARKER) == 0)
		return overlay_make_opaque(place->parent_fd, ".", place->path, err);
	/* What else aufs kept under this prefix is bookkeeping, and other runtimes leave it out too. */
	if (strncmp(place->name, META_MARKER, strlen(META_MARKER)) == 0)
		return 0;
	return apply_whiteout(tree, place, place->name + strlen(MARKER), err);
}

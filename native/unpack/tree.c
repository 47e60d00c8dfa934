#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/scope.h"
#include "implied.h"
#include "name.h"
#include "overlay.h"
#include "remove.h"

/*
 * Archives list a directory's entries together, so a few open parents save nearly every walk. It stays
 * small because each holds a descriptor.
 */
#define CACHE_SIZE 32
#define MAX_LINKS 40 /* as the kernel's own limit for one walk */

struct cached {
	char *path;
	int fd;
	uint64_t used;
};

struct tree {
	int root;
	uint64_t inodes;
	uint64_t implied;
	uint64_t clock;
	struct cached cache[CACHE_SIZE];
};

int tree_new(int root_fd, struct tree **out, struct error *err)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	if (tree == NULL) {
		close(root_fd);
		return error_set(err, ENOMEM, "write", "", "no memory for the tree");
	}
	tree->root = root_fd;
	*out = tree;
	return 0;
}

static void forget(struct cached *cached)
{
	if (cached->path == NULL)
		return;
	close(cached->fd);
	free(cached->path);
	cached->path = NULL;
}

static void forget_all(struct tree *tree)
{
	for (int i = 0; i < CACHE_SIZE; i++)
		forget(&tree->cache[i]);
}

void tree_free(struct tree *tree)
{
	if (tree == NULL)
		return;
	forget_all(tree);
	close(tree->root);
	free(tree);
}

int tree_root(const struct tree *tree)
{
	return tree->root;
}

uint64_t tree_inodes(const struct tree *tree)
{
	return tree->inodes;
}

uint64_t tree_implied(const struct tree *tree)
{
	return tree->implied;
}

void tree_count_inode(struct tree *tree)
{
	tree->inodes++;
}

int tree_error(struct error *err, const char *path, const char *what)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EROFS:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return error_errno(err, "write", path, "%s", what);
	default:
		return error_errno(err, "entry", path, "%s", what);
	}
}

static int open_inside(const struct tree *tree, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int fd;

	/* EAGAIN: a rename somewhere on the machine raced with a `..`; openat2(2) says to try again. */
	do {
		fd = (int)syscall(SYS_openat2, tree->root, *path == '\0' ? "." : path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd;
}

int tree_open_directory(const struct tree *tree, const char *path)
{
	return open_inside(tree, path, O_RDONLY | O_NOFOLLOW);
}

static int make_directory(struct tree *tree, const char *path, int links, const char *entry, struct error *err);

/*
 * Something that is no directory stands where a parent is needed. A symlink to nothing: the directory it
 * names is what is wanted. A whiteout: the layer replaces the directory. Anything else is an error.
 */
static int make_in_the_way(struct tree *tree, const char *parent, int parent_fd, const char *name, int links,
			   const char *entry, struct error *err)
{
	char target[TREE_PATH_SIZE];
	char path[TREE_PATH_SIZE];

	ssize_t length = readlinkat(parent_fd, name, target, sizeof(target) - 1);
	if (length < 0 && overlay_is_whiteout(parent_fd, name)) {
		int result = overlay_replace_whiteout(parent_fd, name, 0755, entry, err);
		return result < 0 ? result : openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (length < 0) /* EINVAL: no symlink */
		return error_set(err, ENOTDIR, "entry", entry, "a part of its path is not a directory");
	target[length] = '\0';
	if (links >= MAX_LINKS)
		return error_set(err, ELOOP, "entry", entry, "too many symlinks in its path");
	bool absolute = target[0] == '/';
	const char *base = absolute ? "" : parent;
	if (snprintf(path, sizeof(path), "%s%s%s", base, *base == '\0' ? "" : "/", target + strspn(target, "/") * absolute) >=
	    (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "entry", entry, "a symlink in its path makes it too long");
	return make_directory(tree, path, links + 1, entry, err);
}

/* Opens `path`, making what is missing on the way. Returns an O_PATH descriptor. */
static int make_directory(struct tree *tree, const char *path, int links, const char *entry, struct error *err)
{
	int fd = open_inside(tree, path, O_PATH);
	if (fd >= 0)
		return fd;
	if ((errno != ENOENT && errno != ENOTDIR) || *path == '\0')
		return tree_error(err, entry, "cannot open its directory");

	scope_free char *parent = malloc(TREE_PATH_SIZE);
	if (parent == NULL)
		return error_set(err, ENOMEM, "write", entry, "no memory");
	const char *name = name_split(path, parent, TREE_PATH_SIZE);
	scope_fd int parent_fd = make_directory(tree, parent, links, entry, err);
	if (parent_fd < 0)
		return parent_fd;
	if (*name == '\0' || strcmp(name, ".") == 0)
		return take_fd(&parent_fd);
	if (strcmp(name, "..") != 0) {
		if (mkdirat(parent_fd, name, 0755) == 0) {
			tree->inodes++;
			tree->implied++;
			implied_mark(parent_fd, name);
		} else if (errno == EEXIST)
			return make_in_the_way(tree, parent, parent_fd, name, links, entry, err);
		else
			return tree_error(err, entry, "cannot make its directory");
	}
	fd = open_inside(tree, path, O_PATH);
	return fd >= 0 ? fd : tree_error(err, entry, "cannot open its directory");
}

static int open_parent(struct tree *tree, const char *path, bool create, const char *entry, struct error *err)
{
	struct cached *oldest = &tree->cache[0];

	for (struct cached *at = tree->cache; at < tree->cache + CACHE_SIZE; at++) {
		if (at->path != NULL && strcmp(at->path, path) == 0) {
			at->used = ++tree->clock;
			return at->fd;
		}
		if (oldest->path != NULL && (at->path == NULL || at->used < oldest->used))
			oldest = at;
	}
	int fd = create ? make_directory(tree, path, 0, entry, err) : open_inside(tree, path, O_PATH);
	if (fd < 0)
		return create ? fd : tree_error(err, entry, "cannot open its directory");
	char *copy = strdup(path);
	if (copy == NULL) {
		close(fd);
		return error_set(err, ENOMEM, "write", entry, "no memory");
	}
	forget(oldest);
	*oldest = (struct cached){ .path = copy, .fd = fd, .used = ++tree->clock };
	return fd;
}

int tree_locate(struct tree *tree, const char *name, bool create, struct place *place, struct error *err)
{
	int result = name_clean(name, place->path, sizeof(place->path), err);
	if (result < 0)
		return result;
	place->name = name_split(place->path, place->parent, sizeof(place->parent));
	place->parent_fd = -1;
	if (*place->name == '\0')
		return 0;
	int fd = *place->parent == '\0' ? tree->root : open_parent(tree, place->parent, create, name, err);
	if (fd < 0)
		return fd;
	place->parent_fd = fd;
	return 0;
}

int tree_clear(struct tree *tree, const struct place *place, struct error *err)
{
	struct stat status;
	uint64_t removed = 0;

	if (fstatat(place->parent_fd, place->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : tree_error(err, place->path, "cannot replace it");
	/* Names are no inodes: of a file with several, the last one counts. */
	bool whole = S_ISDIR(status.st_mode) || status.st_nlink == 1;
	int result = whole ? remove_entry(place->parent_fd, place->name, &removed, err) : 0;
	if (result < 0)
		return error_set(err, err->code, "write", place->path, "cannot replace what an earlier entry made");
	if (!whole && unlinkat(place->parent_fd, place->name, 0) < 0)
		return tree_error(err, place->path, "cannot replace it");
	tree->inodes -= removed < tree->inodes ? removed : tree->inodes;
	/*
	 * A cached descriptor may be of what has gone, or its path may have gone through the symlink. The
	 * parent's own stays open for the caller, but is found by no path any more.
	 */
	for (struct cached *at = tree->cache; result == 0 && !S_ISREG(status.st_mode) && at < tree->cache + CACHE_SIZE; at++) {
		if (at->path != NULL && at->fd == place->parent_fd)
			at->path[0] = '\0';
		else
			forget(at);
	}
	return result;
}

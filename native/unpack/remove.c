#include "remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/scope.h"
#include "name.h"

/*
 * A container can nest directories without end, so depth must cost neither descriptors nor stack: what
 * lies deeper is moved up to the top of the tree and found there by the next pass.
 */
#define MAX_DEPTH 48

struct removal {
	int top;          /* the directory that is being emptied */
	uint64_t lifted;  /* how many were moved up so far; makes their names */
	uint64_t *removed;
};

static int open_directory(int parent_fd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	return (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
}

/* Moves a directory that lies too deep to the top. The name is tried until one is free. */
static int lift(struct removal *removal, int parent_fd, const char *name, struct error *err)
{
	char lifted[64];

	for (;;) {
		snprintf(lifted, sizeof(lifted), ".berth-removing-%llu", (unsigned long long)removal->lifted++);
		if (renameat2(parent_fd, name, removal->top, lifted, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return error_errno(err, "remove", name, "cannot move a deep directory");
	}
}

static int empty_and_remove(struct removal *removal, int parent_fd, const char *name, int fd, int depth,
			    struct error *err);

static int remove_directory(struct removal *removal, int parent_fd, const char *name, int depth, struct error *err)
{
	if (depth >= MAX_DEPTH)
		return lift(removal, parent_fd, name, err);

	scope_fd int fd = open_directory(parent_fd, name);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : error_errno(err, "remove", name, errno == EXDEV ? "something is mounted there"
											 : "cannot open the directory");
	return empty_and_remove(removal, parent_fd, name, fd, depth + 1, err);
}

static int remove_one(struct removal *removal, int parent_fd, const struct dirent *entry, int depth, struct error *err)
{
	/* Most entries are no directories, and where the file system does not say, unlink does. */
	if (entry->d_type != DT_DIR) {
		if (unlinkat(parent_fd, entry->d_name, 0) == 0) {
			++*removal->removed;
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return error_errno(err, "remove", entry->d_name, "cannot remove the file");
	}
	return remove_directory(removal, parent_fd, entry->d_name, depth, err);
}

/* One pass over the directory `fd`. */
static int empty(struct removal *removal, int fd, int depth, struct error *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	scope_dir DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	if (directory == NULL) {
		int result = error_errno(err, "remove", "", "cannot list a directory");
		if (copy >= 0)
			close(copy);
		return result;
	}
	rewinddir(directory); /* the copy shares its position with `fd`, which an earlier pass has moved */
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (entry == NULL)
			return errno == 0 ? 0 : error_errno(err, "remove", "", "cannot list a directory");
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int result = remove_one(removal, fd, entry, depth, err);
		if (result < 0)
			return result;
	}
}

/* A listing may skip what was moved up meanwhile, so the directory says itself when it is empty. */
static int empty_and_remove(struct removal *removal, int parent_fd, const char *name, int fd, int depth,
			    struct error *err)
{
	for (;;) {
		int result = empty(removal, fd, depth, err);
		if (result < 0)
			return result;
		if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0) {
			++*removal->removed;
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return error_errno(err, "remove", name, "cannot remove the directory");
	}
}

int remove_entry(int parent_fd, const char *name, uint64_t *removed, struct error *err)
{
	if (unlinkat(parent_fd, name, 0) == 0) {
		++*removed;
		return 0;
	}
	if (errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return error_errno(err, "remove", name, "cannot remove the file");

	struct removal removal = { .removed = removed };
	scope_fd int top = open_directory(parent_fd, name);
	if (top < 0)
		return error_errno(err, "remove", name, "cannot open the directory");
	removal.top = top;
	return empty_and_remove(&removal, parent_fd, name, top, 1, err);
}

int remove_tree(const char *path, struct error *err)
{
	char parent[4096];
	uint64_t removed = 0;

	if (strlen(path) >= sizeof(parent))
		return error_set(err, ENAMETOOLONG, "args", path, "the path is too long");
	const char *name = name_split(path, parent, sizeof(parent));
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(err, EINVAL, "args", path, "the path must end in the name of what is to be removed");
	const char *base = path == name ? "." : (*parent == '\0' ? "/" : parent);
	scope_fd int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, "remove", base, "cannot open the directory");
	return remove_entry(fd, name, &removed, err);
}

#include "volume_fill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"

#define STEP "mount"
/* Each level costs two descriptors and a frame; images are made from trees that PATH_MAX can name. */
#define MAX_DEPTH 200
#define ATTRIBUTE_NAMES 65536

/* A file with several names, by the first copy's place. */
struct link {
	ino_t inode;
	char *path;
};

struct filling {
	int to; /* the volume's root, which `path` of a link is relative to */
	const char *destination;
	struct link *links;
	size_t link_count;
	char path[PATH_MAX];
};

static int fail(const struct filling *filling, const char *what, struct error *err)
{
	return error_errno(err, STEP, filling->destination, "filling the volume: %s \"%.256s\"", what, filling->path);
}

/* What the target's file system does not know (EOPNOTSUPP) is left out, as cp -a does. */
static int copy_attributes(const struct filling *filling, const char *from, const char *to, struct error *err)
{
	scope_free char *names = malloc(ATTRIBUTE_NAMES);
	scope_free char *value = malloc(XATTR_SIZE_MAX);
	ssize_t length = names == NULL || value == NULL ? -1 : llistxattr(from, names, ATTRIBUTE_NAMES);

	if (length < 0)
		return errno == EOPNOTSUPP ? 0 : fail(filling, "cannot list the attributes of", err);
	for (const char *name = names; name < names + length; name += strlen(name) + 1) {
		ssize_t size = lgetxattr(from, name, value, XATTR_SIZE_MAX);

		if (strncmp(name, "trusted.overlay.", 16) == 0 || (size < 0 && (errno == ENODATA || errno == EOPNOTSUPP)))
			continue;
		if (size < 0 || (lsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP))
			return fail(filling, "cannot copy the attributes of", err);
	}
	return 0;
}

/* Owner first, since chown takes set-id bits and file capabilities away; times last. */
static int copy_metadata(const struct filling *filling, int from_dir, int to_dir, const char *name,
			 const struct stat *st, struct error *err)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char from[64 + NAME_MAX];
	char to[64 + NAME_MAX];

	snprintf(from, sizeof(from), "/proc/self/fd/%d/%s", from_dir, name);
	snprintf(to, sizeof(to), "/proc/self/fd/%d/%s", to_dir, name);
	if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(filling, "cannot set the owner of", err);
	if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
		return fail(filling, "cannot set the mode of", err);
	int ret = copy_attributes(filling, from, to, err);
	if (ret == 0 && utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(filling, "cannot set the times of", err);
	return ret;
}

static int copy_range(const struct filling *filling, int from, int to, off_t at, off_t end, struct error *err)
{
	if (lseek(from, at, SEEK_SET) < 0 || lseek(to, at, SEEK_SET) < 0)
		return fail(filling, "cannot copy", err);
	while (at < end) {
		ssize_t done = copy_file_range(from, NULL, to, NULL, (size_t)(end - at), 0);

		/* Not between all file systems. */
		if (done < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
			done = sendfile(to, from, NULL, (size_t)(end - at));
		if (done < 0 && errno != EINTR)
			return fail(filling, "cannot copy", err);
		if (done == 0)
			break;
		at += done > 0 ? done : 0;
	}
	return 0;
}

/* Holes stay holes: files of databases and disks are made of them. */
static int copy_content(const struct filling *filling, int from_dir, int to_dir, const char *name, off_t size,
			struct error *err)
{
	scope_fd int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	off_t hole = 0;
	int ret = 0;

	if (from < 0 || to < 0)
		return fail(filling, "cannot open", err);
	while (ret == 0 && hole < size) {
		off_t data = lseek(from, hole, SEEK_DATA);

		if (data < 0 && errno == ENXIO)
			break;
		/* A file system that knows of no holes has none. */
		data = data < 0 ? hole : data;
		hole = lseek(from, data, SEEK_HOLE);
		hole = hole < 0 || hole > size ? size : hole;
		ret = copy_range(filling, from, to, data, hole, err);
	}
	if (ret == 0 && ftruncate(to, size) < 0)
		return fail(filling, "cannot set the size of", err);
	return ret;
}

static int copy_symlink(const struct filling *filling, int from_dir, int to_dir, const char *name, struct error *err)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (length < 0)
		return fail(filling, "cannot read", err);
	target[length] = '\0';
	return symlinkat(target, to_dir, name) < 0 ? fail(filling, "cannot make", err) : 0;
}

/* 1: the file was there under another name, and has this one now too. */
static int copy_link(struct filling *filling, int to_dir, const char *name, const struct stat *st, struct error *err)
{
	for (size_t i = 0; i < filling->link_count; i++) {
		if (filling->links[i].inode != st->st_ino)
			continue;
		if (linkat(filling->to, filling->links[i].path, to_dir, name, 0) < 0)
			return fail(filling, "cannot make the hard link", err);
		return 1;
	}
	struct link *links = reallocarray(filling->links, filling->link_count + 1, sizeof(*links));
	if (links == NULL)
		return fail(filling, "no memory for", err);
	filling->links = links;
	links[filling->link_count] = (struct link){ .inode = st->st_ino, .path = strdup(filling->path) };
	if (links[filling->link_count].path == NULL)
		return fail(filling, "no memory for", err);
	filling->link_count++;
	return 0;
}

static int copy_directory(struct filling *filling, int from, int to, size_t length, int depth, struct error *err);

static int copy_tree(struct filling *filling, int from_dir, int to_dir, const char *name, size_t length, int depth,
		     struct error *err)
{
	if (depth >= MAX_DEPTH) {
		errno = ENAMETOOLONG;
		return fail(filling, "too deep:", err);
	}
	scope_fd int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int to = from < 0 || mkdirat(to_dir, name, 0700) < 0 ?
				  -1 :
				  openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return to < 0 ? fail(filling, "cannot make", err) : copy_directory(filling, from, to, length, depth + 1, err);
}

static int copy_entry(struct filling *filling, int from_dir, int to_dir, const char *name, size_t length, int depth,
		      struct error *err)
{
	struct stat st;
	int ret = 0;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(filling, "cannot stat", err);
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && (ret = copy_link(filling, to_dir, name, &st, err)) != 0)
		return ret < 0 ? ret : 0;
	if (S_ISDIR(st.st_mode))
		ret = copy_tree(filling, from_dir, to_dir, name, length, depth, err);
	else if (S_ISREG(st.st_mode))
		ret = copy_content(filling, from_dir, to_dir, name, st.st_size, err);
	else if (S_ISLNK(st.st_mode))
		ret = copy_symlink(filling, from_dir, to_dir, name, err);
	else if (S_ISSOCK(st.st_mode))
		return 0; /* A socket that nobody listens on. */
	else if (mknodat(to_dir, name, st.st_mode, st.st_rdev) < 0)
		ret = fail(filling, "cannot make", err);
	return ret < 0 ? ret : copy_metadata(filling, from_dir, to_dir, name, &st, err);
}

/* `length` of filling->path is the directory's own name. */
static int copy_directory(struct filling *filling, int from, int to, size_t length, int depth, struct error *err)
{
	int copy = fcntl(from, F_DUPFD_CLOEXEC, 0);
	scope_dir DIR *listing = copy < 0 ? NULL : fdopendir(copy);

	if (listing == NULL) {
		if (copy >= 0)
			close(copy);
		return fail(filling, "cannot list", err);
	}
	for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int added = snprintf(filling->path + length, sizeof(filling->path) - length, "%s%s",
				     length == 0 ? "" : "/", entry->d_name);
		if ((size_t)added >= sizeof(filling->path) - length) {
			errno = ENAMETOOLONG;
			return fail(filling, "cannot name", err);
		}
		int ret = copy_entry(filling, from, to, entry->d_name, length + (size_t)added, depth, err);
		if (ret < 0)
			return ret;
		filling->path[length] = '\0';
	}
	return 0;
}

int volume_fill(int from, int to, const char *destination, struct error *err)
{
	struct filling filling = { .destination = destination };
	scope_fd int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int target = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	filling.to = target;
	if (source < 0 || target < 0 || fstat(source, &st) < 0)
		return fail(&filling, "cannot open the directory", err);
	int ret = copy_directory(&filling, source, target, 0, 0, err);
	filling.path[0] = '\0';
	if (ret == 0)
		ret = copy_metadata(&filling, source, target, ".", &st, err);
	for (size_t i = 0; i < filling.link_count; i++)
		free(filling.links[i].path);
	free(filling.links);
	return ret;
}

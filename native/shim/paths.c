#include "paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel.h"
#include "../common/scope.h"

/* As many as the kernel follows in one look-up. */
#define MAX_LINKS 40
/*
 * openat2 gives EAGAIN when a rename or mount anywhere on the machine raced with a ".." of the path
 * (path_is_under cannot be trusted then). On a busy machine that can happen several times in a row.
 */
#define MAX_RETRIES 256

int path_open(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};

	for (int retry = 0; retry < MAX_RETRIES; retry++) {
		int fd = sys_openat2(root, path[0] == '\0' ? "." : path, &how);

		if (fd >= 0)
			return fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

/* Replaces path[0..end), whose last part (from `start`) is a link to `target`, by what the link says. */
static int substitute(char *path, size_t start, size_t end, const char *target)
{
	char result[PATH_MAX];
	int prefix = target[0] == '/' ? 0 : (int)start;
	int length = snprintf(result, sizeof(result), "%.*s%s%s", prefix, path, target, path + end);

	if (length < 0 || (size_t)length >= sizeof(result))
		return -ENAMETOOLONG;
	memcpy(path, result, (size_t)length + 1);
	return 0;
}

static int make_missing(int parent, const char *name, enum path_kind kind)
{
	int ret = kind == PATH_DIRECTORY ? mkdirat(parent, name, 0755) : mknodat(parent, name, S_IFREG | 0644, 0);

	/* Somebody else made it between the look-up and now: the next look-up decides. */
	return ret < 0 && errno != EEXIST ? -errno : 0;
}

/*
 * path[start..end) is missing in `parent`: makes it, or, where it is a dangling link, rewrites the path.
 * Returns 1 for a rewritten path.
 */
static int fill_gap(int parent, char *path, size_t start, size_t end, enum path_kind kind)
{
	char name[NAME_MAX + 1];
	char target[PATH_MAX];
	ssize_t length;
	int ret;

	if (end - start > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + start, end - start);
	name[end - start] = '\0';
	length = readlinkat(parent, name, target, sizeof(target) - 1);
	if (length >= 0) {
		target[length] = '\0';
		ret = substitute(path, start, end, target);
		return ret < 0 ? ret : 1;
	}
	return make_missing(parent, name, kind);
}

/*
 * Walks from the root to the first part that is missing and fills that gap. Returns 0 when there was
 * progress; the caller looks the whole path up again.
 */
static int fill_first_gap(int root, char *path, enum path_kind kind, int *links)
{
	scope_fd int parent = path_open(root, "/", O_PATH | O_DIRECTORY, 0);
	size_t start = strspn(path, "/");

	if (parent < 0)
		return parent;
	for (;;) {
		size_t end = start + strcspn(path + start, "/");
		size_t next = end + strspn(path + end, "/");
		enum path_kind part = path[next] == '\0' ? kind : PATH_DIRECTORY;
		char saved = path[end];
		int fd;
		int ret;

		if (start == end)
			return 0;
		path[end] = '\0';
		fd = path_open(root, path, O_PATH | (part == PATH_DIRECTORY ? O_DIRECTORY : 0), 0);
		path[end] = saved;
		if (fd < 0 && fd != -ENOENT)
			return fd;
		if (fd < 0) {
			ret = fill_gap(parent, path, start, end, part);
			if (ret == 1 && ++*links > MAX_LINKS)
				return -ELOOP;
			return ret < 0 ? ret : 0;
		}
		close(parent);
		parent = fd;
		start = next;
	}
}

int path_ensure(int root, const char *path, enum path_kind kind)
{
	char buffer[PATH_MAX];
	size_t length = strlen(path);
	int links = 0;

	if (length >= sizeof(buffer))
		return -ENAMETOOLONG;
	memcpy(buffer, path, length + 1);
	/* Each round makes or rewrites one part; the bound stops a process that undoes our work for ever. */
	for (int round = 0; round < PATH_MAX; round++) {
		int fd = path_open(root, buffer, O_PATH | (kind == PATH_DIRECTORY ? O_DIRECTORY : 0), 0);
		int ret;

		if (fd != -ENOENT)
			return fd;
		ret = fill_first_gap(root, buffer, kind, &links);
		if (ret < 0)
			return ret;
	}
	return -EAGAIN;
}

int path_ensure_parent(int root, const char *path, const char **name)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);

	*name = slash == NULL ? path : slash + 1;
	if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	if (length >= sizeof(directory))
		return -ENAMETOOLONG;
	memcpy(directory, path, length);
	directory[length] = '\0';
	return path_ensure(root, length == 0 ? "/" : directory, PATH_DIRECTORY);
}

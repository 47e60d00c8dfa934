#include "parents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"
#include "implied.h"
#include "name.h"

#define STEP "parents"
#define PATH_SIZE 4096

struct making {
	int dest;
	int *layers; /* topmost first */
	size_t count;
};

enum found {
	FOUND_NOTHING,
	FOUND_LISTED,  /* a directory that the layer says something about */
	FOUND_IMPLIED, /* one that it does not */
	FOUND_END,     /* no directory, or a whiteout: what lies below does not show */
};

static int open_directory(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	return (int)syscall(SYS_openat2, root, *path == '\0' ? "." : path, &how, sizeof(how));
}

/* *fd is the directory's where there is one. */
static enum found look(int layer, const char *path, int *fd)
{
	*fd = open_directory(layer, path);
	if (*fd < 0)
		return errno == ENOENT ? FOUND_NOTHING : FOUND_END;
	return implied_is(*fd) ? FOUND_IMPLIED : FOUND_LISTED;
}

/* The directory whose metadata an image has at `path`, or -1 where no layer lists it. */
static int authority(const struct making *making, const char *path)
{
	for (size_t i = 0; i < making->count; i++) {
		int fd;
		enum found found = look(making->layers[i], path, &fd);

		if (found == FOUND_LISTED)
			return fd;
		if (fd >= 0)
			close(fd);
		if (found == FOUND_END)
			break;
	}
	return -1;
}

static int copy_attributes(int from, int to, const char *path, struct error *err)
{
	char names[4096];
	char value[4096];
	ssize_t length = flistxattr(from, names, sizeof(names));

	/* More than this is no directory of an image; it keeps its owner and mode. */
	for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
		ssize_t size = strncmp(name, "trusted.", 8) == 0 ? -1 : fgetxattr(from, name, value, sizeof(value));
		if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP)
			return error_errno(err, STEP, path, "cannot set the attribute %s", name);
	}
	return 0;
}

static int copy_metadata(int from, int to, const char *path, struct error *err)
{
	struct stat status;

	if (fstat(from, &status) < 0)
		return error_errno(err, STEP, path, "cannot stat the directory");
	if (fchown(to, status.st_uid, status.st_gid) < 0 || fchmod(to, status.st_mode & 07777) < 0)
		return error_errno(err, STEP, path, "cannot set owner and mode");
	int ret = copy_attributes(from, to, path, err);
	const struct timespec times[2] = { status.st_mtim, status.st_mtim };
	if (ret == 0 && futimens(to, times) < 0)
		return error_errno(err, STEP, path, "cannot set the times");
	return ret;
}

/* Makes `path` and all on the way there, each with the metadata that the image has for it. */
static int make(const struct making *making, const char *path, struct error *err)
{
	char parent[PATH_SIZE];
	scope_fd int present = open_directory(making->dest, path);

	if (present >= 0)
		return 0;
	const char *name = name_split(path, parent, sizeof(parent));
	int ret = make(making, parent, err);
	if (ret < 0)
		return ret;
	scope_fd int parent_fd = open_directory(making->dest, parent);
	struct stat before;
	if (parent_fd < 0 || fstat(parent_fd, &before) < 0 || mkdirat(parent_fd, name, 0755) < 0)
		return error_errno(err, STEP, path, "cannot make the directory");
	/* The image's word about the parent's time holds, too. */
	const struct timespec times[2] = { before.st_atim, before.st_mtim };
	if (futimens(parent_fd, times) < 0)
		return error_errno(err, STEP, parent, "cannot set the times");
	scope_fd int fd = open_directory(making->dest, path);
	if (fd < 0)
		return error_errno(err, STEP, path, "cannot open the directory");
	scope_fd int from = authority(making, path);
	return from < 0 ? 0 : copy_metadata(from, fd, path, err);
}

/* Whether a layer above the `layer`th decides what is at `path`. */
static bool covered(const struct making *making, size_t layer, const char *path)
{
	for (size_t i = 0; i < layer; i++) {
		int fd;
		enum found found = look(making->layers[i], path, &fd);

		if (fd >= 0)
			close(fd);
		if (found == FOUND_LISTED || found == FOUND_END)
			return true;
	}
	return false;
}

static int visit(const struct making *making, size_t layer, const char *path, struct error *err)
{
	scope_fd int from = covered(making, layer, path) ? -1 : authority(making, path);

	return from < 0 ? 0 : make(making, path, err);
}

/* Every directory of one layer. A path is no longer than the unpacker made it, so this ends. */
static int walk(const struct making *making, size_t layer, const char *path, struct error *err)
{
	int fd = open_directory(making->layers[layer], path);
	scope_dir DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int ret = 0;

	if (directory == NULL) {
		ret = error_errno(err, STEP, path, "cannot list the directory");
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (*path != '\0' && implied_is(fd))
		ret = visit(making, layer, path, err);
	scope_free char *inner = malloc(PATH_SIZE);
	if (inner == NULL)
		return error_set(err, ENOMEM, STEP, path, "no memory");
	for (const struct dirent *entry; ret == 0 && (entry = readdir(directory)) != NULL;) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(inner, PATH_SIZE, "%s%s%s", path, *path == '\0' ? "" : "/", entry->d_name) < PATH_SIZE)
			ret = walk(making, layer, inner, err);
	}
	return ret;
}

static int open_all(struct making *making, const char *dest, char *const *layers, size_t count, struct error *err)
{
	making->dest = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (making->dest < 0)
		return error_errno(err, "args", dest, "cannot open the destination");
	making->layers = malloc(count * sizeof(int));
	if (making->layers == NULL)
		return error_set(err, ENOMEM, STEP, "", "no memory");
	for (; making->count < count; making->count++) {
		making->layers[making->count] = open(layers[making->count], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (making->layers[making->count] < 0)
			return error_errno(err, "args", layers[making->count], "cannot open the layer");
	}
	return 0;
}

int parents_make(const char *dest, char *const *layers, size_t count, struct error *err)
{
	struct making making = { .dest = -1 };
	int ret = open_all(&making, dest, layers, count, err);

	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = walk(&making, i, "", err);
	if (ret == 0)
		ret = copy_metadata(making.layers[0], making.dest, "", err);
	while (making.count > 0)
		close(making.layers[--making.count]);
	free(making.layers);
	scope_close_fd(&making.dest);
	return ret;
}

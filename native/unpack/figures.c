#include "figures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"
#include "implied.h"

#define STEP "check"
#define MAX_CONTENT ((UINT64_C(1) << 53) - 1)

/* Files with several names that were counted already: open addressing, 0 for a free place. */
struct seen {
	ino_t *places;
	size_t room;
	size_t used;
};

/*
 * The directories on the way to the one that is being read. Only the lower ones stay open: a tree may be deeper
 * than there are descriptors, and of a directory with millions of others in it no more than a position is kept.
 */
struct level {
	DIR *directory;     /* NULL: closed, to be opened again at `position` */
	long position;
	size_t path_length; /* of its own path */
};

#define OPEN_LEVELS 64
/* No name leads further: PATH_MAX of the kernel, two bytes for each level. */
#define MAX_LEVELS 2048

struct survey {
	int root;
	struct seen seen;
	struct figures *figures;
	size_t depth;
	char path[4096];
	struct level levels[MAX_LEVELS];
};

void figures_add(struct figures *figures, const struct stat *status)
{
	figures->inodes++;
	figures->disk_bytes += (uint64_t)status->st_blocks * 512;
	if (S_ISREG(status->st_mode))
		figures->content_bytes += (uint64_t)status->st_size;
}

static bool put(ino_t *places, size_t room, ino_t inode)
{
	size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15)) & (room - 1);

	while (places[at] != 0 && places[at] != inode)
		at = (at + 1) & (room - 1);
	bool fresh = places[at] == 0;
	places[at] = inode;
	return fresh;
}

static int grow(struct seen *seen)
{
	size_t room = seen->room == 0 ? 1024 : seen->room * 2;
	ino_t *places = calloc(room, sizeof(*places));

	if (places == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < seen->room; i++)
		if (seen->places[i] != 0)
			put(places, room, seen->places[i]);
	free(seen->places);
	seen->places = places;
	seen->room = room;
	return 0;
}

static int add_once(struct survey *survey, const struct stat *status)
{
	if (status->st_nlink > 1 && !S_ISDIR(status->st_mode)) {
		if (survey->seen.used * 2 >= survey->seen.room && grow(&survey->seen) < 0)
			return -ENOMEM;
		if (!put(survey->seen.places, survey->seen.room, status->st_ino))
			return 0;
		survey->seen.used++;
	}
	figures_add(survey->figures, status);
	return 0;
}

static DIR *open_directory(const struct survey *survey)
{
	int fd = openat(survey->root, survey->path[0] == '\0' ? "." : survey->path,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (directory == NULL && fd >= 0)
		close(fd);
	return directory;
}

/* Goes into the directory at `survey->path`. */
static int enter(struct survey *survey, struct error *err)
{
	if (survey->depth == MAX_LEVELS)
		return error_set(err, ENAMETOOLONG, "entry", survey->path, "its directories lie too deep");
	if (survey->depth >= OPEN_LEVELS) {
		struct level *far = &survey->levels[survey->depth - OPEN_LEVELS];
		if (far->directory != NULL) {
			far->position = telldir(far->directory);
			closedir(far->directory);
			far->directory = NULL;
		}
	}
	struct level *level = &survey->levels[survey->depth];
	*level = (struct level){ .directory = open_directory(survey), .path_length = strlen(survey->path) };
	if (level->directory == NULL)
		return error_errno(err, STEP, survey->path, "cannot list the directory");
	survey->depth++;
	if (implied_is(dirfd(level->directory)))
		survey->figures->implied++;
	return 0;
}

/* Back to where the one above was left. */
static int leave(struct survey *survey, struct error *err)
{
	closedir(survey->levels[--survey->depth].directory);
	if (survey->depth == 0)
		return 0;
	struct level *level = &survey->levels[survey->depth - 1];
	survey->path[level->path_length] = '\0';
	if (level->directory != NULL)
		return 0;
	level->directory = open_directory(survey);
	if (level->directory == NULL)
		return error_errno(err, STEP, survey->path, "cannot list the directory");
	seekdir(level->directory, level->position);
	return 0;
}

static int visit(struct survey *survey, const struct level *level, const char *name, struct error *err)
{
	struct stat status;
	size_t length = level->path_length;

	if (fstatat(dirfd(level->directory), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, STEP, survey->path, "cannot stat \"%.128s\"", name);
	if (add_once(survey, &status) < 0)
		return error_set(err, ENOMEM, STEP, survey->path, "no memory");
	/* What could not be said exactly in JSON is no file's size, but a sparse one's claim. */
	if (survey->figures->content_bytes > MAX_CONTENT)
		return error_set(err, EFBIG, "entry", survey->path, "its files claim more bytes than any disk has");
	if (!S_ISDIR(status.st_mode))
		return 0;
	/* Symlinks of the layer may lead its entries deeper than a path can say. */
	if (length + 1 + strlen(name) >= sizeof(survey->path))
		return error_set(err, ENAMETOOLONG, "entry", survey->path, "its directories lie too deep");
	snprintf(survey->path + length, sizeof(survey->path) - length, "%s%s", length == 0 ? "" : "/", name);
	return enter(survey, err);
}

static int read_tree(struct survey *survey, struct error *err)
{
	int ret = enter(survey, err);

	while (ret == 0 && survey->depth > 0) {
		const struct level *level = &survey->levels[survey->depth - 1];
		errno = 0;
		const struct dirent *entry = readdir(level->directory);
		if (entry == NULL)
			ret = errno == 0 ? leave(survey, err) : error_errno(err, STEP, survey->path, "cannot list the directory");
		else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			ret = visit(survey, level, entry->d_name, err);
	}
	while (survey->depth > 0)
		if (survey->levels[--survey->depth].directory != NULL)
			closedir(survey->levels[survey->depth].directory);
	return ret;
}

int figures_of_tree(int root_fd, struct figures *figures, struct error *err)
{
	struct survey *survey = calloc(1, sizeof(*survey));

	*figures = (struct figures){ 0 };
	if (survey == NULL)
		return error_set(err, ENOMEM, STEP, "", "no memory");
	survey->root = root_fd;
	survey->figures = figures;
	int ret = read_tree(survey, err);
	free(survey->seen.places);
	free(survey);
	return ret;
}

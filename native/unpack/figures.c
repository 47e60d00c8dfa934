#include "figures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"
#include "implied.h"

#define STEP "check"

/* Files with several names that were counted already: open addressing, 0 for a free place. */
struct seen {
	ino_t *places;
	size_t room;
	size_t used;
};

/* A directory that is yet to be read. They are kept by path, since depth must cost neither descriptors nor stack. */
struct waiting {
	char **paths;
	size_t count;
	size_t room;
};

struct survey {
	int root;
	struct seen seen;
	struct waiting waiting;
	struct figures *figures;
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

static int wait_for(struct waiting *waiting, const char *parent, const char *name)
{
	if (waiting->count == waiting->room) {
		size_t room = waiting->room == 0 ? 64 : waiting->room * 2;
		char **paths = reallocarray(waiting->paths, room, sizeof(*paths));
		if (paths == NULL)
			return -ENOMEM;
		waiting->paths = paths;
		waiting->room = room;
	}
	char *path = malloc(strlen(parent) + strlen(name) + 2);
	if (path == NULL)
		return -ENOMEM;
	strcpy(path, parent);
	strcat(path, *parent == '\0' ? "" : "/");
	strcat(path, name);
	waiting->paths[waiting->count++] = path;
	return 0;
}

static int read_directory(struct survey *survey, const char *path, struct error *err)
{
	int fd = openat(survey->root, *path == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_dir DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct stat status;

	if (directory == NULL) {
		int ret = error_errno(err, STEP, path, "cannot list the directory");
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (implied_is(fd))
		survey->figures->implied++;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (entry == NULL)
			return errno == 0 ? 0 : error_errno(err, STEP, path, "cannot list the directory");
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return error_errno(err, STEP, path, "cannot stat \"%.128s\"", entry->d_name);
		if (add_once(survey, &status) < 0 ||
		    (S_ISDIR(status.st_mode) && wait_for(&survey->waiting, path, entry->d_name) < 0))
			return error_set(err, ENOMEM, STEP, path, "no memory");
	}
}

int figures_of_tree(int root_fd, struct figures *figures, struct error *err)
{
	struct survey survey = { .root = root_fd, .figures = figures };
	int ret;

	*figures = (struct figures){ 0 };
	ret = read_directory(&survey, "", err);
	while (ret == 0 && survey.waiting.count > 0) {
		char *path = survey.waiting.paths[--survey.waiting.count];
		ret = read_directory(&survey, path, err);
		free(path);
	}
	while (survey.waiting.count > 0)
		free(survey.waiting.paths[--survey.waiting.count]);
	free(survey.waiting.paths);
	free(survey.seen.places);
	return ret;
}

#include "directories.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/scope.h"
#include "implied.h"

struct directory {
	char *path;
	struct metadata metadata;
};

struct directories {
	struct directory *list;
	size_t count;
	size_t room;
};

int directories_new(struct directories **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? error_set(err, ENOMEM, "write", "", "no memory") : 0;
}

void directories_free(struct directories *directories)
{
	if (directories == NULL)
		return;
	for (size_t i = 0; i < directories->count; i++) {
		free(directories->list[i].path);
		metadata_clear(&directories->list[i].metadata);
	}
	free(directories->list);
	free(directories);
}

int directories_add(struct directories *directories, const char *path, struct metadata *metadata, struct error *err)
{
	if (directories->count == directories->room) {
		size_t room = directories->room == 0 ? 256 : directories->room * 2;
		struct directory *list = reallocarray(directories->list, room, sizeof(*list));
		if (list == NULL)
			return error_set(err, ENOMEM, "write", path, "no memory for the directory");
		directories->list = list;
		directories->room = room;
	}
	char *copy = strdup(path);
	if (copy == NULL)
		return error_set(err, ENOMEM, "write", path, "no memory for the directory");
	directories->list[directories->count++] = (struct directory){ .path = copy, .metadata = *metadata };
	metadata->attributes = NULL;
	return 0;
}

int directories_apply(const struct directories *directories, const struct tree *tree, struct error *err)
{
	for (size_t i = 0; i < directories->count; i++) {
		const struct directory *directory = &directories->list[i];
		scope_fd int fd = tree_open_directory(tree, directory->path);
		/* A later entry put something else there. */
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV))
			continue;
		if (fd < 0)
			return tree_error(err, directory->path, "cannot open the directory");
		if (tree_implied(tree) > 0)
			implied_clear(fd);
		int result = metadata_apply(&directory->metadata, fd, directory->path, false, err);
		if (result < 0)
			return result;
	}
	return 0;
}

#include "directories.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/scope.h"
#include "implied.h"

#define IN_MEMORY (1 << 20)

/* Followed by the path with its NUL, and by the attributes: two lengths, the name with its NUL, the value. */
struct record {
	uint32_t path_size;
	uint32_t attributes_size;
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	struct timespec times[2];
};

struct directories {
	uint8_t *buffer;
	size_t used;
	size_t room;
	FILE *spool; /* what came before what is in `buffer`; NULL: nothing did */
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
	if (directories->spool != NULL)
		fclose(directories->spool);
	free(directories->buffer);
	free(directories);
}

static void put(struct directories *directories, const void *data, size_t size)
{
	if (size > 0)
		memcpy(directories->buffer + directories->used, data, size);
	directories->used += size;
}

static size_t attributes_size(const struct metadata *metadata)
{
	size_t size = 0;

	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next)
		size += 2 * sizeof(uint32_t) + strlen(at->name) + 1 + at->size;
	return size;
}

static int make_room(struct directories *directories, size_t size, const char *path, struct error *err)
{
	size_t room = directories->room == 0 ? 4096 : directories->room;

	while (room - directories->used < size)
		room *= 2;
	if (room == directories->room)
		return 0;
	uint8_t *buffer = realloc(directories->buffer, room);
	if (buffer == NULL)
		return error_set(err, ENOMEM, "write", path, "no memory for the directory");
	directories->buffer = buffer;
	directories->room = room;
	return 0;
}

/* Where there are no nameless files, all stays in memory, which has its own limit. */
static int open_spool(struct directories *directories, const struct tree *tree, struct error *err)
{
	scope_fd int fd = openat(tree_root(tree), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EOPNOTSUPP || errno == EISDIR ? 0 : tree_error(err, "", "cannot keep the directories");
	directories->spool = fdopen(fd, "w+");
	if (directories->spool == NULL)
		return error_set(err, ENOMEM, "write", "", "no memory");
	(void)take_fd(&fd);
	return 0;
}

static int spill(struct directories *directories, const struct tree *tree, struct error *err)
{
	int result = directories->spool == NULL ? open_spool(directories, tree, err) : 0;

	if (result < 0 || directories->spool == NULL)
		return result;
	if (fwrite(directories->buffer, 1, directories->used, directories->spool) != directories->used)
		return tree_error(err, "", "cannot keep the directories");
	directories->used = 0;
	return 0;
}

int directories_add(struct directories *directories, const struct tree *tree, const char *path,
		    const struct metadata *metadata, struct error *err)
{
	struct record record = {
		.path_size = (uint32_t)strlen(path) + 1, .attributes_size = (uint32_t)attributes_size(metadata),
		.uid = metadata->uid, .gid = metadata->gid, .mode = metadata->mode,
		.times = { metadata->times[0], metadata->times[1] },
	};
	int result = make_room(directories, sizeof(record) + record.path_size + record.attributes_size, path, err);

	if (result < 0)
		return result;
	put(directories, &record, sizeof(record));
	put(directories, path, record.path_size);
	for (const struct attribute *at = metadata->attributes; at != NULL; at = at->next) {
		const uint32_t sizes[2] = { (uint32_t)strlen(at->name) + 1, (uint32_t)at->size };
		put(directories, sizes, sizeof(sizes));
		put(directories, at->name, sizes[0]);
		put(directories, at->value, sizes[1]);
	}
	return directories->used < IN_MEMORY ? 0 : spill(directories, tree, err);
}

static int decode(const struct record *record, const uint8_t *body, struct metadata *metadata, struct error *err)
{
	const char *path = (const char *)body;
	const uint8_t *at = body + record->path_size;
	const uint8_t *end = at + record->attributes_size;
	int result = 0;

	*metadata = (struct metadata){
		.uid = record->uid, .gid = record->gid, .mode = record->mode, .times = { record->times[0], record->times[1] },
	};
	while (at < end && result == 0) {
		uint32_t sizes[2];
		memcpy(sizes, at, sizeof(sizes));
		at += sizeof(sizes);
		result = metadata_add(metadata, (const char *)at, at + sizes[0], sizes[1], path, err);
		at += (size_t)sizes[0] + sizes[1];
	}
	return result;
}

static int apply_one(const struct record *record, const uint8_t *body, const struct tree *tree, struct error *err)
{
	const char *path = (const char *)body;
	struct metadata metadata;
	scope_fd int fd = tree_open_directory(tree, path);

	if (fd < 0) {
		/* A later entry put something else there. */
		bool replaced = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV;
		return replaced ? 0 : tree_error(err, path, "cannot open the directory");
	}
	if (tree_implied(tree) > 0)
		implied_clear(fd);
	int result = decode(record, body, &metadata, err);
	if (result == 0)
		result = metadata_apply(&metadata, fd, path, false, err);
	metadata_clear(&metadata);
	return result;
}

static int apply_spool(struct directories *directories, const struct tree *tree, struct error *err)
{
	struct record record;
	scope_free uint8_t *body = NULL;
	size_t room = 0;
	int result = 0;

	/* Writes what is still in the buffer, too. */
	if (fflush(directories->spool) != 0 || fseek(directories->spool, 0, SEEK_SET) != 0)
		return tree_error(err, "", "cannot keep the directories");
	while (result == 0 && fread(&record, sizeof(record), 1, directories->spool) == 1) {
		size_t size = (size_t)record.path_size + record.attributes_size;
		if (size > room) {
			uint8_t *larger = realloc(body, size);
			if (larger == NULL)
				return error_set(err, ENOMEM, "write", "", "no memory for the directory");
			body = larger;
			room = size;
		}
		if (fread(body, size, 1, directories->spool) != 1)
			return error_set(err, EIO, "write", "", "cannot read back what was kept of the directories");
		result = apply_one(&record, body, tree, err);
	}
	if (result == 0 && ferror(directories->spool))
		return error_set(err, EIO, "write", "", "cannot read back what was kept of the directories");
	return result;
}

int directories_apply(struct directories *directories, const struct tree *tree, struct error *err)
{
	int result = directories->spool == NULL ? 0 : apply_spool(directories, tree, err);

	for (size_t at = 0; result == 0 && at < directories->used;) {
		struct record record;
		memcpy(&record, directories->buffer + at, sizeof(record));
		result = apply_one(&record, directories->buffer + at + sizeof(record), tree, err);
		at += sizeof(record) + record.path_size + record.attributes_size;
	}
	return result;
}

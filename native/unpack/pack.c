#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/scope.h"
#include "skeleton_read.h"
#include "tree.h"

#define COPY_SIZE (256 * 1024)
#define SEND_SIZE (1 << 20)

/* The files' paths, each ended by NUL, one after the other. */
struct paths {
	char *text;
	size_t length;
	size_t room;
	size_t next;
};

static int paths_add(struct paths *paths, struct skeleton_reader *reader, uint64_t length, struct error *err)
{
	if (length == 0 || length >= TREE_PATH_SIZE)
		return error_set(err, EBADMSG, "skeleton", "", "the layer's skeleton is damaged: a path of %llu bytes",
				 (unsigned long long)length);
	if (paths->room - paths->length < length + 1) {
		size_t room = paths->room == 0 ? 65536 : paths->room * 2;
		char *text = realloc(paths->text, room);
		if (text == NULL)
			return error_set(err, ENOMEM, "skeleton", "", "no memory for the layer's paths");
		paths->text = text;
		paths->room = room;
	}
	char *path = paths->text + paths->length;
	path[length] = '\0';
	paths->length += length + 1;
	return skeleton_read(reader, path, length, err);
}

static int skip(struct skeleton_reader *reader, uint64_t length, struct error *err)
{
	uint8_t discarded[4096];
	int result = 0;

	while (length > 0 && result == 0) {
		size_t part = length < sizeof(discarded) ? (size_t)length : sizeof(discarded);
		result = skeleton_read(reader, discarded, part, err);
		length -= part;
	}
	return result;
}

/* A path may stand behind the place where it is needed, so all are collected first. */
static int collect_paths(int skeleton_fd, struct paths *paths, struct error *err)
{
	struct skeleton_record record = { 0 };
	struct skeleton_reader *reader;
	int result = skeleton_reader_new(skeleton_fd, &reader, err);
	if (result < 0)
		return result;
	while (result == 0 && record.type != 'E') {
		result = skeleton_next(reader, &record, err);
		if (result == 0 && record.type == 'P')
			result = paths_add(paths, reader, record.length, err);
		else if (result == 0 && record.type == 'R')
			result = skip(reader, record.length, err);
	}
	skeleton_reader_free(reader);
	return result;
}

static int write_all(int fd, const uint8_t *data, size_t length, struct error *err)
{
	while (length > 0) {
		ssize_t done = TEMP_FAILURE_RETRY(write(fd, data, length));
		if (done < 0)
			return error_errno(err, "write", "", "cannot write the tar");
		data += done;
		length -= (size_t)done;
	}
	return 0;
}

static int copy_bytes(struct skeleton_reader *reader, uint64_t length, int output_fd, uint8_t *buffer, struct error *err)
{
	int result = 0;

	while (length > 0 && result == 0) {
		size_t part = length < COPY_SIZE ? (size_t)length : COPY_SIZE;
		result = skeleton_read(reader, buffer, part, err);
		if (result == 0)
			result = write_all(output_fd, buffer, part, err);
		length -= part;
	}
	return result;
}

/* The tree is the image's word: its symlinks stay within it, and only what is a plain file is read. */
static int open_file(int tree_fd, const char *path, uint64_t size, struct error *err)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	struct stat status;
	scope_fd int fd = (int)syscall(SYS_openat2, tree_fd, path, &how, sizeof(how));
	if (fd < 0)
		return error_errno(err, "tree", path, "cannot open the file");
	if (fstat(fd, &status) < 0)
		return error_errno(err, "tree", path, "cannot look at the file");
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != size)
		return error_set(err, ESTALE, "tree", path, "it is no longer the file that the layer brought");
	return take_fd(&fd);
}

static int copy_file(int tree_fd, const char *path, uint64_t size, int output_fd, struct error *err)
{
	scope_fd int fd = open_file(tree_fd, path, size, err);
	if (fd < 0)
		return fd;
	while (size > 0) {
		ssize_t done = TEMP_FAILURE_RETRY(sendfile(output_fd, fd, NULL, size < SEND_SIZE ? (size_t)size : SEND_SIZE));
		if (done < 0)
			return error_errno(err, "write", path, "cannot copy the file into the tar");
		if (done == 0)
			return error_set(err, ESTALE, "tree", path, "it became shorter");
		size -= (uint64_t)done;
	}
	return 0;
}

static int put_content(int tree_fd, struct paths *paths, uint64_t size, int output_fd, struct error *err)
{
	if (paths->next >= paths->length)
		return error_set(err, EBADMSG, "skeleton", "", "the layer's skeleton is damaged: a content without a path");
	const char *path = paths->text + paths->next;
	paths->next += strlen(path) + 1;
	return copy_file(tree_fd, path, size, output_fd, err);
}

static int write_tar(int tree_fd, int skeleton_fd, struct paths *paths, int output_fd, struct error *err)
{
	struct skeleton_record record = { 0 };
	struct skeleton_reader *reader;
	scope_free uint8_t *buffer = malloc(COPY_SIZE);
	if (buffer == NULL)
		return error_set(err, ENOMEM, "skeleton", "", "no memory for a buffer");
	int result = skeleton_reader_new(skeleton_fd, &reader, err);
	if (result < 0)
		return result;
	while (result == 0 && record.type != 'E') {
		result = skeleton_next(reader, &record, err);
		if (result < 0)
			break;
		if (record.type == 'R')
			result = copy_bytes(reader, record.length, output_fd, buffer, err);
		else if (record.type == 'G')
			result = put_content(tree_fd, paths, record.length, output_fd, err);
		else if (record.type == 'P')
			result = skip(reader, record.length, err);
	}
	skeleton_reader_free(reader);
	return result;
}

int pack(int tree_fd, int skeleton_fd, int output_fd, struct error *err)
{
	struct paths paths = { 0 };
	int result = collect_paths(skeleton_fd, &paths, err);
	if (result == 0)
		result = write_tar(tree_fd, skeleton_fd, &paths, output_fd, err);
	free(paths.text);
	return result;
}

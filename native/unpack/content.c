#include "content.h"

#include <errno.h>
#include <unistd.h>

#include <archive.h>

#include "tree.h"

int content_archive_error(struct archive *archive, const char *path, struct error *err)
{
	const char *text = archive_error_string(archive);
	int code = archive_errno(archive);
	/* The process has a bound of its own, which no layer made of a real tree comes near. */
	if (code == ENOMEM)
		return error_set(err, EFBIG, "limit", path, "the layer needs too much memory to be read");
	return error_set(err, code > 0 ? code : EBADMSG, "archive", path, "%s", text == NULL ? "the archive is damaged" : text);
}

static int write_at(int fd, const char *data, size_t length, int64_t offset, const char *path, struct error *err)
{
	while (length > 0) {
		ssize_t done = pwrite(fd, data, length, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return error_errno(err, "write", path, "cannot write");
		data += done;
		offset += done;
		length -= (size_t)done;
	}
	return 0;
}

int content_write(struct archive *archive, int64_t size, int fd, const char *path, struct error *err)
{
	int64_t end = 0;

	while (size > 0) {
		const void *data;
		size_t length;
		la_int64_t offset;
		int status = archive_read_data_block(archive, &data, &length, &offset);
		if (status == ARCHIVE_EOF)
			break;
		if (status < ARCHIVE_WARN)
			return content_archive_error(archive, path, err);
		/* A sparse map is the archive's word: it may not write beyond the size it gave itself. */
		if (offset < 0 || offset > size || length > (uint64_t)(size - offset))
			return error_set(err, EINVAL, "entry", path, "its data lies outside its size");
		int result = write_at(fd, data, length, offset, path, err);
		if (result < 0)
			return result;
		if (offset + (int64_t)length > end)
			end = offset + (int64_t)length;
	}
	if (end < size && ftruncate(fd, size) < 0)
		return tree_error(err, path, "cannot set its size");
	return 0;
}

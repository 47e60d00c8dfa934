#include "skeleton_read.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "skeleton.h"

#define IN_SIZE (64 * 1024)

struct skeleton_reader {
	int fd;
	ZSTD_DCtx *decompressor;
	ZSTD_inBuffer in;
	uint8_t data[IN_SIZE];
};

static int damaged(struct error *err, const char *what)
{
	return error_set(err, EBADMSG, "skeleton", "", "the layer's skeleton is damaged: %s", what);
}

int skeleton_read(struct skeleton_reader *reader, void *data, size_t length, struct error *err)
{
	ZSTD_outBuffer out = { data, length, 0 };

	while (out.pos < out.size) {
		if (reader->in.pos == reader->in.size) {
			ssize_t got = TEMP_FAILURE_RETRY(read(reader->fd, reader->data, IN_SIZE));
			if (got < 0)
				return error_errno(err, "skeleton", "", "cannot read the layer's skeleton");
			if (got == 0)
				return damaged(err, "it ends too early");
			reader->in = (ZSTD_inBuffer){ reader->data, (size_t)got, 0 };
		}
		size_t status = ZSTD_decompressStream(reader->decompressor, &out, &reader->in);
		if (ZSTD_isError(status))
			return damaged(err, ZSTD_getErrorName(status));
	}
	return 0;
}

int skeleton_reader_new(int fd, struct skeleton_reader **out, struct error *err)
{
	char magic[SKELETON_MAGIC_SIZE];
	struct skeleton_reader *reader = calloc(1, sizeof(*reader));

	if (reader != NULL)
		reader->decompressor = ZSTD_createDCtx();
	if (reader == NULL || reader->decompressor == NULL) {
		skeleton_reader_free(reader);
		return error_set(err, ENOMEM, "skeleton", "", "no memory for the layer's skeleton");
	}
	reader->fd = fd;
	int result = lseek(fd, 0, SEEK_SET) == 0 ? 0 : error_errno(err, "skeleton", "", "cannot read the layer's skeleton");
	if (result == 0)
		result = skeleton_read(reader, magic, sizeof(magic), err);
	if (result == 0 && memcmp(magic, SKELETON_MAGIC, sizeof(magic)) != 0)
		result = damaged(err, "it does not begin as one");
	if (result < 0) {
		skeleton_reader_free(reader);
		return result;
	}
	*out = reader;
	return 0;
}

void skeleton_reader_free(struct skeleton_reader *reader)
{
	if (reader == NULL)
		return;
	ZSTD_freeDCtx(reader->decompressor);
	free(reader);
}

int skeleton_next(struct skeleton_reader *reader, struct skeleton_record *record, struct error *err)
{
	uint8_t number[8] = { 0 };
	int result = skeleton_read(reader, &record->type, 1, err);
	if (result < 0)
		return result;
	bool known = record->type == 'R' || record->type == 'G' || record->type == 'P' || record->type == 'E';
	if (!known)
		return damaged(err, "a record of unknown type");
	record->length = 0;
	if (record->type == 'E')
		return 0;
	size_t width = record->type == 'G' ? 8 : 4;
	result = skeleton_read(reader, number + sizeof(number) - width, width, err);
	if (result < 0)
		return result;
	uint64_t value;
	memcpy(&value, number, sizeof(value));
	record->length = be64toh(value);
	return 0;
}

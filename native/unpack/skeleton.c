#include "skeleton.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "tar_walk.h"

#define OUT_SIZE (64 * 1024)
/* Headers of one tar are much alike: a quick pass leaves a tenth of them. */
#define LEVEL 1

struct skeleton {
	int fd;
	bool abandoned;
	ZSTD_CCtx *compressor;
	uint64_t written;
	struct tar_walk walk;
	/* Contents that the tar has shown and that no file was found for yet: a ring. */
	uint64_t *gaps;
	size_t gaps_room;
	size_t gaps_first;
	size_t gaps_count;
	uint8_t out[OUT_SIZE];
};

static int write_all(struct skeleton *skeleton, const uint8_t *data, size_t length, struct error *err)
{
	while (length > 0) {
		ssize_t done = TEMP_FAILURE_RETRY(write(skeleton->fd, data, length));
		if (done < 0)
			return error_errno(err, "write", "", "cannot write the layer's skeleton");
		data += done;
		length -= (size_t)done;
		skeleton->written += (uint64_t)done;
	}
	return 0;
}

static int compress(struct skeleton *skeleton, const void *data, size_t length, ZSTD_EndDirective how, struct error *err)
{
	ZSTD_inBuffer in = { data, length, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { skeleton->out, OUT_SIZE, 0 };
		left = ZSTD_compressStream2(skeleton->compressor, &out, &in, how);
		if (ZSTD_isError(left))
			return error_set(err, EIO, "write", "", "cannot compress the layer's skeleton: %s", ZSTD_getErrorName(left));
		int result = write_all(skeleton, skeleton->out, out.pos, err);
		if (result < 0)
			return result;
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	return 0;
}

static int put_record(struct skeleton *skeleton, char type, const void *data, uint32_t length, struct error *err)
{
	uint8_t head[5] = { (uint8_t)type };
	uint32_t number = htobe32(length);

	memcpy(head + 1, &number, sizeof(number));
	int result = compress(skeleton, head, sizeof(head), ZSTD_e_continue, err);
	return result < 0 ? result : compress(skeleton, data, length, ZSTD_e_continue, err);
}

static int remember_gap(struct skeleton *skeleton, uint64_t size, struct error *err)
{
	if (skeleton->gaps_count == skeleton->gaps_room) {
		size_t room = skeleton->gaps_room == 0 ? 256 : skeleton->gaps_room * 2;
		uint64_t *gaps = calloc(room, sizeof(*gaps));
		if (gaps == NULL)
			return error_set(err, ENOMEM, "write", "", "no memory for the layer's skeleton");
		for (size_t i = 0; i < skeleton->gaps_count; i++)
			gaps[i] = skeleton->gaps[(skeleton->gaps_first + i) % skeleton->gaps_room];
		free(skeleton->gaps);
		skeleton->gaps = gaps;
		skeleton->gaps_room = room;
		skeleton->gaps_first = 0;
	}
	skeleton->gaps[(skeleton->gaps_first + skeleton->gaps_count++) % skeleton->gaps_room] = size;
	return 0;
}

static int put_gap(struct skeleton *skeleton, uint64_t size, struct error *err)
{
	uint8_t head[9] = { 'G' };
	uint64_t number = htobe64(size);

	memcpy(head + 1, &number, sizeof(number));
	int result = compress(skeleton, head, sizeof(head), ZSTD_e_continue, err);
	return result < 0 ? result : remember_gap(skeleton, size, err);
}

int skeleton_new(int fd, struct skeleton **out, struct error *err)
{
	struct skeleton *skeleton = calloc(1, sizeof(*skeleton));
	if (skeleton == NULL)
		return error_set(err, ENOMEM, "write", "", "no memory for the layer's skeleton");
	skeleton->fd = fd;
	skeleton->compressor = ZSTD_createCCtx();
	if (skeleton->compressor == NULL ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(skeleton->compressor, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(skeleton->compressor, ZSTD_c_checksumFlag, 1))) {
		skeleton_free(skeleton);
		return error_set(err, ENOMEM, "write", "", "cannot set up the skeleton's compression");
	}
	int result = compress(skeleton, SKELETON_MAGIC, SKELETON_MAGIC_SIZE, ZSTD_e_continue, err);
	if (result < 0) {
		skeleton_free(skeleton);
		return result;
	}
	*out = skeleton;
	return 0;
}

void skeleton_free(struct skeleton *skeleton)
{
	if (skeleton == NULL)
		return;
	ZSTD_freeCCtx(skeleton->compressor);
	free(skeleton->gaps);
	free(skeleton);
}

int skeleton_tar(struct skeleton *skeleton, const void *data, size_t length, struct error *err)
{
	const uint8_t *start = data;
	const uint8_t *at = start;
	const uint8_t *end = start + length;

	if (skeleton == NULL || skeleton->abandoned)
		return 0;
	/* Bytes of one kind that follow each other become one record. */
	while (at < end) {
		struct tar_span span;
		tar_walk(&skeleton->walk, at, (size_t)(end - at), &span);
		const uint8_t *next = at + span.length;
		if (span.content && at > start) {
			int result = put_record(skeleton, 'R', start, (uint32_t)(at - start), err);
			if (result < 0)
				return result;
		}
		if (span.content && span.begins) {
			int result = put_gap(skeleton, span.size, err);
			if (result < 0)
				return result;
		}
		if (span.content)
			start = next;
		at = next;
	}
	return at > start ? put_record(skeleton, 'R', start, (uint32_t)(at - start), err) : 0;
}

int skeleton_file(struct skeleton *skeleton, const char *path, uint64_t size, struct error *err)
{
	if (skeleton == NULL || skeleton->abandoned)
		return 0;
	if (skeleton->gaps_count == 0 || skeleton->gaps[skeleton->gaps_first] != size) {
		skeleton->abandoned = true;
		return 0;
	}
	skeleton->gaps_first = (skeleton->gaps_first + 1) % skeleton->gaps_room;
	skeleton->gaps_count--;
	return put_record(skeleton, 'P', path, (uint32_t)strlen(path), err);
}

int skeleton_finish(struct skeleton *skeleton, uint64_t *bytes, struct error *err)
{
	*bytes = 0;
	if (skeleton == NULL)
		return 0;
	if (skeleton->abandoned || skeleton->gaps_count > 0)
		return ftruncate(skeleton->fd, 0) == 0 ? 0 : error_errno(err, "write", "", "cannot give up the layer's skeleton");
	int result = compress(skeleton, "E", 1, ZSTD_e_end, err);
	if (result == 0)
		*bytes = skeleton->written;
	return result;
}

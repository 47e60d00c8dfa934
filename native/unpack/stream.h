/*
 * From the compressed stream to blocks of tar, on a thread of its own: reading, decompressing and
 * hashing go on while the caller's thread waits for the file system.
 */
#ifndef BERTH_UNPACK_STREAM_H
#define BERTH_UNPACK_STREAM_H

#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"
#include "digest.h"

struct stream_limits {
	uint64_t max_bytes; /* of tar */
	uint64_t max_ratio; /* of tar to input, once there is more than STREAM_RATIO_FREE of tar */
};

/* A gigabyte at any ratio is cheap to refuse later by size; a layer of few zero-filled files is legitimate. */
#define STREAM_RATIO_FREE (UINT64_C(1) << 30)

struct stream_totals {
	char digest[DIGEST_TEXT_SIZE];  /* of the input */
	char diff_id[DIGEST_TEXT_SIZE]; /* of the tar */
	uint64_t input_bytes;
	uint64_t tar_bytes;
	uint64_t decompress_ns; /* of processor time */
	uint64_t hash_ns;       /* the same; both digests */
};

struct stream;

int stream_start(int fd, struct stream_limits limits, struct stream **out, struct error *err);

/*
 * The next block, valid until the next call; 0 at the end. Blocks are never empty. A failure of the
 * reading side is returned by this and every later call.
 */
ssize_t stream_next(struct stream *stream, const void **block, struct error *err);

/* Reads what is left, to the end of the input, so that both digests cover everything. */
int stream_finish(struct stream *stream, struct stream_totals *totals, struct error *err);

#endif

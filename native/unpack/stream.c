#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decoder.h"

#define INPUT_SIZE (256 * 1024)
#define BLOCK_SIZE (256 * 1024)
#define BLOCKS 8

struct block {
	size_t length;
	uint8_t data[BLOCK_SIZE];
};

/*
 * A ring of blocks. `filled`, `hashed` and `taken` count blocks since the start and only grow:
 * taken <= hashed <= filled <= taken + BLOCKS. A block is hashed by whichever side would otherwise wait:
 * the reader when the ring is full, else the taker; so the slower side is not the one that hashes.
 */
struct stream {
	int fd;
	struct stream_limits limits;
	pthread_t thread;

	/* The reader's own. */
	struct decoder *decoder;
	struct digest *input_digest;
	uint8_t input[INPUT_SIZE];
	const uint8_t *position;
	size_t left;
	bool input_ended;
	uint64_t input_bytes;
	uint64_t tar_bytes;
	uint64_t decompress_ns;
	uint64_t input_hash_ns;

	pthread_mutex_t hash_lock; /* taken before `lock`, never after it */
	struct digest *tar_digest;
	uint64_t tar_hash_ns;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t filled;
	uint64_t hashed;
	uint64_t taken;
	bool holding; /* the caller still reads the block numbered `taken` */
	bool ended;
	struct error failure; /* step is set when there is one */
	struct block blocks[BLOCKS];
};

/* Processor time of the calling thread. */
static uint64_t thread_ns(void)
{
	struct timespec now = { 0 };
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int hash(struct digest *digest, const void *data, size_t length, uint64_t *spent, struct error *err)
{
	uint64_t before = thread_ns();
	int result = digest_update(digest, data, length, err);
	*spent += thread_ns() - before;
	return result;
}

/* Hashes the oldest block that nobody has hashed, if there is one. */
static int hash_one(struct stream *stream, struct error *err)
{
	pthread_mutex_lock(&stream->hash_lock);
	pthread_mutex_lock(&stream->lock);
	bool any = stream->hashed < stream->filled;
	const struct block *block = &stream->blocks[stream->hashed % BLOCKS];
	pthread_mutex_unlock(&stream->lock);

	int result = any ? hash(stream->tar_digest, block->data, block->length, &stream->tar_hash_ns, err) : 0;
	if (any && result == 0) {
		pthread_mutex_lock(&stream->lock);
		stream->hashed++;
		pthread_mutex_unlock(&stream->lock);
	}
	pthread_mutex_unlock(&stream->hash_lock);
	return result;
}

/* Reads into the input buffer behind what is left of it, which is nothing except at the start. */
static int read_more(struct stream *stream, struct error *err)
{
	if (stream->left > 0)
		memmove(stream->input, stream->position, stream->left);
	stream->position = stream->input;
	uint8_t *end = stream->input + stream->left;
	ssize_t got = TEMP_FAILURE_RETRY(read(stream->fd, end, INPUT_SIZE - stream->left));
	if (got < 0)
		return error_errno(err, "read", "", "cannot read the layer");
	if (got == 0) {
		stream->input_ended = true;
		return 0;
	}
	stream->left += (size_t)got;
	stream->input_bytes += (uint64_t)got;
	return hash(stream->input_digest, end, (size_t)got, &stream->input_hash_ns, err);
}

static int open_decoder(struct stream *stream, struct error *err)
{
	while (stream->left < DECODER_SNIFF && !stream->input_ended) {
		int result = read_more(stream, err);
		if (result < 0)
			return result;
	}
	if (stream->left == 0)
		return error_set(err, ENODATA, "read", "", "the layer is empty: not one byte came");
	return decoder_new(stream->position, stream->left, &stream->decoder, err);
}

static int check_limits(const struct stream *stream, struct error *err)
{
	if (stream->tar_bytes > stream->limits.max_bytes)
		return error_set(err, EFBIG, "limit", "", "the layer is larger than %llu bytes when decompressed (--max-bytes)",
				 (unsigned long long)stream->limits.max_bytes);
	if (stream->tar_bytes > STREAM_RATIO_FREE && stream->tar_bytes / stream->limits.max_ratio > stream->input_bytes)
		return error_set(err, EFBIG, "limit", "", "the layer decompresses to more than %llu times its size (--max-ratio)",
				 (unsigned long long)stream->limits.max_ratio);
	return 0;
}

/* Fills a block, entirely unless the input ends. */
static int fill(struct stream *stream, struct block *block, struct error *err)
{
	struct decoder_step step = { .out = block->data, .out_length = BLOCK_SIZE };

	while (step.out_length > 0) {
		size_t room = step.out_length;
		step.in = stream->position;
		step.in_length = stream->left;
		uint64_t before = thread_ns();
		int result = decoder_run(stream->decoder, &step, err);
		stream->decompress_ns += thread_ns() - before;
		if (result < 0)
			return result;
		bool moved = step.in_length < stream->left || step.out_length < room;
		stream->position = step.in;
		stream->left = step.in_length;
		if (moved)
			continue;
		if (stream->input_ended)
			break;
		result = read_more(stream, err);
		if (result < 0)
			return result;
	}
	block->length = BLOCK_SIZE - step.out_length;
	stream->tar_bytes += block->length;
	if (block->length < BLOCK_SIZE && !decoder_complete(stream->decoder))
		return error_set(err, EBADMSG, "decompress", "", "the compressed data ends too early");
	return check_limits(stream, err);
}

/* A block to fill. While there is none, the time goes into hashing. */
static int wait_for_room(struct stream *stream, struct block **block, struct error *err)
{
	pthread_mutex_lock(&stream->lock);
	while (stream->filled == stream->taken + BLOCKS) {
		if (stream->hashed < stream->filled) {
			pthread_mutex_unlock(&stream->lock);
			int result = hash_one(stream, err);
			if (result < 0)
				return result;
			pthread_mutex_lock(&stream->lock);
		} else {
			pthread_cond_wait(&stream->changed, &stream->lock);
		}
	}
	*block = &stream->blocks[stream->filled % BLOCKS];
	pthread_mutex_unlock(&stream->lock);
	return 0;
}

static int read_all(struct stream *stream, struct error *err)
{
	int result = open_decoder(stream, err);
	for (bool more = true; result == 0 && more;) {
		struct block *block;
		result = wait_for_room(stream, &block, err);
		if (result < 0)
			break;
		result = fill(stream, block, err);
		if (result < 0)
			break;
		more = block->length == BLOCK_SIZE;
		if (block->length == 0)
			break;
		pthread_mutex_lock(&stream->lock);
		stream->filled++;
		pthread_cond_signal(&stream->changed);
		pthread_mutex_unlock(&stream->lock);
	}
	return result;
}

static void *reader(void *argument)
{
	struct stream *stream = argument;
	struct error failure = { 0 };
	int result = read_all(stream, &failure);

	pthread_mutex_lock(&stream->lock);
	if (result < 0)
		stream->failure = failure;
	stream->ended = true;
	pthread_cond_signal(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return NULL;
}

int stream_start(int fd, struct stream_limits limits, struct stream **out, struct error *err)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return error_set(err, ENOMEM, "read", "", "no memory for the stream");
	stream->fd = fd;
	stream->limits = limits;
	stream->position = stream->input;
	pthread_mutex_init(&stream->hash_lock, NULL);
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->changed, NULL);
	/* Fewer switches between writer and reader; where the pipe may not grow, the old size does. */
	(void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);

	int result = digest_new(&stream->input_digest, err);
	if (result == 0)
		result = digest_new(&stream->tar_digest, err);
	if (result == 0) {
		int code = pthread_create(&stream->thread, NULL, reader, stream);
		if (code != 0)
			result = error_set(err, code, "read", "", "cannot start the reading thread");
	}
	if (result < 0) {
		digest_free(stream->input_digest);
		digest_free(stream->tar_digest);
		free(stream);
		return result;
	}
	*out = stream;
	return 0;
}

ssize_t stream_next(struct stream *stream, const void **block, struct error *err)
{
	ssize_t length = 0;

	pthread_mutex_lock(&stream->lock);
	if (stream->holding) {
		stream->holding = false;
		stream->taken++;
		pthread_cond_signal(&stream->changed);
	}
	while (stream->filled == stream->taken && !stream->ended)
		pthread_cond_wait(&stream->changed, &stream->lock);
	bool available = stream->filled > stream->taken;
	bool failed = !available && stream->failure.step[0] != '\0';
	if (failed)
		*err = stream->failure;
	bool hash = available && stream->hashed == stream->taken;
	if (available) {
		const struct block *next = &stream->blocks[stream->taken % BLOCKS];
		stream->holding = true;
		*block = next->data;
		length = (ssize_t)next->length;
	}
	pthread_mutex_unlock(&stream->lock);
	if (failed)
		return err->code > 0 ? -err->code : -EIO;
	if (hash) {
		int result = hash_one(stream, err);
		if (result < 0)
			return result;
	}
	return length;
}

int stream_finish(struct stream *stream, struct stream_totals *totals, struct error *err)
{
	const void *block;
	ssize_t length;

	do {
		length = stream_next(stream, &block, err);
	} while (length > 0);
	if (length < 0)
		return (int)length;
	pthread_join(stream->thread, NULL);
	totals->input_bytes = stream->input_bytes;
	totals->tar_bytes = stream->tar_bytes;
	totals->decompress_ns = stream->decompress_ns;
	totals->hash_ns = stream->input_hash_ns + stream->tar_hash_ns;
	int result = digest_text(stream->input_digest, totals->digest, err);
	return result < 0 ? result : digest_text(stream->tar_digest, totals->diff_id, err);
}

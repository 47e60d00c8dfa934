#include "decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

enum kind { PLAIN, GZIP, ZSTD };
enum phase {
	INSIDE,  /* a member or frame */
	BETWEEN, /* one has ended; another may follow */
	AFTER,   /* something else follows: padding, as tape archivers leave it; it counts for the digest alone */
};

struct decoder {
	enum kind kind;
	enum phase phase;
	struct inflate_state *inflate;
	ZSTD_DCtx *zstd;
};

/* 2^27: 128 MiB of window, what zstd itself allows by default; more would be the archive choosing our memory. */
#define ZSTD_WINDOW_LOG_MAX 27

static bool is_zstd(const uint8_t *start, size_t length)
{
	static const uint8_t frame[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const uint8_t skippable[3] = { 0x2a, 0x4d, 0x18 };
	if (length < 4)
		return false;
	return memcmp(start, frame, 4) == 0 || ((start[0] & 0xf0) == 0x50 && memcmp(start + 1, skippable, 3) == 0);
}

static void gzip_begin(struct decoder *decoder)
{
	isal_inflate_reset(decoder->inflate);
	decoder->inflate->crc_flag = ISAL_GZIP;
}

int decoder_new(const uint8_t *start, size_t length, struct decoder **out, struct error *err)
{
	struct decoder *decoder = calloc(1, sizeof(*decoder));
	if (decoder == NULL)
		return error_set(err, ENOMEM, "decompress", "", "no memory for the decoder");
	decoder->phase = INSIDE;
	if (length >= 2 && start[0] == 0x1f && start[1] == 0x8b) {
		decoder->kind = GZIP;
		decoder->inflate = calloc(1, sizeof(*decoder->inflate));
		if (decoder->inflate != NULL) {
			isal_inflate_init(decoder->inflate);
			gzip_begin(decoder);
		}
	} else if (is_zstd(start, length)) {
		decoder->kind = ZSTD;
		decoder->zstd = ZSTD_createDCtx();
		if (decoder->zstd != NULL)
			ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	if ((decoder->kind == GZIP && decoder->inflate == NULL) || (decoder->kind == ZSTD && decoder->zstd == NULL)) {
		decoder_free(decoder);
		return error_set(err, ENOMEM, "decompress", "", "no memory for the decoder");
	}
	*out = decoder;
	return 0;
}

void decoder_free(struct decoder *decoder)
{
	if (decoder == NULL)
		return;
	free(decoder->inflate);
	ZSTD_freeDCtx(decoder->zstd);
	free(decoder);
}

static void advance(struct decoder_step *step, size_t consumed, size_t produced)
{
	step->in += consumed;
	step->in_length -= consumed;
	step->out += produced;
	step->out_length -= produced;
}

static void copy_plain(struct decoder_step *step)
{
	size_t length = step->in_length < step->out_length ? step->in_length : step->out_length;
	memcpy(step->out, step->in, length);
	advance(step, length, length);
}

static const char *inflate_problem(int result)
{
	switch (result) {
	case ISAL_INVALID_BLOCK:
	case ISAL_INVALID_SYMBOL:
	case ISAL_INVALID_LOOKBACK:
		return "the deflate data is corrupt";
	case ISAL_INCORRECT_CHECKSUM:
		return "the checksum does not match";
	case ISAL_UNSUPPORTED_METHOD:
		return "the compression method is unknown";
	default:
		return "the header is invalid";
	}
}

static int run_gzip(struct decoder *decoder, struct decoder_step *step, struct error *err)
{
	struct inflate_state *state = decoder->inflate;
	/* The library counts in 32 bits; our buffers are far below that. */
	state->next_in = (uint8_t *)step->in;
	state->avail_in = (uint32_t)step->in_length;
	state->next_out = step->out;
	state->avail_out = (uint32_t)step->out_length;

	int result = isal_inflate(state);
	if (result < 0)
		return error_set(err, EBADMSG, "decompress", "", "gzip: %s", inflate_problem(result));
	advance(step, step->in_length - state->avail_in, step->out_length - state->avail_out);
	if (state->block_state == ISAL_BLOCK_FINISH)
		decoder->phase = BETWEEN;
	return 0;
}

static int run_zstd(struct decoder *decoder, struct decoder_step *step, struct error *err)
{
	ZSTD_inBuffer in = { step->in, step->in_length, 0 };
	ZSTD_outBuffer out = { step->out, step->out_length, 0 };

	size_t result = ZSTD_decompressStream(decoder->zstd, &out, &in);
	if (ZSTD_isError(result))
		return error_set(err, EBADMSG, "decompress", "", "zstd: %s", ZSTD_getErrorName(result));
	advance(step, in.pos, out.pos);
	if (result == 0)
		decoder->phase = BETWEEN;
	return 0;
}

/* A member or frame has ended and there is more input: does it start another? */
static void begin_next(struct decoder *decoder, uint8_t first)
{
	bool gzip = decoder->kind == GZIP && first == 0x1f;
	bool zstd = decoder->kind == ZSTD && (first == 0x28 || (first & 0xf0) == 0x50);

	decoder->phase = gzip || zstd ? INSIDE : AFTER;
	if (gzip)
		gzip_begin(decoder);
}

int decoder_run(struct decoder *decoder, struct decoder_step *step, struct error *err)
{
	if (decoder->kind == PLAIN) {
		copy_plain(step);
		return 0;
	}
	if (decoder->phase == BETWEEN && step->in_length > 0)
		begin_next(decoder, step->in[0]);
	if (decoder->phase == AFTER)
		advance(step, step->in_length, 0);
	if (decoder->phase != INSIDE)
		return 0;
	return decoder->kind == GZIP ? run_gzip(decoder, step, err) : run_zstd(decoder, step, err);
}

bool decoder_complete(const struct decoder *decoder)
{
	return decoder->kind == PLAIN || decoder->phase != INSIDE;
}

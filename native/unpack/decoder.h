/*
 * The layer's compression: gzip (one or more members), zstd (one or more frames) or none, told by the
 * first bytes, as registries are known to label layers wrongly.
 */
#ifndef BERTH_UNPACK_DECODER_H
#define BERTH_UNPACK_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

/* So many first bytes (or the whole input) must be there when the decoder is made. */
#define DECODER_SNIFF 4

struct decoder;

int decoder_new(const uint8_t *start, size_t length, struct decoder **out, struct error *err);
void decoder_free(struct decoder *decoder);

struct decoder_step {
	const uint8_t *in;
	size_t in_length;
	uint8_t *out;
	size_t out_length;
};

/* Moves `step` past what was consumed and produced. No progress means: more input, or more room. */
int decoder_run(struct decoder *decoder, struct decoder_step *step, struct error *err);

/* To be asked at the end of the input: false when it ended inside a member or frame. */
bool decoder_complete(const struct decoder *decoder);

#endif

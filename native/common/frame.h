/* The frame of docs/shim-protocol.md: length, request id and type, then the payload. */
#ifndef BERTH_COMMON_FRAME_H
#define BERTH_COMMON_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_SIZE 9
#define FRAME_PAYLOAD_MAX (1u << 20)
#define FRAME_DATA_MAX (64u << 10)

struct frame {
	uint32_t id;
	uint8_t type;
	uint32_t length;
	const uint8_t *payload; /* points into the decoded bytes */
};

void frame_header(uint8_t out[FRAME_HEADER_SIZE], uint32_t length, uint32_t id, uint8_t type);

/*
 * Reads one frame from the start of `bytes`. Returns the number of bytes it takes, 0 when more are needed,
 * -EMSGSIZE for a payload beyond its type's limit and -EBADMSG for an unknown type. A bad header is refused
 * as soon as it is there, before its payload is waited for.
 */
int frame_decode(const uint8_t *bytes, size_t size, struct frame *out);

/* Raw bytes rather than JSON: STDOUT, STDERR, STDIN. */
bool frame_is_data(uint8_t type);

#endif

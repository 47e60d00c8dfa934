#include "frame.h"

#include <errno.h>

#include "protocol.h"

static void put32(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 24);
	to[1] = (uint8_t)(value >> 16);
	to[2] = (uint8_t)(value >> 8);
	to[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

void frame_header(uint8_t out[FRAME_HEADER_SIZE], uint32_t length, uint32_t id, uint8_t type)
{
	put32(out, length);
	put32(out + 4, id);
	out[8] = type;
}

bool frame_is_data(uint8_t type)
{
	return type >= MESSAGE_STDOUT && type <= MESSAGE_STDIN;
}

static bool type_known(uint8_t type)
{
	return (type >= MESSAGE_HELLO && type <= MESSAGE_EVENT) ||
	       (type >= MESSAGE_SANDBOX_CREATE && type <= MESSAGE_PROBE) ||
	       (type >= MESSAGE_SUBSCRIBE && type <= MESSAGE_RESIZE) ||
	       (type >= MESSAGE_STDOUT && type <= MESSAGE_EXIT);
}

int frame_decode(const uint8_t *bytes, size_t size, struct frame *out)
{
	uint32_t length;

	if (size < FRAME_HEADER_SIZE)
		return 0;
	length = get32(bytes);
	if (length > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!type_known(bytes[8]))
		return -EBADMSG;
	if (frame_is_data(bytes[8]) && length > FRAME_DATA_MAX)
		return -EMSGSIZE;
	if (size - FRAME_HEADER_SIZE < length)
		return 0;
	out->id = get32(bytes + 4);
	out->type = bytes[8];
	out->length = length;
	out->payload = bytes + FRAME_HEADER_SIZE;
	return (int)(FRAME_HEADER_SIZE + length);
}

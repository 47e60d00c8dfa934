#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t needed = buffer->length + size;

	if (buffer->start > 0 && buffer->start + needed > buffer->capacity) {
		memmove(buffer->data, buffer->data + buffer->start, buffer->length);
		buffer->start = 0;
	}
	if (buffer->start + needed > buffer->capacity) {
		size_t capacity = buffer->capacity < 1024 ? 1024 : buffer->capacity * 2;
		uint8_t *data;

		if (capacity < needed)
			capacity = needed;
		data = realloc(buffer->data, capacity);
		if (data == NULL)
			return NULL;
		buffer->data = data;
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->start + buffer->length;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
	buffer->length += size;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
	uint8_t *room;

	if (size == 0)
		return 0;
	room = buffer_reserve(buffer, size);
	if (room == NULL)
		return -ENOMEM;
	memcpy(room, bytes, size);
	buffer_commit(buffer, size);
	return 0;
}

const uint8_t *buffer_head(const struct buffer *buffer)
{
	return buffer->data == NULL ? NULL : buffer->data + buffer->start;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	buffer->start += size;
	buffer->length -= size;
	if (buffer->length == 0)
		buffer_free(buffer);
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

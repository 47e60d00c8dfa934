/* A byte queue that grows on demand and gives its memory back when it runs empty. */
#ifndef BERTH_COMMON_BUFFER_H
#define BERTH_COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t start;    /* first byte still queued */
	size_t length;   /* bytes queued */
	size_t capacity;
};

/* Room for `size` more bytes at the end; NULL when memory is out. Not yet part of the queue. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
/* Adds to the queue what was written into reserved room. */
void buffer_commit(struct buffer *buffer, size_t size);
int buffer_append(struct buffer *buffer, const void *bytes, size_t size);
const uint8_t *buffer_head(const struct buffer *buffer);
/* Removes `size` bytes from the front; an empty queue frees its memory. */
void buffer_consume(struct buffer *buffer, size_t size);
void buffer_free(struct buffer *buffer);

#endif

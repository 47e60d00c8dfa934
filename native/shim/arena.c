#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A container's bundle needs about 6 KiB, so one block is the usual case. */
#define BLOCK_SIZE 8192

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t align = alignof(max_align_t);
	void *memory;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + align - 1) & ~(align - 1);
	if (block == NULL || block->size - block->used < size) {
		size_t room = BLOCK_SIZE - sizeof(*block);

		if (room < size)
			room = size;
		block = malloc(sizeof(*block) + room);
		if (block == NULL)
			return NULL;
		block->next = arena->blocks;
		block->size = room;
		block->used = 0;
		arena->blocks = block;
	}
	memory = block->data + block->used;
	block->used += size;
	return memset(memory, 0, size);
}

char *arena_string(struct arena *arena, const char *text, size_t length)
{
	char *copy = length < SIZE_MAX ? arena_alloc(arena, length + 1) : NULL;

	if (copy != NULL)
		memcpy(copy, text, length);
	return copy;
}

void arena_free(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
}

/* Memory that is filled while the bundle is read and released as a whole: one shim holds one bundle for its life. */
#ifndef BERTH_SHIM_ARENA_H
#define BERTH_SHIM_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
};

/* Zeroed memory, aligned for any type; NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t size);
/* NULL when there is no memory. */
char *arena_string(struct arena *arena, const char *text, size_t length);
void arena_free(struct arena *arena);

#endif

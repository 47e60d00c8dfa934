/*
 * Where in a tar the contents of files lie: enough of the format to tell them from everything else, and
 * nothing more. What it does not understand counts as everything else.
 */
#ifndef BERTH_UNPACK_TAR_WALK_H
#define BERTH_UNPACK_TAR_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512
/* A PAX header beyond this is not looked into; what follows it then counts as everything else. */
#define TAR_PAX_SIZE 65536

enum tar_state { TAR_HEADER, TAR_PAX, TAR_OTHER, TAR_CONTENT, TAR_REST };

struct tar_walk {
	enum tar_state state;
	uint8_t header[TAR_BLOCK];
	size_t filled;        /* of `header`, or of `pax` */
	uint64_t left;        /* of the present body */
	unsigned int padding; /* after it */
	unsigned int zeros;   /* blocks of zeros in a row */
	bool has_size;        /* the last PAX header gave one for the next entry */
	uint64_t size;
	bool sparse;          /* or said that the next entry is sparse */
	uint8_t pax[TAR_PAX_SIZE];
};

struct tar_span {
	bool content;
	bool begins;   /* the first bytes of a content */
	uint64_t size; /* then: how long it is as a whole */
	size_t length;
};

/* Classifies the beginning of the next bytes of the tar. `span->length` is at least 1 when `length` is. */
void tar_walk(struct tar_walk *walk, const uint8_t *data, size_t length, struct tar_span *span);

#endif

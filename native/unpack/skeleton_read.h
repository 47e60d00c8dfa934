/* Reads what skeleton.h writes, record by record. */
#ifndef BERTH_UNPACK_SKELETON_READ_H
#define BERTH_UNPACK_SKELETON_READ_H

#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

struct skeleton_reader;

/* From the beginning of `fd`, which stays the caller's. */
int skeleton_reader_new(int fd, struct skeleton_reader **out, struct error *err);
void skeleton_reader_free(struct skeleton_reader *reader);

struct skeleton_record {
	char type;       /* R, G, P or E */
	uint64_t length; /* of the bytes (R), the content (G), the path (P) */
};

int skeleton_next(struct skeleton_reader *reader, struct skeleton_record *record, struct error *err);

/* The next bytes of the present record, exactly `length` of them. All are to be read before the next record. */
int skeleton_read(struct skeleton_reader *reader, void *data, size_t length, struct error *err);

#endif

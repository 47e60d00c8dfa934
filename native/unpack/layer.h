/* A whole layer: stream, archive, tree. */
#ifndef BERTH_UNPACK_LAYER_H
#define BERTH_UNPACK_LAYER_H

#include <stdint.h>

#include "../common/error.h"
#include "figures.h"
#include "stream.h"

struct layer_limits {
	struct stream_limits stream;
	uint64_t max_entries; /* of the archive, and inodes in the tree */
	uint64_t max_path;    /* bytes of a name */
	uint64_t max_memory;  /* bytes that the archive reader may come to hold */
};

struct layer_result {
	struct stream_totals totals;
	struct figures figures;
	uint64_t skeleton_bytes; /* 0: there is none */
};

/*
 * Unpacks the stream at `input_fd` into the directory at `root_fd`, which it takes over, and writes the
 * skeleton to `skeleton_fd` (-1: none is wanted). After a failure the reading thread may still be blocked
 * in its read: the process is to exit.
 */
int layer_unpack(int input_fd, int root_fd, int skeleton_fd, const struct layer_limits *limits,
		 struct layer_result *result, struct error *err);

#endif

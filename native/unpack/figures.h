/* What a tree takes, by what its inodes say: no content is read. */
#ifndef BERTH_UNPACK_FIGURES_H
#define BERTH_UNPACK_FIGURES_H

#include <stdint.h>
#include <sys/stat.h>

#include "../common/error.h"

struct figures {
	uint64_t disk_bytes;    /* blocks, as du counts them */
	uint64_t content_bytes; /* sizes of regular files; holes count */
	uint64_t inodes;        /* without the root; a file with several names is one */
	uint64_t implied;       /* directories that only entries below them implied */
};

void figures_add(struct figures *figures, const struct stat *status);

/* Counts the tree below the directory, on one file system. Symlinks are not followed. */
int figures_of_tree(int root_fd, struct figures *figures, struct error *err);

#endif

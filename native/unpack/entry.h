/* One archive entry becomes one name in the tree. */
#ifndef BERTH_UNPACK_ENTRY_H
#define BERTH_UNPACK_ENTRY_H

#include <stdint.h>

#include "../common/error.h"
#include "directories.h"
#include "tree.h"

struct archive;
struct archive_entry;
struct skeleton;

struct unpacking {
	struct archive *archive;
	struct tree *tree;
	struct directories *directories; /* whose metadata waits for the end */
	struct skeleton *skeleton;       /* NULL: none is wanted */
};

int entry_unpack(struct unpacking *unpacking, struct archive_entry *entry, struct error *err);

#endif

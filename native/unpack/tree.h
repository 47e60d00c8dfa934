/*
 * The directory being filled, and the way to every place in it.
 *
 * Each parent is opened with openat2(RESOLVE_IN_ROOT): symlinks made by earlier entries of the same layer
 * are followed (`lib -> usr/lib`, then `lib/x`) as a process would see them whose root the layer is, so an
 * absolute one begins at the layer's root and `..` stops there. An entry with `..` in its own name refuses
 * the layer: no archiver that walks a real tree makes such a name, and an attacker does.
 * The kernel resolves, so there is no window between checking and using.
 */
#ifndef BERTH_UNPACK_TREE_H
#define BERTH_UNPACK_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "../common/error.h"

#define TREE_PATH_SIZE 4096

struct tree;

/* Takes over `root_fd`. */
int tree_new(int root_fd, struct tree **out, struct error *err);
void tree_free(struct tree *tree);
int tree_root(const struct tree *tree);
/* How many inodes the tree has, directories that entries only implied included. */
uint64_t tree_inodes(const struct tree *tree);
/* How many directories were made that no entry had named until then. */
uint64_t tree_implied(const struct tree *tree);
void tree_count_inode(struct tree *tree);

/* Where an entry goes. `parent_fd` belongs to the tree and lives until the next tree_locate. */
struct place {
	char path[TREE_PATH_SIZE];   /* relative and clean; "" for the root */
	char parent[TREE_PATH_SIZE];
	const char *name;            /* the last component, within `path` */
	int parent_fd;
};

/*
 * Cleans `name` and opens the parent. Missing parents are made (0755, root) when `create` is set.
 * For the root itself `place->name` is "" and there is no parent.
 */
int tree_locate(struct tree *tree, const char *name, bool create, struct place *place, struct error *err);

/* Opens a directory by its clean path, without following a symlink in the last place. */
int tree_open_directory(const struct tree *tree, const char *path);

/* Removes whatever is at the place, with all below it. */
int tree_clear(struct tree *tree, const struct place *place, struct error *err);

/*
 * Records the current errno: step "write" where the file system or the machine is at fault (no space,
 * I/O), "entry" where the archive is.
 */
int tree_error(struct error *err, const char *path, const char *what);

#endif

/* /etc/passwd and /etc/group of an image: written by strangers, so every bound is ours. */
#ifndef BERTH_SHIM_ACCOUNTS_H
#define BERTH_SHIM_ACCOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/error.h"

/* One line, split at its colons. Valid during the call. */
struct account {
	char *fields[7];
	int count;
};

/* Returns 1 to stop, 0 to go on, or a negative errno with the error set. */
typedef int (*account_visitor)(const struct account *account, void *context, struct error *err);

/*
 * Calls `visit` for each line of the file inside the root. A missing file has no lines; lines that are
 * overlong, or hold a NUL, are none. Returns 1 where the visitor stopped it, 0 at the end.
 */
int accounts_visit(int root, const char *path, account_visitor visit, void *context, struct error *err);

/* Strictly decimal, 0 to 4294967294, no sign, no blanks. */
bool account_id(const char *text, long long *id);

#endif

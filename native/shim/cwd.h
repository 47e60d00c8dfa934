#ifndef BERTH_SHIM_CWD_H
#define BERTH_SHIM_CWD_H

#include <stdbool.h>

#include "../common/error.h"

/* Makes the directory (0755, root's) where it is missing. */
int cwd_make(int root, const char *path, struct error *err);

/*
 * Enters it and proves that it lies inside the root. Called before and after the change of user: `denied`
 * carries from the first call to the second that the directory was closed to root.
 */
int cwd_enter_as_root(const char *path, bool *denied, struct error *err);
int cwd_enter_as_user(const char *path, bool denied, struct error *err);

#endif

#ifndef BERTH_SHIM_COMMAND_H
#define BERTH_SHIM_COMMAND_H

#include <limits.h>
#include <stdbool.h>

#include "../common/error.h"

/*
 * Finds the program in the calling process's root, by the PATH of `env`, with the calling process's
 * permissions. `any_format`: a file that is neither ELF nor a script may still be a program (binfmt_misc).
 */
int command_find(const char *name, char *const *env, bool any_format, char path[PATH_MAX], struct error *err);

/* Executes it; returns only on failure. */
int command_execute(const char *path, char *const *args, char *const *env, struct error *err);

#endif

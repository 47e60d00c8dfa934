#ifndef BERTH_SHIM_ENVIRONMENT_H
#define BERTH_SHIM_ENVIRONMENT_H

#include "bundle.h"

/* The value of NAME in "NAME=value" strings (the last one counts); NULL: not there. */
const char *environment_get(char *const *env, const char *name);

/*
 * The process's environment with HOME, where it has none, and TERM for a terminal. The array and `home`
 * are malloc'd; they live until the exec.
 */
int environment_make(const struct process_spec *process, const struct resolved_user *user, bool terminal, char ***out,
		     struct error *err);

#endif

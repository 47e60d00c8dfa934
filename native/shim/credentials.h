#ifndef BERTH_SHIM_CREDENTIALS_H
#define BERTH_SHIM_CREDENTIALS_H

#include "bundle.h"

/* Raises hard limits to what is wanted, while there are the privileges for it, and changes nothing else. */
int limits_raise(const struct process_spec *process, struct error *err);

int limits_apply(const struct process_spec *process, struct error *err);

/*
 * Groups, ids, capabilities, no_new_privs and umask; there is no way back. Where a seccomp filter is to be loaded
 * that takes CAP_SYS_ADMIN, this one is held until credentials_confine.
 */
int credentials_apply(const struct process_spec *process, const struct resolved_user *user, struct error *err);

/*
 * The last step before the exec: the seccomp filter, and the end of what was held for it. Of the system calls
 * that follow the filter must allow capset, unless there is no_new_privs, and execve.
 */
int credentials_confine(const struct process_spec *process, struct error *err);

#endif

#ifndef BERTH_SHIM_CREDENTIALS_H
#define BERTH_SHIM_CREDENTIALS_H

#include "bundle.h"

int limits_apply(const struct process_spec *process, struct error *err);

/* Groups, ids, capabilities, no_new_privs and umask; there is no way back. */
int credentials_apply(const struct process_spec *process, const struct resolved_user *user, struct error *err);

#endif

#ifndef BERTH_SHIM_APPARMOR_H
#define BERTH_SHIM_APPARMOR_H

#include "../common/error.h"

/*
 * What this process executes next runs under `profile`. To be called while the host's /proc is still this process's:
 * nothing of the container can stand in its place (CVE-2025-52881).
 */
int apparmor_on_exec(const char *profile, struct error *err);

#endif

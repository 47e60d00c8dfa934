/* What this kernel, with the file system that layers lie on, can do. */
#ifndef BERTH_LAUNCHER_PROBE_H
#define BERTH_LAUNCHER_PROBE_H

#include "../common/error.h"

/*
 * Tries a user namespace and an overlay of idmapped layers below `directory`: what a pod with a user namespace
 * takes. Run it in a process made for it. Leaves nothing behind; the error says what is missing.
 */
int probe_user_namespaces(const char *directory, struct error *err);

#endif

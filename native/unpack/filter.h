/* The system calls that are left while a layer is read. */
#ifndef BERTH_UNPACK_FILTER_H
#define BERTH_UNPACK_FILTER_H

#include "../common/error.h"

/*
 * From now on only calls that read the stream, make files and manage memory and threads work; all others
 * fail with ENOSYS. It matters for CAP_SYS_ADMIN, which trusted attributes need and which could otherwise
 * mount, join namespaces or load programs. no_new_privs must be set.
 */
int filter_install(struct error *err);

#endif

#ifndef BERTH_SECCOMP_CONFINE_H
#define BERTH_SECCOMP_CONFINE_H

#include "../common/error.h"

/*
 * Before the first byte of a profile is read: no privileges, no new descriptors, no system calls but those that
 * reading, computing and writing take.
 */
int confine(struct error *err);

#endif

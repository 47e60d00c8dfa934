#ifndef BERTH_FORWARD_SYSTEM_CALLS_H
#define BERTH_FORWARD_SYSTEM_CALLS_H

#include "../common/error.h"

/* Leaves the process what carrying bytes takes; every other system call fails with EPERM from here on. */
int system_calls_restrict(struct error *err);

#endif

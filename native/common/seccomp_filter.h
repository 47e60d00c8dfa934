/*
 * A compiled seccomp filter as berth-seccomp writes it and the shim loads it: this header, then `length`
 * instructions. It never leaves the machine, so its numbers are in the machine's own order.
 */
#ifndef BERTH_COMMON_SECCOMP_FILTER_H
#define BERTH_COMMON_SECCOMP_FILTER_H

#include <linux/filter.h>
#include <stdint.h>

#define SECCOMP_FILTER_MAGIC "BERTHSF1"

struct seccomp_filter_header {
	char magic[8];
	uint32_t flags;  /* SECCOMP_FILTER_FLAG_*, for seccomp(2) */
	uint32_t length; /* instructions; 1 to BPF_MAXINSNS */
};

_Static_assert(sizeof(struct seccomp_filter_header) == 16, "the instructions follow at a multiple of their size");

#endif

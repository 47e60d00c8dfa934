/* The container's seccomp filter: where it comes from, and its loading. */
#ifndef BERTH_SHIM_SECCOMP_H
#define BERTH_SHIM_SECCOMP_H

#include <linux/filter.h>
#include <stdint.h>

#include "arena.h"
#include "../common/error.h"

/* Kept for the shim's life: every exec needs it. */
struct seccomp_filter {
	unsigned int flags; /* SECCOMP_FILTER_FLAG_* */
	unsigned short length;
	struct sock_filter *instructions;
};

/* Reads a file that berth-seccomp has written. */
int seccomp_read(const char *path, struct arena *arena, const struct seccomp_filter **out, struct error *err);

/*
 * Compiles linux.seccomp of the OCI configuration in `file` by the berth-seccomp beside this program. `capabilities`
 * is the container's bounding set.
 */
int seccomp_compile(const char *file, uint64_t capabilities, struct arena *arena, const struct seccomp_filter **out,
		    struct error *err);

/* From an open file, whose name is for errors. */
int seccomp_read_from(int fd, const char *name, struct arena *arena, const struct seccomp_filter **out, struct error *err);

/*
 * Of this process and what it executes. Takes CAP_SYS_ADMIN in the process's user namespace, or no_new_privs. From
 * here on the process can do only what the filter allows.
 */
int seccomp_load(const struct seccomp_filter *filter, struct error *err);

#endif

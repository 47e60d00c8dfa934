/*
 * From a seccomp profile, in the OCI runtime spec's form or in Docker's, to a BPF program. Errors name the
 * member of the profile that is wrong.
 */
#ifndef BERTH_SECCOMP_COMPILE_H
#define BERTH_SECCOMP_COMPILE_H

#include <jansson.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/error.h"
#include "../shim/bundle_fields.h"

#define MAX_ARCHITECTURES 16
#define MAX_NEWER 64

/* What is known of the container and of the machine. */
struct surroundings {
	uint64_t capabilities; /* one bit per capability number: the bounding set */
	unsigned int kernel[2]; /* major, minor */
};

struct architecture {
	uint32_t token; /* SCMP_ARCH_* */
	int last;       /* the highest system call that the profile names; -1: none */
};

/* A rule for a system call that the library has no name for. */
struct newer_rule {
	int number; /* as in the tables of all architectures since Linux 5.1 */
	uint32_t action;
};

struct compilation {
	const struct surroundings *around;
	scmp_filter_ctx context;
	uint32_t default_action;
	uint32_t flags;
	struct architecture architectures[MAX_ARCHITECTURES];
	size_t architecture_count;
	struct newer_rule newer[MAX_NEWER];
	size_t newer_count;
	size_t rule_count;
};

/* Reads the whole profile into `compilation`, whose context is released by the caller. */
int profile_read(struct compilation *compilation, const struct fields *profile, struct error *err);

/* Whether `includes` and `excludes` of an entry let it count here. */
int conditions_hold(const struct surroundings *around, const struct fields *entry, bool *hold, struct error *err);

/* One entry of `syscalls`. */
int rules_add(struct compilation *compilation, const struct fields *entry, struct error *err);

/* "6.12.3-generic" and "4.8" alike. */
bool kernel_version(const char *text, unsigned int out[2]);

/* Words of a profile. -EINVAL for one that is none. */
int action_code(const struct fields *fields, const char *key, const char *errno_key, uint32_t *out, struct error *err);
int operator_code(const struct fields *fields, const char *key, enum scmp_compare *out, struct error *err);
bool architecture_token(const char *name, uint32_t *out);
/* The name that Docker's profiles use for this machine's architecture in includes and excludes. */
bool architecture_is_native(const char *name);

/* The number of a system call that the library may be too old to know; -1 where it is none of those. */
int newer_number(const char *name);
/* What `number` of those is on an architecture; -1 where its numbers are not known. */
int newer_on(uint32_t token, int number);

#define PREFIX_MAX 1024

/*
 * What stands before the library's program: rules for system calls that it has no name for, and ENOSYS instead of
 * the default action for those that are newer than the profile, so that programs fall back instead of failing.
 */
size_t prefix_make(const struct compilation *compilation, struct sock_filter out[PREFIX_MAX]);

#endif

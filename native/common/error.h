/*
 * The error contract of all native code: a function that can fail takes a `struct error *` as its last
 * argument, fills it once, where the failure happens, and returns a negative errno. Callers pass it on
 * unchanged. It crosses processes by value, so it holds no pointers.
 */
#ifndef BERTH_COMMON_ERROR_H
#define BERTH_COMMON_ERROR_H

#include <stddef.h>

struct error {
	int code;           /* a positive errno, or 0 when the failure has none */
	char step[24];      /* what was being done; the names stand in docs/shim-protocol.md */
	char path[1024];    /* the object it was done to, possibly cut short; may be empty */
	char message[512];  /* one sentence for people */
};

/* Records a failure with an explicit errno (0 for none) and returns -code, or -EINVAL where code is 0. */
int error_set(struct error *err, int code, const char *step, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 5, 6), nonnull(1, 3)));

/* Records the current errno, appends its text to the message, and returns -errno. */
int error_errno(struct error *err, const char *step, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), nonnull(1, 2)));

/* "ENOENT" for ENOENT; "" for 0; "E?" for one without a name. Never NULL. */
const char *error_name(int code);

#endif

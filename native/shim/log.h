/* The container's log file in the CRI format, written in large batches of whole entries. */
#ifndef BERTH_SHIM_LOG_H
#define BERTH_SHIM_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "../common/error.h"

/* Longer lines are cut into entries tagged P, the last one tagged F. */
#define LOG_ENTRY_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAM_COUNT };

struct log {
	int fd;                   /* -1: nothing is logged */
	const char *path;
	struct {
		char *bytes;      /* a line's beginning, LOG_ENTRY_MAX + 1 bytes once needed */
		size_t length;
	} pending[LOG_STREAM_COUNT];
	char *batch;
	size_t batch_length;
	uint64_t dropped;         /* entries lost because the file could not take them */
	int last_errno;           /* why */
	uint64_t last_time;       /* ns; no two entries carry the same time */
	time_t cached_second;
	char cached_text[24];
};

/* `path` is kept, not copied; NULL: discard everything. */
int log_open(struct log *log, const char *path, struct error *err);
/* Takes output in; every complete line of it is in the file on return, or counted as dropped. */
void log_append(struct log *log, enum log_stream stream, const char *bytes, size_t size);
/* Opens the path anew after a rotation. On failure the old file stays in use. */
int log_reopen(struct log *log, struct error *err);
/* Writes unterminated last lines (tagged P) and closes. */
void log_close(struct log *log);

#endif

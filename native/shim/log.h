/* The container's log file in the CRI format, written in large batches of whole entries. */
#ifndef BERTH_SHIM_LOG_H
#define BERTH_SHIM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "../common/error.h"

/* Longer lines are cut into entries tagged P, the last one tagged F. */
#define LOG_ENTRY_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAM_COUNT };

/* Why entries were lost: the file could not take them, or they were more than the rate limit allows. */
enum log_loss { LOG_LOSS_FILE, LOG_LOSS_RATE, LOG_LOSS_COUNT };

struct log_line {
	char *pending;        /* a line's beginning, LOG_ENTRY_MAX bytes once needed */
	size_t length;
	bool skipping;        /* a part of this line was lost: the rest of it is, too */
	bool open;            /* the last entry put into the batch was a part of a line */
	bool open_in_file;    /* likewise, of those that the file has taken */
	bool broken;          /* entries of it are missing from the file since then */
};

struct log {
	int fd;                   /* -1: nothing is logged */
	const char *path;
	struct log_line lines[LOG_STREAM_COUNT];
	char *batch;
	size_t batch_length;
	uint64_t lost[LOG_LOSS_COUNT];  /* entries, ever */
	uint64_t told[LOG_LOSS_COUNT];  /* of these, how many the log itself has told of */
	int last_errno;           /* why the file took no more */
	uint64_t rate;            /* bytes a second, entries with their headers; 0: no limit */
	int64_t allowance;        /* bytes that may pass now; below zero after an entry larger than what was left */
	uint64_t allowance_time;  /* ns, CLOCK_MONOTONIC, when it was last topped up */
	uint64_t now;             /* ns, of the output that is being taken in */
	uint64_t last_time;       /* ns; no two entries carry the same time */
	uint64_t gap_time;        /* ns, before the first entry after a loss: for what the log then says of it */
	time_t cached_second;
	char cached_text[24];
};

/* `path` is kept, not copied; NULL: discard everything. `rate` as above. */
int log_open(struct log *log, const char *path, uint64_t rate, struct error *err);
/* Takes output in; every complete line of it is in the file on return, or counted as lost. */
void log_append(struct log *log, enum log_stream stream, const char *bytes, size_t size);
/* Opens the path anew after a rotation. On failure the old file stays in use. */
int log_reopen(struct log *log, struct error *err);
/* Says in the log what was lost, if it is not said yet and there is room. True when nothing is left to say. */
bool log_tell(struct log *log);
/* Writes unterminated last lines (tagged P) and closes. */
void log_close(struct log *log);

#endif

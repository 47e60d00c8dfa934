/* What the parts of the log writer share: entries (log.c), the file (log_file.c), losses (log_loss.c). */
#ifndef BERTH_SHIM_LOG_PARTS_H
#define BERTH_SHIM_LOG_PARTS_H

#include "log.h"

/* "2006-01-02T15:04:05.999999999Z stdout F " */
#define LOG_HEADER_SIZE 40
#define LOG_STREAM_AT 31
#define LOG_TAG_AT 38
/* A batch holds what 64 KiB of input with lines of 60 bytes and more turn into. */
#define LOG_BATCH_SIZE ((size_t)128 << 10)
/* An entry that tells of losses. */
#define LOG_NOTE_MAX 192

/* log.c: writes the 40 bytes before an entry's text. */
void log_put_header(struct log *log, char *to, enum log_stream stream, char tag);

/* log_file.c */
int log_open_file(const char *path, struct error *err);
/* Hands the batch to the file, behind what has to be told of losses; what is not taken is counted. */
void log_flush(struct log *log);

/* log_loss.c */
/* Counts an entry of this tag as lost, and with it the rest of its line. */
void log_lose(struct log *log, enum log_loss why, enum log_stream stream, char tag);
/* Sets the rate limit, bytes a second, and allows a second's worth at once. 0: no limit. */
void log_limit(struct log *log, uint64_t rate);
/* Whether the rate limit lets `size` more bytes pass now, which then count. */
bool log_admit(struct log *log, size_t size);
/* Makes the entry that tells of the losses not told yet, none: 0. Returns its size, at most LOG_NOTE_MAX. */
size_t log_put_note(struct log *log, enum log_loss why, char *to);

#endif

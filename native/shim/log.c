#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_parts.h"

static const char *const stream_names[] = { [LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr" };

int log_open(struct log *log, const char *path, uint64_t rate, struct error *err)
{
	memset(log, 0, sizeof(*log));
	log->fd = -1;
	log->path = path;
	log_limit(log, rate);
	if (path == NULL)
		return 0;
	log->batch = malloc(LOG_BATCH_SIZE);
	if (log->batch == NULL)
		return error_set(err, ENOMEM, "log", path, "no memory for the log's buffer");
	log->fd = log_open_file(path, err);
	return log->fd < 0 ? log->fd : 0;
}

static void put_digits(char *to, int width, unsigned long value)
{
	while (width-- > 0) {
		to[width] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void read_clock(struct log *log)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	log->now = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_time(struct log *log, char *to)
{
	uint64_t time = log->now;
	time_t second;

	/*
	 * What was read in one piece was written before that moment, one after the other: a nanosecond apart.
	 * Readers that sort or deduplicate by time rely on order; a clock set back may not break it by itself.
	 */
	if (time <= log->last_time && log->last_time - time < 1000000000u)
		time = log->last_time + 1;
	log->last_time = time;
	second = (time_t)(time / 1000000000u);
	if (second != log->cached_second || log->cached_text[0] == '\0') {
		struct tm parts;
		gmtime_r(&second, &parts);
		strftime(log->cached_text, sizeof(log->cached_text), "%Y-%m-%dT%H:%M:%S", &parts);
		log->cached_second = second;
	}
	memcpy(to, log->cached_text, 19);
	to[19] = '.';
	put_digits(to + 20, 9, time % 1000000000u);
	to[29] = 'Z';
}

void log_put_header(struct log *log, char *to, enum log_stream stream, char tag)
{
	put_time(log, to);
	to[30] = ' ';
	memcpy(to + LOG_STREAM_AT, stream_names[stream], 6);
	to[37] = ' ';
	to[LOG_TAG_AT] = tag;
	to[39] = ' ';
}

static void put_text(struct log *log, enum log_stream stream, char tag, const char *bytes, size_t size)
{
	struct log_line *line = &log->lines[stream];
	char *at = log->batch + log->batch_length;

	log_put_header(log, at, stream, tag);
	at += LOG_HEADER_SIZE;
	if (line->length > 0)
		memcpy(at, line->pending, line->length);
	memcpy(at + line->length, bytes, size);
	at[line->length + size] = '\n';
	log->batch_length += LOG_HEADER_SIZE + line->length + size + 1;
	line->length = 0;
	line->open = tag == 'P';
}

static void make_room(struct log *log, size_t size)
{
	if (log->batch_length + size > LOG_BATCH_SIZE)
		log_flush(log);
}

static void put_rate_note(struct log *log)
{
	make_room(log, LOG_NOTE_MAX);
	log->batch_length += log_put_note(log, LOG_LOSS_RATE, log->batch + log->batch_length);
	log->told[LOG_LOSS_RATE] = log->lost[LOG_LOSS_RATE];
}

/* One entry made of the pending beginning and `size` more bytes. */
static void put_entry(struct log *log, enum log_stream stream, char tag, const char *bytes, size_t size)
{
	struct log_line *line = &log->lines[stream];
	size_t whole = LOG_HEADER_SIZE + line->length + size + 1;
	bool admitted = log_admit(log, whole);

	if (admitted && log->lost[LOG_LOSS_RATE] != log->told[LOG_LOSS_RATE])
		put_rate_note(log);
	make_room(log, whole);
	/* A flush that failed may have lost the beginning of this very line. */
	if (line->skipping)
		return;
	if (admitted) {
		put_text(log, stream, tag, bytes, size);
		return;
	}
	log_lose(log, LOG_LOSS_RATE, stream, tag);
	if (line->open)
		put_text(log, stream, 'F', "", 0);
}

static void keep_pending(struct log *log, enum log_stream stream, const char *bytes, size_t size)
{
	struct log_line *line = &log->lines[stream];

	if (size == 0 || line->skipping)
		return;
	if (line->pending == NULL)
		line->pending = malloc(LOG_ENTRY_MAX);
	if (line->pending == NULL) {
		put_entry(log, stream, 'P', bytes, size); /* no memory to wait for the rest: an entry of its own */
		return;
	}
	memcpy(line->pending + line->length, bytes, size);
	line->length += size;
}

/* A piece without line breaks; `ends`: a line break follows it. */
static void put_piece(struct log *log, enum log_stream stream, const char *bytes, size_t size, bool ends)
{
	struct log_line *line = &log->lines[stream];

	/* As containerd does it, a carriage return before the line break is not part of the line. */
	if (ends && size > 0 && bytes[size - 1] == '\r')
		size--;
	else if (ends && size == 0 && line->length > 0 && line->pending[line->length - 1] == '\r')
		line->length--;
	while (line->length + size > LOG_ENTRY_MAX && !line->skipping) {
		size_t taken = LOG_ENTRY_MAX - line->length;
		put_entry(log, stream, 'P', bytes, taken);
		bytes += taken;
		size -= taken;
	}
	if (!ends)
		keep_pending(log, stream, bytes, size);
	else if (!line->skipping)
		put_entry(log, stream, 'F', bytes, size);
	if (ends)
		line->skipping = false;
}

void log_append(struct log *log, enum log_stream stream, const char *bytes, size_t size)
{
	const char *end = bytes + size;

	if (log->fd < 0)
		return;
	read_clock(log);
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		const char *stop = newline == NULL ? end : newline;

		put_piece(log, stream, bytes, (size_t)(stop - bytes), newline != NULL);
		bytes = newline == NULL ? end : newline + 1;
	}
	log_flush(log);
}

bool log_tell(struct log *log)
{
	if (log->fd < 0)
		return true;
	read_clock(log);
	if (log->lost[LOG_LOSS_RATE] != log->told[LOG_LOSS_RATE] && log_admit(log, LOG_NOTE_MAX))
		put_rate_note(log);
	log_flush(log);
	return log->lost[LOG_LOSS_RATE] == log->told[LOG_LOSS_RATE] && log->lost[LOG_LOSS_FILE] == log->told[LOG_LOSS_FILE];
}

/* Whatever the limit: a log does not end without saying what is missing from it. */
static void put_last_words(struct log *log)
{
	read_clock(log);
	/* As containerd does it: a last line without a line break is a partial one. */
	for (int stream = 0; stream < LOG_STREAM_COUNT; stream++)
		if (log->lines[stream].length > 0)
			put_entry(log, (enum log_stream)stream, 'P', "", 0);
	if (log->lost[LOG_LOSS_RATE] != log->told[LOG_LOSS_RATE])
		put_rate_note(log);
	log_flush(log);
}

void log_close(struct log *log)
{
	if (log->fd >= 0) {
		put_last_words(log);
		close(log->fd);
		log->fd = -1;
	}
	for (int stream = 0; stream < LOG_STREAM_COUNT; stream++) {
		free(log->lines[stream].pending);
		log->lines[stream].pending = NULL;
	}
	free(log->batch);
	log->batch = NULL;
}

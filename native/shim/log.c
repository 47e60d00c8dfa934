#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A batch holds what 64 KiB of input with lines of 60 bytes and more turn into. */
#define BATCH_SIZE ((size_t)128 << 10)
/* "2006-01-02T15:04:05.999999999Z stdout F " */
#define HEADER_SIZE 40

static const char *const stream_names[] = { [LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr" };

static int open_file(const char *path, struct error *err)
{
	/* O_APPEND: after a rotation by truncation the next entry starts at the new end. */
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC, 0640);
	return fd < 0 ? error_errno(err, "log", path, "opening the log") : fd;
}

int log_open(struct log *log, const char *path, struct error *err)
{
	memset(log, 0, sizeof(*log));
	log->fd = -1;
	log->path = path;
	if (path == NULL)
		return 0;
	log->batch = malloc(BATCH_SIZE);
	if (log->batch == NULL)
		return error_set(err, ENOMEM, "log", path, "no memory for the log's buffer");
	log->fd = open_file(path, err);
	return log->fd < 0 ? log->fd : 0;
}

int log_reopen(struct log *log, struct error *err)
{
	int fd;

	if (log->path == NULL)
		return 0;
	fd = open_file(log->path, err);
	if (fd < 0)
		return fd;
	if (log->fd >= 0)
		close(log->fd);
	log->fd = fd;
	return 0;
}

static uint64_t count_lines(const char *bytes, size_t size)
{
	uint64_t lines = 0;
	const char *end = bytes + size;

	for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		lines++;
	return lines;
}

/*
 * The file took only the first `written` bytes: takes back the torn entry at their end. Returns how many bytes
 * of whole entries stay. Nobody else writes to this file, so its end is where this descriptor stands.
 */
static size_t cut_torn_entry(struct log *log, size_t written)
{
	size_t whole = written;
	off_t end = lseek(log->fd, 0, SEEK_CUR);

	while (whole > 0 && log->batch[whole - 1] != '\n')
		whole--;
	if (whole < written && end >= 0 && ftruncate(log->fd, end - (off_t)(written - whole)) < 0)
		log->last_errno = errno;
	return whole;
}

static void flush(struct log *log)
{
	size_t written = 0;

	while (written < log->batch_length) {
		ssize_t now = write(log->fd, log->batch + written, log->batch_length - written);
		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0) {
			/* A full disk, mostly. Dropping keeps the container running; the next batch tries again. */
			size_t kept;
			log->last_errno = errno;
			kept = cut_torn_entry(log, written);
			log->dropped += count_lines(log->batch + kept, log->batch_length - kept);
			break;
		}
		written += (size_t)now;
	}
	log->batch_length = 0;
}

static void put_digits(char *to, int width, unsigned long value)
{
	while (width-- > 0) {
		to[width] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void put_time(struct log *log, char *to)
{
	struct timespec now;
	uint64_t time;
	time_t second;

	clock_gettime(CLOCK_REALTIME, &now);
	time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	/* Readers that sort or deduplicate by time rely on order; a clock set back may not break it by itself. */
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

/* One entry made of the pending beginning and `size` more bytes. */
static void put_entry(struct log *log, enum log_stream stream, char tag, const char *bytes, size_t size)
{
	size_t begun = log->pending[stream].length;
	char *at;

	if (log->batch_length + HEADER_SIZE + begun + size + 1 > BATCH_SIZE)
		flush(log);
	at = log->batch + log->batch_length;
	put_time(log, at);
	at[30] = ' ';
	memcpy(at + 31, stream_names[stream], 6);
	at[37] = ' ';
	at[38] = tag;
	at[39] = ' ';
	at += HEADER_SIZE;
	if (begun > 0)
		memcpy(at, log->pending[stream].bytes, begun);
	memcpy(at + begun, bytes, size);
	at[begun + size] = '\n';
	log->batch_length += HEADER_SIZE + begun + size + 1;
	log->pending[stream].length = 0;
}

static void keep_pending(struct log *log, enum log_stream stream, const char *bytes, size_t size)
{
	if (size == 0)
		return;
	if (log->pending[stream].bytes == NULL)
		log->pending[stream].bytes = malloc(LOG_ENTRY_MAX);
	if (log->pending[stream].bytes == NULL) {
		put_entry(log, stream, 'P', bytes, size); /* no memory to wait for the rest: an entry of its own */
		return;
	}
	memcpy(log->pending[stream].bytes + log->pending[stream].length, bytes, size);
	log->pending[stream].length += size;
}

/* A piece without line breaks; `ends`: a line break follows it. */
static void put_piece(struct log *log, enum log_stream stream, const char *bytes, size_t size, bool ends)
{
	size_t begun = log->pending[stream].length;

	/* As containerd does it, a carriage return before the line break is not part of the line. */
	if (ends && size > 0 && bytes[size - 1] == '\r')
		size--;
	else if (ends && size == 0 && begun > 0 && log->pending[stream].bytes[begun - 1] == '\r')
		log->pending[stream].length = --begun;
	while (begun + size > LOG_ENTRY_MAX) {
		size_t taken = LOG_ENTRY_MAX - begun;
		put_entry(log, stream, 'P', bytes, taken);
		bytes += taken;
		size -= taken;
		begun = 0;
	}
	if (ends)
		put_entry(log, stream, 'F', bytes, size);
	else
		keep_pending(log, stream, bytes, size);
}

void log_append(struct log *log, enum log_stream stream, const char *bytes, size_t size)
{
	const char *end = bytes + size;

	if (log->fd < 0)
		return;
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		const char *stop = newline == NULL ? end : newline;

		put_piece(log, stream, bytes, (size_t)(stop - bytes), newline != NULL);
		bytes = newline == NULL ? end : newline + 1;
	}
	flush(log);
}

void log_close(struct log *log)
{
	if (log->fd >= 0) {
		/* As containerd does it: a last line without a line break is a partial one. */
		for (int stream = 0; stream < LOG_STREAM_COUNT; stream++)
			if (log->pending[stream].length > 0)
				put_entry(log, stream, 'P', "", 0);
		flush(log);
		close(log->fd);
		log->fd = -1;
	}
	for (int stream = 0; stream < LOG_STREAM_COUNT; stream++) {
		free(log->pending[stream].bytes);
		log->pending[stream].bytes = NULL;
	}
	free(log->batch);
	log->batch = NULL;
}

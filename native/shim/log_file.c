/* The log's file: opened, rotated, written, and kept whole when it takes no more. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log_parts.h"

/* What stands before a batch after a loss: the ends of broken lines, and the note. */
#define PREFIX_SIZE (LOG_STREAM_COUNT * (LOG_HEADER_SIZE + 1) + LOG_NOTE_MAX)

int log_open_file(const char *path, struct error *err)
{
	/* O_APPEND: after a rotation by truncation the next entry starts at the new end. */
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC, 0640);
	return fd < 0 ? error_errno(err, "log", path, "opening the log") : fd;
}

int log_reopen(struct log *log, struct error *err)
{
	int fd;

	if (log->path == NULL)
		return 0;
	fd = log_open_file(log->path, err);
	if (fd < 0)
		return fd;
	if (log->fd >= 0)
		close(log->fd);
	log->fd = fd;
	log_tell(log);
	return 0;
}

static size_t put_prefix(struct log *log, char *to)
{
	uint64_t last = log->last_time, now = log->now;
	size_t length = 0;

	if (log->lost[LOG_LOSS_FILE] == log->told[LOG_LOSS_FILE])
		return 0;
	/* Its times were set aside when the loss happened: the batch behind it is stamped already. */
	log->last_time = log->now = log->gap_time;
	for (int stream = 0; stream < LOG_STREAM_COUNT; stream++) {
		if (!log->lines[stream].open_in_file || !log->lines[stream].broken)
			continue;
		log_put_header(log, to + length, (enum log_stream)stream, 'F');
		length += LOG_HEADER_SIZE;
		to[length++] = '\n';
	}
	length += log_put_note(log, LOG_LOSS_FILE, to + length);
	log->last_time = last;
	log->now = now;
	return length;
}

static enum log_stream stream_of(const char *entry)
{
	return entry[LOG_STREAM_AT + 3] == 'o' ? LOG_STDOUT : LOG_STDERR;
}

/* The file has taken the batch's entries up to `kept`, but no more. */
static void account(struct log *log, size_t kept)
{
	const char *end = log->batch + log->batch_length;

	for (const char *entry = log->batch; entry < end; entry = (const char *)memchr(entry, '\n', (size_t)(end - entry)) + 1) {
		enum log_stream stream = stream_of(entry);

		if (entry < log->batch + kept) {
			log->lines[stream].open_in_file = entry[LOG_TAG_AT] == 'P';
		} else {
			log_lose(log, LOG_LOSS_FILE, stream, entry[LOG_TAG_AT]);
			log->lines[stream].broken = true;
			log->lines[stream].open = false;
		}
	}
}

/* The file says now what was lost before, and broken lines have their ends. */
static void prefix_is_kept(struct log *log)
{
	log->told[LOG_LOSS_FILE] = log->lost[LOG_LOSS_FILE];
	for (int stream = 0; stream < LOG_STREAM_COUNT; stream++) {
		log->lines[stream].open_in_file &= !log->lines[stream].broken;
		log->lines[stream].broken = false;
	}
}

/*
 * A full disk, mostly. Dropping keeps the container running; the next batch tries again. Of the `written` bytes
 * at the file's end the torn entry is taken back, and the prefix as well where no entry followed it. Nobody
 * else writes to this file, so its end is where this descriptor stands.
 */
static void fail(struct log *log, size_t prefix, size_t written)
{
	off_t end = lseek(log->fd, 0, SEEK_CUR);
	size_t kept = written > prefix ? written - prefix : 0;

	while (kept > 0 && log->batch[kept - 1] != '\n')
		kept--;
	if (kept > 0)
		prefix_is_kept(log);
	account(log, kept);
	log->gap_time = log->last_time;
	log->last_time += LOG_STREAM_COUNT + 1;
	written -= kept == 0 ? 0 : prefix + kept;
	if (written > 0 && end >= 0 && ftruncate(log->fd, end - (off_t)written) < 0)
		log->last_errno = errno;
}

/* Returns how many of the bytes the file took. */
static size_t write_all(struct log *log, char *prefix, size_t prefix_length)
{
	size_t total = prefix_length + log->batch_length, written = 0;

	while (written < total) {
		size_t skip = written < prefix_length ? written : prefix_length;
		struct iovec parts[2] = { { prefix + skip, prefix_length - skip },
					  { log->batch + (written - skip), log->batch_length - (written - skip) } };
		ssize_t now = writev(log->fd, parts, 2);

		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0) {
			log->last_errno = now < 0 ? errno : EIO;
			break;
		}
		written += (size_t)now;
	}
	return written;
}

void log_flush(struct log *log)
{
	char prefix[PREFIX_SIZE];
	size_t length = put_prefix(log, prefix);
	size_t written;

	if (length + log->batch_length == 0)
		return;
	written = write_all(log, prefix, length);
	if (written < length + log->batch_length) {
		fail(log, length, written);
	} else {
		prefix_is_kept(log);
		for (int stream = 0; stream < LOG_STREAM_COUNT; stream++)
			log->lines[stream].open_in_file = log->lines[stream].open;
	}
	log->batch_length = 0;
}

/* The log writer: the CRI format, partial entries, rotation, and a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shim/log.h"
#include "check.h"

#define HEADER 40

static char directory[] = "/tmp/berth-log-XXXXXX";
static char path[64], rotated[64];

static char *read_file(const char *name, size_t *size)
{
	static char content[1 << 20];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, content, sizeof(content) - 1);

	check("the log can be read", got >= 0);
	close(fd);
	content[got] = '\0';
	*size = (size_t)got;
	return content;
}

/* Cuts the next entry off; checks its header and returns its tag, its text in `*text`. */
static char next_entry(char **at, const char *stream, const char **text, char *time)
{
	char *end = strchr(*at, '\n');
	char found;

	if (end == NULL || end - *at < HEADER || (*at)[29] != 'Z' || (*at)[30] != ' ' ||
	    strncmp(*at + 31, stream, 6) != 0 || (*at)[37] != ' ' || (*at)[39] != ' ')
		check("an entry is whole", false);
	*end = '\0';
	found = (*at)[38];
	memcpy(time, *at, 30);
	time[30] = '\0';
	*text = *at + HEADER;
	*at = end + 1;
	return found;
}

static void append(struct log *log, enum log_stream stream, const char *text)
{
	log_append(log, stream, text, strlen(text));
}

static void test_lines(void)
{
	struct log log;
	struct error err;
	const char *text;
	char time[31], last[31] = "";
	char *at;
	size_t size;

	check("a log opens", log_open(&log, path, 0, &err) == 0);
	append(&log, LOG_STDOUT, "one\ntw");
	append(&log, LOG_STDERR, "err\n");
	append(&log, LOG_STDOUT, "o\n\nwith cr\r\nsplit\r");
	append(&log, LOG_STDOUT, "\nunfinished");
	log_close(&log);
	at = read_file(path, &size);
	struct { const char *stream, *text; char tag; } expected[] = {
		{ "stdout", "one", 'F' }, { "stderr", "err", 'F' }, { "stdout", "two", 'F' }, { "stdout", "", 'F' },
		{ "stdout", "with cr", 'F' }, { "stdout", "split", 'F' }, { "stdout", "unfinished", 'P' },
	};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		char tag = next_entry(&at, expected[i].stream, &text, time);
		check(expected[i].text, tag == expected[i].tag && strcmp(text, expected[i].text) == 0);
		check("times rise", strcmp(time, last) > 0);
		memcpy(last, time, sizeof(last));
	}
	check("there is nothing else", *at == '\0');
	check("nothing was dropped", log.lost[LOG_LOSS_FILE] == 0);
	unlink(path);
}

static void test_long_lines(void)
{
	static char line[3 * LOG_ENTRY_MAX + 2];
	struct log log;
	struct error err;
	const char *text;
	char time[31];
	char *at;
	size_t size;

	memset(line, 'x', sizeof(line));
	check("a log opens", log_open(&log, path, 0, &err) == 0);
	/* Exactly one entry's worth is not cut. */
	log_append(&log, LOG_STDOUT, line, LOG_ENTRY_MAX);
	append(&log, LOG_STDOUT, "\n");
	log_append(&log, LOG_STDOUT, line, 2 * LOG_ENTRY_MAX + 5);
	append(&log, LOG_STDOUT, "\n");
	/* Byte by byte makes the same. */
	for (int i = 0; i < LOG_ENTRY_MAX + 1; i++)
		log_append(&log, LOG_STDOUT, "y", 1);
	append(&log, LOG_STDOUT, "\n");
	log_close(&log);
	at = read_file(path, &size);
	check("a line of 16384 is one entry", next_entry(&at, "stdout", &text, time) == 'F' && strlen(text) == LOG_ENTRY_MAX);
	check("a longer one is cut", next_entry(&at, "stdout", &text, time) == 'P' && strlen(text) == LOG_ENTRY_MAX);
	check("and cut again", next_entry(&at, "stdout", &text, time) == 'P' && strlen(text) == LOG_ENTRY_MAX);
	check("its end is full", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "xxxxx") == 0);
	check("bytes that trickle are joined", next_entry(&at, "stdout", &text, time) == 'P' && strlen(text) == LOG_ENTRY_MAX);
	check("up to the cut", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "y") == 0 && *at == '\0');
	unlink(path);
}

static void test_reopen(void)
{
	struct log log;
	struct error err;
	const char *text;
	char time[31];
	char *at;
	size_t size;

	check("a log opens", log_open(&log, path, 0, &err) == 0);
	append(&log, LOG_STDOUT, "before\nhalf");
	check("it is rotated", rename(path, rotated) == 0 && log_reopen(&log, &err) == 0);
	append(&log, LOG_STDOUT, " a line\n");
	log_close(&log);
	at = read_file(rotated, &size);
	check("the old file ends with a whole entry", next_entry(&at, "stdout", &text, time) == 'F' && *at == '\0');
	at = read_file(path, &size);
	check("a line begun before is whole in the new one",
	      next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "half a line") == 0 && *at == '\0');
	unlink(path);
	unlink(rotated);
}

static void test_failed_reopen(void)
{
	struct log log;
	struct error err;
	size_t size;

	check("a log opens", log_open(&log, path, 0, &err) == 0);
	rename(path, rotated);
	mkdir(path, 0700);
	check("a reopen that fails says so", log_reopen(&log, &err) == -EISDIR && strcmp(err.step, "log") == 0);
	append(&log, LOG_STDOUT, "still here\n");
	log_close(&log);
	check("the old file goes on", strstr(read_file(rotated, &size), "still here") != NULL);
	rmdir(path);
	unlink(rotated);
}

static void test_full_disk(void)
{
	static char batch[60000];
	char note[128], time[31], last[31];
	const char *text;
	struct log log;
	struct error err;
	char *at;
	size_t size, entries = 0;

	for (size_t i = 0; i < sizeof(batch); i++)
		batch[i] = i % 100 == 99 ? '\n' : 'z';
	check("a small file system", mount("tmpfs", directory, "tmpfs", 0, "size=256k") == 0);
	check("a log opens", log_open(&log, path, 0, &err) == 0);
	for (int i = 0; i < 10; i++)
		log_append(&log, LOG_STDOUT, batch, sizeof(batch));
	check("entries were dropped and counted", log.lost[LOG_LOSS_FILE] > 0 && log.last_errno == ENOSPC);
	at = read_file(path, &size);
	check("the file is full", size > 200000);
	check("no entry is torn", size > 0 && at[size - 1] == '\n' && size % (HEADER + 100) == 0);
	for (const char *c = at; (c = strchr(c, '\n')) != NULL; c++)
		entries++;
	check("every entry is there or counted", entries + log.lost[LOG_LOSS_FILE] == 6000);
	check("the disk gets room again", truncate(path, 0) == 0);
	append(&log, LOG_STDOUT, "after\n");
	log_close(&log);
	at = read_file(path, &size);
	snprintf(note, sizeof(note), "berth: %llu log lines were dropped: No space left on device",
		 (unsigned long long)log.lost[LOG_LOSS_FILE]);
	check("the log says what is missing, once", next_entry(&at, "stderr", &text, time) == 'F' && strcmp(text, note) == 0);
	memcpy(last, time, sizeof(last));
	check("writing goes on", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "after") == 0);
	check("times rise", strcmp(time, last) > 0);
	check("there is nothing else", *at == '\0');
	check("the file system is free", umount2(directory, 0) == 0);
}

/* A line of which the file took a part is ended, the rest of it left out, and no other line touched. */
static void test_broken_line(void)
{
	static char part[LOG_ENTRY_MAX];
	char time[31];
	struct log log;
	struct error err;
	const char *text;
	char *at;
	size_t size;

	memset(part, 'p', sizeof(part));
	check("a small file system", mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0);
	check("a log opens", log_open(&log, path, 0, &err) == 0);
	append(&log, LOG_STDERR, "error");
	for (int i = 0; i < 6; i++)
		log_append(&log, LOG_STDOUT, part, sizeof(part));
	check("the end of a line is lost", log.lost[LOG_LOSS_FILE] == 1);
	check("all that follows in it is only left out", log.lines[LOG_STDOUT].skipping);
	append(&log, LOG_STDOUT, "rest\nnext\n");
	append(&log, LOG_STDERR, " goes on\n");
	log_close(&log);
	at = read_file(path, &size);
	for (int i = 0; i < 3; i++)
		check("parts", next_entry(&at, "stdout", &text, time) == 'P' && strlen(text) == LOG_ENTRY_MAX);
	check("the broken line ends", next_entry(&at, "stdout", &text, time) == 'F' && *text == '\0');
	check("the log says so", next_entry(&at, "stderr", &text, time) == 'F' && strstr(text, "dropped: No space") != NULL);
	check("the next line is whole", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "next") == 0);
	check("the other stream's line is, too",
	      next_entry(&at, "stderr", &text, time) == 'F' && strcmp(text, "error goes on") == 0 && *at == '\0');
	check("the file system is free", umount2(directory, 0) == 0);
}

static void test_rate(void)
{
	static char line[LOG_ENTRY_MAX + 100];
	struct log log;
	struct error err;
	const char *text;
	char note[128], time[31];
	char *at;
	size_t size;

	/* One byte a second adds nothing to what is set below while the test runs. */
	check("a log with a limit opens", log_open(&log, path, 1, &err) == 0);
	log.allowance = 60;
	append(&log, LOG_STDOUT, "one\ntwo\nthree\n");
	check("the line that goes beyond passes, those after it do not", log.lost[LOG_LOSS_RATE] == 1);
	append(&log, LOG_STDERR, "four\n");
	check("nor of the other stream", log.lost[LOG_LOSS_RATE] == 2);
	check("there is no room to tell", !log_tell(&log));
	log.allowance = 60;
	append(&log, LOG_STDOUT, "five\n");
	log.allowance = 60;
	memset(line, 'l', sizeof(line));
	log_append(&log, LOG_STDOUT, line, sizeof(line));
	append(&log, LOG_STDOUT, "end of the long line\nsix\n");
	log.allowance = 60;
	check("it is told when there is room", log_tell(&log));
	log_close(&log);
	at = read_file(path, &size);
	check("one", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "one") == 0);
	check("two", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "two") == 0);
	snprintf(note, sizeof(note), "berth: 2 log lines were dropped: over the limit of 1 bytes per second");
	check("what is missing", next_entry(&at, "stderr", &text, time) == 'F' && strcmp(text, note) == 0);
	check("five", next_entry(&at, "stdout", &text, time) == 'F' && strcmp(text, "five") == 0);
	check("a long line's part", next_entry(&at, "stdout", &text, time) == 'P' && strlen(text) == LOG_ENTRY_MAX);
	check("is ended", next_entry(&at, "stdout", &text, time) == 'F' && *text == '\0');
	check("what is missing then", next_entry(&at, "stderr", &text, time) == 'F' && strstr(text, ": 2 log lines") != NULL);
	check("there is nothing else", *at == '\0');
	unlink(path);
}

/* The bucket fills with time: slowly enough that no pause of the machine decides. */
static void test_rate_refill(void)
{
	struct log log;
	struct error err;

	check("a log with a limit opens", log_open(&log, path, 1000000, &err) == 0);
	log.allowance = 0;
	for (int patience = 0; patience < 60000 && log.lost[LOG_LOSS_RATE] == log.told[LOG_LOSS_RATE]; patience++)
		append(&log, LOG_STDOUT, "lost\n");
	log.allowance = -100000;
	for (int patience = 0; patience < 60000 && !log_tell(&log); patience++)
		usleep(1000);
	check("after a while lines pass again", log_tell(&log));
	log_close(&log);
	unlink(path);
}

int main(void)
{
	struct log none;
	struct error err;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skipped: needs root and mount namespaces\n");
		return SKIPPED;
	}
	check("a directory", mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/0.log", directory);
	snprintf(rotated, sizeof(rotated), "%s/0.log.1", directory);
	test_lines();
	test_long_lines();
	test_reopen();
	test_failed_reopen();
	test_full_disk();
	test_broken_line();
	test_rate();
	test_rate_refill();
	check("no log is fine", log_open(&none, NULL, 0, &err) == 0);
	append(&none, LOG_STDOUT, "nowhere\n");
	log_close(&none);
	check("the directory is empty", rmdir(directory) == 0);
	return 0;
}

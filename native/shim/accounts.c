#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "paths.h"
#include "../common/scope.h"

/* A group with thousands of members has a line of some 10 KiB; images have been seen with 1 MiB files. */
#define MAX_LINE 65536
#define MAX_FILE (8 * 1024 * 1024)

bool account_id(const char *text, long long *id)
{
	long long value = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
		if (value > MAX_ID)
			return false;
	}
	*id = value;
	return true;
}

static int visit_line(char *line, size_t length, account_visitor visit, void *context, struct error *err)
{
	struct account account = { .count = 0 };
	char *field = line;

	if (length > 0 && line[length - 1] == '\r')
		line[--length] = '\0';
	if (length == 0 || line[0] == '#' || strlen(line) != length)
		return 0;
	while (account.count < 7) {
		char *colon = strchr(field, ':');

		account.fields[account.count++] = field;
		if (colon == NULL)
			break;
		*colon = '\0';
		field = colon + 1;
	}
	return visit(&account, context, err);
}

/* Hands out the whole lines in buffer[0..used); returns what is left of the last one by *used. */
static int visit_lines(char *buffer, size_t *used, bool *skipping, account_visitor visit, void *context,
		       struct error *err)
{
	size_t start = 0;

	for (;;) {
		char *end = memchr(buffer + start, '\n', *used - start);
		size_t length;
		int ret;

		if (end == NULL)
			break;
		*end = '\0';
		length = (size_t)(end - (buffer + start));
		ret = *skipping ? 0 : visit_line(buffer + start, length, visit, context, err);
		*skipping = false;
		if (ret != 0)
			return ret;
		start += length + 1;
	}
	memmove(buffer, buffer + start, *used - start);
	*used -= start;
	return 0;
}

static int visit_file(int fd, const char *path, char *buffer, account_visitor visit, void *context, struct error *err)
{
	bool skipping = false;
	size_t used = 0;
	size_t total = 0;
	int ret;

	for (;;) {
		ssize_t got = read(fd, buffer + used, MAX_LINE - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "user", path, "cannot read it");
		if (got == 0)
			break;
		used += (size_t)got;
		total += (size_t)got;
		if (total > MAX_FILE)
			return error_set(err, EFBIG, "user", path, "larger than %d bytes", MAX_FILE);
		if ((ret = visit_lines(buffer, &used, &skipping, visit, context, err)) != 0)
			return ret;
		if (used == MAX_LINE) {
			skipping = true;
			used = 0;
		}
	}
	if (skipping || used == 0)
		return 0;
	buffer[used] = '\0';
	return visit_line(buffer, used, visit, context, err);
}

/*
 * Opens the file for reading only once it is known to be one: an image can hold a device under this name, and
 * for some (a watchdog, a tape) to be opened is enough. Runs before the pivot, with the host's procfs.
 */
static int open_regular(int root, const char *path, struct error *err)
{
	scope_fd int found = path_open(root, path, O_PATH, 0);
	char link[32];
	struct stat st;
	int fd;

	if (found == -ENOENT || found == -ENOTDIR)
		return -ENOENT;
	if (found < 0) {
		errno = -found;
		return error_errno(err, "user", path, "cannot open it");
	}
	if (fstat(found, &st) < 0)
		return error_errno(err, "user", path, "cannot stat it");
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "user", path, "is not a regular file");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return fd;
	error_errno(err, "user", path, "cannot open it");
	/* Not what "missing" looks like to the caller. */
	return err->code == ENOENT ? -EIO : -err->code;
}

int accounts_visit(int root, const char *path, account_visitor visit, void *context, struct error *err)
{
	scope_fd int fd = open_regular(root, path, err);
	scope_free char *buffer = NULL;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	buffer = malloc(MAX_LINE + 1);
	if (buffer == NULL)
		return error_set(err, ENOMEM, "user", path, "no memory to read it");
	return visit_file(fd, path, buffer, visit, context, err);
}

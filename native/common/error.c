#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_cut(char *to, size_t size, const char *from)
{
	size_t length = from == NULL ? 0 : strnlen(from, size - 1);
	if (length > 0)
		memcpy(to, from, length);
	to[length] = '\0';
}

static void fill(struct error *err, int code, const char *step, const char *path)
{
	err->code = code;
	copy_cut(err->step, sizeof(err->step), step);
	copy_cut(err->path, sizeof(err->path), path);
}

int error_set(struct error *err, int code, const char *step, const char *path, const char *fmt, ...)
{
	va_list args;
	fill(err, code, step, path);
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code > 0 ? -code : -EINVAL;
}

int error_errno(struct error *err, const char *step, const char *path, const char *fmt, ...)
{
	int code = errno;
	va_list args;
	size_t used;

	fill(err, code, step, path);
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(code));
	return code > 0 ? -code : -EIO;
}

const char *error_name(int code)
{
	const char *name = code == 0 ? "" : strerrorname_np(code);
	return name == NULL ? "E?" : name;
}

#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int name_clean(const char *name, char *clean, size_t size, struct error *err)
{
	size_t used = 0;

	for (const char *at = name; *at != '\0';) {
		size_t length = strcspn(at, "/");
		if (length == 2 && at[0] == '.' && at[1] == '.')
			return error_set(err, EXDEV, "entry", name, "the name has `..` in it");
		if (length > 0 && !(length == 1 && at[0] == '.')) {
			/* A slash before, a NUL behind. */
			if (used + 1 + length + 1 > size)
				return error_set(err, ENAMETOOLONG, "entry", name, "the name is longer than %zu bytes", size - 1);
			if (used > 0)
				clean[used++] = '/';
			memcpy(clean + used, at, length);
			used += length;
		}
		at += length;
		at += strspn(at, "/");
	}
	clean[used] = '\0';
	return 0;
}

const char *name_split(const char *path, char *parent, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);

	snprintf(parent, size, "%.*s", (int)length, path);
	return slash == NULL ? path : slash + 1;
}

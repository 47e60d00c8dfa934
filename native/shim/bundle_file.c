/* From a file to a JSON tree, with limits. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle_fields.h"
#include "../common/scope.h"

/* A bundle of a pod with hundreds of mounts and variables is below 200 KiB. */
#define MAX_FILE_SIZE (4 * 1024 * 1024)

static int read_whole(const char *path, char **out, size_t *length, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	scope_free char *text = NULL;
	struct stat st;
	size_t used = 0;

	if (fd < 0)
		return error_errno(err, "bundle", path, "cannot open it");
	if (fstat(fd, &st) < 0)
		return error_errno(err, "bundle", path, "cannot stat it");
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "bundle", path, "not a regular file");
	if (st.st_size > MAX_FILE_SIZE)
		return error_set(err, EFBIG, "bundle", path, "larger than %d bytes", MAX_FILE_SIZE);
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return error_set(err, ENOMEM, "bundle", path, "no memory to read it");
	while (used < (size_t)st.st_size) {
		ssize_t got = read(fd, text + used, (size_t)st.st_size - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "bundle", path, "cannot read it");
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*length = used;
	*out = text;
	text = NULL;
	return 0;
}

int fields_load(const char *path, json_t **out, struct error *err)
{
	scope_free char *text = NULL;
	size_t length = 0;
	json_error_t problem;
	json_t *tree;
	int ret = read_whole(path, &text, &length, err);

	if (ret < 0)
		return ret;
	tree = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
	/*
	 * jansson's integers are signed 64-bit, the OCI spec's rlimits unsigned: 2^64 - 1 (unlimited) does
	 * not fit. Such a file is read again with reals; exact_integer in bundle_fields.c checks exactness.
	 */
	if (tree == NULL && json_error_code(&problem) == json_error_numeric_overflow)
		tree = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
	if (tree == NULL)
		return error_set(err, EINVAL, "bundle", path, "not valid JSON: line %d, column %d: %s", problem.line,
				 problem.column, problem.text);
	if (!json_is_object(tree)) {
		json_decref(tree);
		return error_set(err, EINVAL, "bundle", path, "must hold one JSON object");
	}
	*out = tree;
	return 0;
}

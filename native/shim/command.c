#include "command.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "environment.h"
#include "../common/scope.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	/* The effective ids and capabilities count for execve, not the real ones. */
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* What only execve itself would tell otherwise, too late for an error of create. */
static int check_format(const char *name, const char *path, bool any_format, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char head[256];
	ssize_t length;
	char *interpreter;

	/* A program need not be readable for those who may execute it. */
	if (fd < 0 || (length = read(fd, head, sizeof(head) - 1)) < 0)
		return 0;
	head[length] = '\0';
	if (length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
		return 0;
	if (strncmp(head, "#!", 2) != 0)
		return any_format && length > 0 ? 0 :
						  error_set(err, ENOEXEC, "command", name, "exec: \"%s\": exec format error", name);
	head[strcspn(head, "\n")] = '\0';
	interpreter = head + 2 + strspn(head + 2, " \t");
	interpreter[strcspn(interpreter, " \t")] = '\0';
	if (interpreter[0] != '\0' && strlen(head) < sizeof(head) - 1 && access(interpreter, F_OK) < 0 && errno == ENOENT)
		return error_set(err, ENOENT, "command", name, "exec: \"%s\": its interpreter \"%s\" does not exist", name,
				 interpreter);
	return 0;
}

static int find_in_path(const char *name, const char *list, char path[PATH_MAX])
{
	int worst = -ENOENT;

	while (*list != '\0') {
		size_t length = strcspn(list, ":");
		int ret;

		/* An empty entry would mean the working directory, which a container's user seldom intends. */
		if (length > 0 && snprintf(path, PATH_MAX, "%.*s/%s", (int)length, list, name) < PATH_MAX) {
			ret = check_executable(path);
			if (ret == 0)
				return 0;
			if (ret == -EACCES)
				worst = ret;
		}
		list += length + (list[length] == ':');
	}
	return worst;
}

int command_find(const char *name, char *const *env, bool any_format, char path[PATH_MAX], struct error *err)
{
	const char *list = environment_get(env, "PATH");
	int ret;

	if (strchr(name, '/') == NULL) {
		ret = find_in_path(name, list == NULL ? DEFAULT_PATH : list, path);
		if (ret == -ENOENT)
			return error_set(err, ENOENT, "command", name, "exec: \"%s\": executable file not found in $PATH",
					 name);
	} else {
		ret = snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? check_executable(path) : -ENAMETOOLONG;
	}
	if (ret == -EISDIR)
		return error_set(err, EACCES, "command", name, "exec: \"%s\": is a directory", name);
	if (ret < 0) {
		errno = -ret;
		return error_errno(err, "command", name, "exec: \"%s\"", name);
	}
	return check_format(name, path, any_format, err);
}

int command_execute(const char *path, char *const *args, char *const *env, struct error *err)
{
	execve(path, args, env);
	return error_errno(err, "exec", path, "exec: \"%s\"", args[0]);
}

#include "filesystem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../common/scope.h"

int filesystem_error(int context, const char *step, const char *path, const char *doing, struct error *err)
{
	int code = errno;
	char text[256];
	ssize_t length = read(context, text, sizeof(text) - 1);

	errno = code;
	if (length <= 2)
		return error_errno(err, step, path, "%s", doing);
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	/* A message begins with its level: "e " for an error. */
	return error_errno(err, step, path, "%s: %s", doing, text[1] == ' ' ? text + 2 : text);
}

static int set_option(int context, const char *option, const char *step, const char *path, struct error *err)
{
	char key[64];
	char doing[128];
	const char *equals = strchr(option, '=');
	size_t length = equals == NULL ? strlen(option) : (size_t)(equals - option);
	int ret;

	if (length >= sizeof(key))
		return error_set(err, EINVAL, step, path, "\"%.64s\" is not a mount option", option);
	memcpy(key, option, length);
	key[length] = '\0';
	ret = equals == NULL ? fsconfig(context, FSCONFIG_SET_FLAG, key, NULL, 0) :
			       fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0);
	if (ret == 0)
		return 0;
	snprintf(doing, sizeof(doing), "the mount option \"%.80s\" was refused", option);
	return filesystem_error(context, step, path, doing, err);
}

int filesystem_mount(const char *type, const char *source, char *const *options, uint64_t attributes, const char *step,
		     const char *path, struct error *err)
{
	scope_fd int context = fsopen(type, FSOPEN_CLOEXEC);
	int fd;
	int ret;

	if (context < 0)
		return error_errno(err, step, path, "cannot make a filesystem of type \"%.64s\"", type);
	if (source != NULL && source[0] != '\0' && fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return filesystem_error(context, step, path, "its source was refused", err);
	for (; options != NULL && *options != NULL; options++)
		if ((ret = set_option(context, *options, step, path, err)) < 0)
			return ret;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return filesystem_error(context, step, path, "cannot make the filesystem", err);
	fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned int)attributes);
	if (fd < 0)
		return filesystem_error(context, step, path, "cannot make the mount", err);
	return fd;
}

int filesystem_attach(int mount, int target)
{
	return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

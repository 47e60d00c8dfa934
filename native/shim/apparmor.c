#include "apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/scope.h"

#define NAME_MAX_LENGTH 1000

static bool kernel_has_apparmor(void)
{
	scope_fd int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	char answer = 'N';

	return fd >= 0 && read(fd, &answer, 1) == 1 && answer == 'Y';
}

/* Since Linux 5.8 each security module has files of its own; before, this one owned those that all shared. */
static int open_attribute(struct error *err)
{
	int fd = open("/proc/thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;

	if (fd < 0 && errno == ENOENT)
		fd = open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, "apparmor", "", "cannot open the attribute for the next program");
	if (fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return fd;
	close(fd);
	return error_set(err, EINVAL, "apparmor", "", "/proc is not a procfs");
}

int apparmor_on_exec(const char *profile, struct error *err)
{
	char command[sizeof("exec ") + NAME_MAX_LENGTH];
	scope_fd int fd = -1;
	int length;

	if (!kernel_has_apparmor())
		return error_set(err, EOPNOTSUPP, "apparmor", profile, "the kernel has no AppArmor, or it is switched off");
	length = snprintf(command, sizeof(command), "exec %s", profile);
	if (length >= (int)sizeof(command))
		return error_set(err, ENAMETOOLONG, "apparmor", profile, "the profile's name is too long");
	fd = open_attribute(err);
	if (fd < 0)
		return fd;
	if (write(fd, command, (size_t)length) == length)
		return 0;
	if (errno == ENOENT)
		return error_set(err, ENOENT, "apparmor", profile, "no profile of this name is loaded in the kernel");
	return error_errno(err, "apparmor", profile, "cannot be set");
}

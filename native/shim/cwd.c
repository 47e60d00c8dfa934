#include "cwd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "paths.h"
#include "../common/scope.h"

int cwd_make(int root, const char *path, struct error *err)
{
	scope_fd int fd = path_ensure(root, path, PATH_DIRECTORY);

	/* One that root may not see (a FUSE or NFS volume of the user's) is there, and entered as the user. */
	if (fd >= 0 || fd == -EACCES || fd == -EPERM)
		return 0;
	errno = -fd;
	return error_errno(err, "cwd", path, "cannot open or make the working directory");
}

static int enter(const char *path)
{
	scope_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = root < 0 ? -errno : path_open(root, path, O_PATH | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return fchdir(fd) < 0 ? -errno : 0;
}

/*
 * The C library's getcwd would hide it: for a directory outside the root, as one reached by a leaked
 * descriptor, the kernel's answer begins with "(unreachable)" (CVE-2024-21626).
 */
static int verify(const char *path, struct error *err)
{
	char buffer[PATH_MAX];

	if (syscall(SYS_getcwd, buffer, sizeof(buffer)) < 0)
		return error_errno(err, "cwd", path, "cannot tell the working directory");
	if (buffer[0] != '/')
		return error_set(err, EXDEV, "cwd", path, "the working directory is outside the container's root");
	return 0;
}

static int fail(int code, const char *path, struct error *err)
{
	errno = -code;
	if (code == -ELOOP)
		return error_errno(err, "cwd", path, "cannot enter it (links of procfs such as /proc/self/fd are refused)");
	return error_errno(err, "cwd", path, "cannot enter the working directory");
}

/*
 * Two attempts, because both kinds of directory are in use: those only root may enter (mode 0700, while
 * the user is another one) and those only the user may (NFS with root_squash, FUSE).
 */
int cwd_enter_as_root(const char *path, bool *denied, struct error *err)
{
	int ret = enter(path);

	*denied = ret == -EACCES || ret == -EPERM;
	if (*denied)
		return 0;
	return ret < 0 ? fail(ret, path, err) : verify(path, err);
}

int cwd_enter_as_user(const char *path, bool denied, struct error *err)
{
	int ret = denied ? enter(path) : 0;

	return ret < 0 ? fail(ret, path, err) : verify(path, err);
}

#include "implied.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/scope.h"

/* Among overlayfs' own attributes, which it does not show to anybody: a container is not to find it in its tree. */
#define MARK "trusted.overlay.berth.implied"

/* On a file system without attributes (EOPNOTSUPP) there is no overlay to be made of the layer either. */
void implied_mark(int parent_fd, const char *name)
{
	scope_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		(void)fsetxattr(fd, MARK, "y", 1, 0);
}

void implied_clear(int fd)
{
	(void)fremovexattr(fd, MARK);
}

bool implied_is(int fd)
{
	return fgetxattr(fd, MARK, NULL, 0) >= 0;
}

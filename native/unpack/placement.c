#include "placement.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "../common/scope.h"

#define TOP_OF_HIERARCHY 0x00020000 /* FS_TOPDIR_FL, `chattr +T` */

void placement_spread(const char *dest)
{
	struct statfs file_system;
	int flags;

	scope_fd int fd = open(dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int parent = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fstatfs(parent, &file_system) < 0 || file_system.f_type != EXT4_SUPER_MAGIC)
		return;
	if (ioctl(parent, FS_IOC_GETFLAGS, &flags) < 0 || (flags & TOP_OF_HIERARCHY) != 0)
		return;
	flags |= TOP_OF_HIERARCHY;
	(void)ioctl(parent, FS_IOC_SETFLAGS, &flags);
}

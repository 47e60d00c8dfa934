#include "descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"

static void drop_if_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode) || S_ISBLK(st.st_mode)))
		close(fd);
}

/*
 * Once this process is in the container's PID namespace, another one there with CAP_SYS_PTRACE can open
 * what /proc/PID/fd shows, close-on-exec or not: a directory of the host is a way out (CVE-2016-9962,
 * CVE-2024-21626).
 */
void descriptors_drop_files(int keep)
{
	scope_dir DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (dir == NULL) {
		/* No procfs to list them: the numbers a shim ever uses are small. */
		for (int fd = 3; fd < 1024; fd++)
			if (fd != keep)
				drop_if_file(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

		if (fd >= 3 && fd != keep && fd != dirfd(dir))
			drop_if_file(fd);
	}
}

void descriptors_close_on_exec(void)
{
	/* Since 5.11, older than what the set-up needs anyway. */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
}

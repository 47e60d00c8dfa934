#include "descriptors.h"

#include <linux/close_range.h>
#include <sys/stat.h>
#include <unistd.h>

/* The supervision keeps its few descriptors right above the standard ones. */
#define LIMIT 64

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
	/* By number: a look at /proc/self/fd costs more than the whole range does. */
	for (int fd = 3; fd < LIMIT; fd++)
		if (fd != keep)
			drop_if_file(fd);
	if (keep >= LIMIT) {
		if (keep > LIMIT)
			close_range(LIMIT, (unsigned int)keep - 1, 0);
		close_range((unsigned int)keep + 1, ~0U, 0);
		return;
	}
	close_range(LIMIT, ~0U, 0);
}

void descriptors_close_on_exec(void)
{
	/* Since 5.11, older than what the set-up needs anyway. */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
}

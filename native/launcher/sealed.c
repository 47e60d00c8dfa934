#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"
#include "programs.h"
#include "title.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3; glibc 2.36 does not know it yet */
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int make_memfd(void)
{
	/* Without MFD_EXEC vm.memfd_noexec=1 would make the copy not executable; old kernels know no such flag. */
	int fd = memfd_create("berth-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("berth-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int copy_program(int from, int to, struct error *err)
{
	struct stat info;
	off_t at = 0;

	if (fstat(from, &info) < 0)
		return error_errno(err, "seal", "/proc/self/exe", "fstat");
	while (at < info.st_size) {
		ssize_t copied = sendfile(to, from, &at, (size_t)(info.st_size - at));
		if (copied < 0 && errno == EINTR)
			continue;
		if (copied <= 0)
			return error_errno(err, "seal", "", "copying the program");
	}
	if (fchmod(to, 0500) < 0 || fcntl(to, F_ADD_SEALS, SEALS) < 0)
		return error_errno(err, "seal", "", "sealing the copy");
	return 0;
}

static bool is_sealed(int program)
{
	int seals = fcntl(program, F_GET_SEALS);
	return seals >= 0 && (seals & SEALS) == SEALS;
}

/* A program that was replaced or moved meanwhile has a name that leads nowhere: what needs it will say so. */
static void name_programs(char *out, size_t size)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	snprintf(out, size, PROGRAMS_VARIABLE "=%s", path);
}

int sealed_ensure(char **argv, struct error *err)
{
	char room[sizeof(TITLE_ROOM_VARIABLE) + TITLE_ROOM_SIZE + 1];
	char programs[sizeof(PROGRAMS_VARIABLE) + PATH_MAX];
	char *environment[] = { room, programs, NULL };
	scope_fd int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	scope_fd int copy = -1;
	int result;

	if (program < 0)
		return error_errno(err, "seal", "/proc/self/exe", "open");
	if (is_sealed(program))
		return 0;
	copy = make_memfd();
	if (copy < 0)
		return error_errno(err, "seal", "", "memfd_create");
	result = copy_program(program, copy, err);
	if (result < 0)
		return result;
	/* Nothing of the daemon's environment belongs into a process that containers descend from. */
	memset(room, 'x', sizeof(room));
	memcpy(room, TITLE_ROOM_VARIABLE "=", sizeof(TITLE_ROOM_VARIABLE));
	room[sizeof(room) - 1] = '\0';
	name_programs(programs, sizeof(programs));
	execveat(copy, "", argv, environment, AT_EMPTY_PATH);
	return error_errno(err, "seal", "", "executing the sealed copy");
}

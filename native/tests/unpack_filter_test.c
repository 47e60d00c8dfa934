/* What the unpacker's system call filter takes away, and what it leaves. */
#include "../unpack/filter.c"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

static const long denied[] = {
	SYS_mount, SYS_umount2, SYS_move_mount, SYS_fsopen, SYS_open_tree, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare,
	SYS_bpf, SYS_ptrace, SYS_execve, SYS_socket, SYS_connect, SYS_kexec_load, SYS_init_module, SYS_open_by_handle_at,
	SYS_ioctl, SYS_keyctl, SYS_process_vm_writev, SYS_io_uring_setup, SYS_perf_event_open, SYS_capset, SYS_prctl,
};

/* The number of the first call that is not as it should be; 0 when all are. */
static int probe(void)
{
	struct error err = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install(&err) < 0)
		return 250;
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		errno = 0;
		if (syscall(denied[i], -1, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
			return (int)i + 1;
	}
	int fd = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && close(fd) == 0 ? 0 : 251;
}

int main(void)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0)
		_exit(probe());
	check("the probe ends by itself", waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		printf("probe: %d\n", WEXITSTATUS(status));
	check("only what unpacking needs is left", WEXITSTATUS(status) == 0);
	return 0;
}

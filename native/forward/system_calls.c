#include "system_calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

/* Jumps over the next instruction unless the number is this one. */
#define ALLOW(name)                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),       \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

int system_calls_restrict(struct error *err)
{
/* The sanitizers' own runtime needs more than this; and a machine without a number here has no filter. */
#if defined(FILTER_ARCH) && !defined(__SANITIZE_ADDRESS__)
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(splice),
#ifdef SYS_epoll_wait
		ALLOW(epoll_wait),
#endif
		ALLOW(epoll_pwait),
		ALLOW(epoll_ctl),
		ALLOW(recvfrom),
		ALLOW(sendto),
		ALLOW(accept4),
		ALLOW(connect),
		ALLOW(getsockopt),
		ALLOW(setsockopt),
		ALLOW(shutdown),
		ALLOW(close),
		ALLOW(pipe2),
		ALLOW(clock_gettime),
		ALLOW(brk),
		ALLOW(mmap),
		ALLOW(munmap),
		ALLOW(getrandom),
		ALLOW(unlinkat),
		ALLOW(exit_group),
		ALLOW(restart_syscall),
		/* New sockets speak IP and nothing else. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
		DENY,
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
		DENY,
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof(program) / sizeof(program[0]), .filter = program };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
		return error_errno(err, "forward", "", "restricting system calls");
#else
	(void)err;
#endif
	return 0;
}

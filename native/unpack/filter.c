#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "name this architecture's AUDIT_ARCH"
#endif

static const unsigned int allowed[] = {
	/* the stream and the report */
	SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_close, SYS_fcntl,
	/* the tree */
	SYS_openat, SYS_openat2, SYS_pwrite64, SYS_ftruncate, SYS_lseek, SYS_getdents64, SYS_fstat, SYS_newfstatat,
	SYS_statx, SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_unlinkat, SYS_renameat2, SYS_readlinkat,
	SYS_fchdir,
	/* metadata */
	SYS_fchown, SYS_fchownat, SYS_fchmod, SYS_fchmodat, SYS_fsetxattr, SYS_fgetxattr, SYS_lsetxattr, SYS_fremovexattr, SYS_utimensat,
	/* memory, threads, and what the C library does by itself */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_clone, SYS_clone3, SYS_futex, SYS_rseq,
	SYS_set_robust_list, SYS_gettid, SYS_getpid, SYS_tgkill, SYS_sched_yield, SYS_sched_getaffinity, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_clock_gettime, SYS_getrusage,
	SYS_getrandom,
	SYS_exit, SYS_exit_group,
};

#define COUNT (sizeof(allowed) / sizeof(allowed[0]))

int filter_install(struct error *err)
{
	struct sock_filter program[COUNT + 6];
	unsigned short length = 0;

	program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0);
	program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	/* Each match jumps over what is left, to the last statement. */
	for (size_t i = 0; i < COUNT; i++)
		program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
								 (unsigned char)(COUNT - i), 0);
	program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	const struct sock_fprog filter = { .len = length, .filter = program };
	_Static_assert(COUNT < 255, "the jumps are bytes");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
		return error_errno(err, "confine", "", "cannot restrict the system calls");
	return 0;
}

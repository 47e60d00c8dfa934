#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534
/* A large profile takes 20 MiB and a tenth of a second. */
#define MEMORY_MAX (256UL << 20)
#define SECONDS_MAX 20

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	/* memory, and what the C library does by itself */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit_group),
};

static int limit(void)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
#if !defined(__SANITIZE_ADDRESS__) /* whose shadow is terabytes of address space */
		{ RLIMIT_AS, MEMORY_MAX },
#endif
		{ RLIMIT_CPU, SECONDS_MAX }, { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 0 }, { RLIMIT_NPROC, 0 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct rlimit value = { limits[i].value, limits[i].value };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &value) < 0)
			return -errno;
	}
	return 0;
}

/* Where the machine's root runs it. A user who has no privileges has none to give up. */
static int drop_user(void)
{
	if (geteuid() != 0)
		return 0;
	/* EPERM, EINVAL: a user namespace that has no other user. The filter below holds all the same. */
	if ((setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0) &&
	    errno != EPERM && errno != EINVAL)
		return -errno;
	return 0;
}

int confine(struct error *err)
{
	scmp_filter_ctx filter;
	int ret = limit();

	if (ret == 0)
		ret = drop_user();
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = -errno;
	if (ret < 0)
		return error_set(err, -ret, "confine", "", "cannot give up privileges");
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (filter == NULL)
		return error_set(err, ENOMEM, "confine", "", "no memory for a filter");
	for (size_t i = 0; ret == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (ret == 0)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret < 0 ? error_set(err, -ret, "confine", "", "cannot restrict the system calls") : 0;
}

#include "become.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "credentials.h"
#include "cwd.h"
#include "descriptors.h"
#include "../common/user_namespace.h"

int become_session_leader(bool terminal, struct error *err)
{
	/* EPERM: this process leads a group already; fine if that is its session too. */
	if (setsid() < 0 && (errno != EPERM || getsid(0) != getpid()))
		return error_errno(err, "stdio", "", "cannot make a session");
	if (terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return error_errno(err, "stdio", "", "cannot take the controlling terminal");
	/* Without one of its own, the process could read the keys in the daemon's session keyring. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return error_errno(err, "user", "", "cannot make a session keyring");
	return 0;
}

/*
 * /dev/stdout and its like are opened anew by programs, with the permissions of the pipe or terminal
 * behind them; the shim made those as root. Anything else there (a file, the null device) keeps its owner.
 */
static void give_standard_streams(const struct resolved_user *user)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;
		bool terminal;

		if (fstat(fd, &st) < 0 || st.st_uid == user->uid)
			continue;
		terminal = S_ISCHR(st.st_mode) && isatty(fd);
		if ((S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || terminal) && fchown(fd, user->uid, (gid_t)-1) < 0)
			continue; /* a stream that cannot be reopened is still a stream */
	}
}

int become_container_process(const struct process_spec *process, const struct resolved_user *user,
			     int user_namespace, struct error *err)
{
	bool denied = false;
	int ret;

	/* A hard limit can be raised with the host's privileges alone; directories are the user namespace's to enter. */
	if ((ret = limits_apply(process, err)) < 0 ||
	    (user_namespace >= 0 && (ret = user_namespace_enter(user_namespace, err)) < 0))
		return ret;
	give_standard_streams(user);
	if ((ret = cwd_enter_as_root(process->cwd, &denied, err)) < 0 || (ret = credentials_apply(process, user, err)) < 0)
		return ret;
	return cwd_enter_as_user(process->cwd, denied, err);
}

void become_ready_to_execute(void)
{
	/* The kernel's own struct sigaction, all zero: SIG_DFL. */
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} standard = { 0 };
	sigset_t none;

	/*
	 * Ignored signals stay ignored over exec; SIGPIPE in a shim always is. Past glibc, whose sigaction
	 * refuses its own signals 32 and 33: its posix_spawn leaves those ignored in what it starts.
	 */
	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, &standard, NULL, sizeof(standard.mask));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	descriptors_close_on_exec();
}

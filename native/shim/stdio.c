#include "stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/scope.h"

#define OUTPUT_PIPE_SIZE (256 << 10)

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void stdio_init(struct stdio *stdio)
{
	*stdio = (struct stdio){ .child = { -1, -1, -1 }, .in = -1, .out = -1, .err = -1 };
}

void stdio_close_child(struct stdio *stdio)
{
	for (int i = 0; i < 3; i++)
		close_one(&stdio->child[i]);
}

void stdio_close(struct stdio *stdio)
{
	stdio_close_child(stdio);
	close_one(&stdio->in);
	close_one(&stdio->out);
	close_one(&stdio->err);
}

/* A pipe of which the shim's end is non-blocking and the process's is not. */
static int open_pipe(int *shim_end, int *child_end, bool child_reads, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "stdio", "", "pipe");
	*shim_end = child_reads ? ends[1] : ends[0];
	*child_end = child_reads ? ends[0] : ends[1];
	if (fcntl(*shim_end, F_SETFL, O_NONBLOCK) < 0)
		return error_errno(err, "stdio", "", "fcntl");
	/* Best effort: a program that writes much is not stopped for every 64 KiB. Memory is taken only when used. */
	if (!child_reads)
		(void)fcntl(*shim_end, F_SETPIPE_SZ, OUTPUT_PIPE_SIZE);
	return 0;
}

static int open_pipes(struct stdio *stdio, bool with_stdin, struct error *err)
{
	int result = 0;

	if (with_stdin) {
		result = open_pipe(&stdio->in, &stdio->child[0], true, err);
	} else {
		stdio->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (stdio->child[0] < 0)
			result = error_errno(err, "stdio", "/dev/null", "open");
	}
	result = result < 0 ? result : open_pipe(&stdio->out, &stdio->child[1], false, err);
	return result < 0 ? result : open_pipe(&stdio->err, &stdio->child[2], false, err);
}

static int open_terminal(struct stdio *stdio, int ptmx, struct error *err)
{
	int unlock = 0;

	stdio->out = ptmx;
	if (ioctl(ptmx, TIOCSPTLCK, &unlock) < 0)
		return error_errno(err, "stdio", "", "unlocking the terminal");
	/* By ioctl and not by name: in a container's devpts the name means something else, or an attacker's file. */
	stdio->child[0] = ioctl(ptmx, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (stdio->child[0] < 0)
		return error_errno(err, "stdio", "", "opening the terminal's other side");
	/* A second descriptor, for epoll takes each only once and output and input are watched apart. */
	stdio->in = fcntl(ptmx, F_DUPFD_CLOEXEC, 3);
	if (stdio->in < 0)
		return error_errno(err, "stdio", "", "fcntl");
	return 0;
}

int stdio_open(struct stdio *stdio, bool terminal, bool with_stdin, int ptmx, struct error *err)
{
	int result;

	stdio_init(stdio);
	stdio->terminal = terminal;
	result = terminal ? open_terminal(stdio, ptmx, err) : open_pipes(stdio, with_stdin, err);
	if (result < 0)
		stdio_close(stdio);
	return result;
}

int stdio_host_ptmx(struct error *err)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "stdio", "/dev/ptmx", "opening a terminal") : fd;
}

/* The container may have put anything under this name: only devpts' own multiplexer is opened for real. */
static bool is_ptmx(int fd)
{
	struct statfs filesystem;
	struct stat info;

	return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == DEVPTS_SUPER_MAGIC && fstat(fd, &info) == 0 &&
	       S_ISCHR(info.st_mode) && info.st_rdev == makedev(5, 2);
}

int stdio_container_ptmx(pid_t init, struct error *err)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	char path[64];
	scope_fd int root = -1, found = -1;
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/root", init);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		found = (int)syscall(SYS_openat2, root, "dev/pts/ptmx", &how, sizeof(how));
	if (found >= 0 && is_ptmx(found)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
		fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	}
	return fd >= 0 ? fd : stdio_host_ptmx(err);
}

void stdio_own(const struct stdio *stdio, uid_t uid, gid_t gid)
{
	/* A terminal keeps its group: devpts gives it to tty, which write(1) relies on. */
	if (stdio->terminal) {
		(void)!fchown(stdio->child[0], uid, (gid_t)-1);
		return;
	}
	/* Either end names the pipe's inode. It fails only where nothing is lost but re-opening by name. */
	if (stdio->in >= 0)
		(void)!fchown(stdio->in, uid, gid);
	(void)!fchown(stdio->out, uid, gid);
	(void)!fchown(stdio->err, uid, gid);
}

int stdio_install(const int child[3], bool terminal)
{
	for (int i = 0; i < 3; i++)
		if (dup2(terminal ? child[0] : child[i], i) < 0)
			return -errno;
	if (terminal && ioctl(0, TIOCSCTTY, 0) < 0)
		return -errno;
	return 0;
}

int stdio_resize(int terminal, unsigned short columns, unsigned short rows)
{
	struct winsize size = { .ws_col = columns, .ws_row = rows };
	return terminal >= 0 && ioctl(terminal, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

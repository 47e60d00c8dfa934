/* For bundles that come with a profile and no compiled filter: the compiler is a program of its own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capability_names.h"
#include "seccomp.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "../launcher/programs.h"

struct files {
	int profile, filter, complaint;
};

static int open_files(const char *config, struct files *files, struct error *err)
{
	/* The file itself: our JSON library may have had to read all its integers as reals (bundle_file.c). */
	files->profile = open(config, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (files->profile < 0)
		return error_errno(err, "seccomp", config, "cannot open it");
	files->filter = memfd_create("filter", MFD_CLOEXEC);
	files->complaint = memfd_create("complaint", MFD_CLOEXEC);
	if (files->filter < 0 || files->complaint < 0)
		return error_errno(err, "seccomp", "", "no file in memory");
	return 0;
}

static void close_files(struct files *files)
{
	scope_close_fd(&files->profile);
	scope_close_fd(&files->filter);
	scope_close_fd(&files->complaint);
}

static void list_capabilities(uint64_t capabilities, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (int number = 0; number < 64; number++)
		if ((capabilities & (UINT64_C(1) << number)) != 0 && capability_name(number) != NULL && used < size)
			used += (size_t)snprintf(out + used, size - used, "%sCAP_%s", used == 0 ? "" : ",", capability_name(number));
}

__attribute__((noreturn)) static void child(const char *program, char *capabilities, const struct files *files)
{
	char name[] = "berth-seccomp", config[] = "--config", option[] = "--capabilities";
	char *arguments[] = { name, config, option, capabilities, NULL };
	char *environment[] = { NULL };

	spawn_reset_signals();
	/* The copies are not close-on-exec. The originals have numbers above 2, as the standard streams are taken. */
	if (dup2(files->profile, 0) < 0 || dup2(files->filter, 1) < 0 || dup2(files->complaint, 2) < 0)
		_exit(127);
	close_range(3, ~0U, 0);
	execve(program, arguments, environment);
	dprintf(2, "%s cannot be executed: %s\n", program, strerror(errno));
	_exit(127);
}

static int wait_for(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* The compiler's own words. */
static int fail(int complaint, const char *file, int status, struct error *err)
{
	char text[400];
	ssize_t got = pread(complaint, text, sizeof(text) - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (text[0] == '\0')
		return error_set(err, EINVAL, "seccomp", file, "linux.seccomp: the compiler ended with status %d", status);
	return error_set(err, EINVAL, "seccomp", file, "linux.seccomp: %s", text);
}

static int run(const char *program, uint64_t capabilities, const char *file, const struct files *files, struct error *err)
{
	const struct spawn how = { .cgroup = -1 };
	char list[1024];
	int status = 0;
	int ret;
	pid_t pid;

	list_capabilities(capabilities, list, sizeof(list));
	pid = spawn(&how, NULL);
	if (pid == 0)
		child(program, list, files);
	if (pid < 0)
		return error_set(err, -pid, "seccomp", "", "clone3: %s", strerror(-pid));
	ret = wait_for(pid, &status);
	if (ret < 0)
		return error_set(err, -ret, "seccomp", "", "waiting for the compiler: %s", strerror(-ret));
	return status == 0 ? 0 : fail(files->complaint, file, status, err);
}

int seccomp_compile(const char *file, uint64_t capabilities, struct arena *arena, const struct seccomp_filter **out,
		    struct error *err)
{
	struct files files = { -1, -1, -1 };
	char program[PATH_MAX];
	int ret;

	if (programs_directory()[0] == '\0')
		return error_set(err, ENOENT, "seccomp", file, "linux.seccomp: where berth-seccomp is, is not known");
	if (snprintf(program, sizeof(program), "%s/berth-seccomp", programs_directory()) >= (int)sizeof(program))
		return error_set(err, ENAMETOOLONG, "seccomp", file, "the path of berth-seccomp is too long");
	ret = open_files(file, &files, err);
	if (ret == 0)
		ret = run(program, capabilities, file, &files, err);
	if (ret == 0 && lseek(files.filter, 0, SEEK_SET) < 0)
		ret = error_errno(err, "seccomp", file, "reading the filter");
	if (ret == 0)
		ret = seccomp_read_from(files.filter, file, arena, out, err);
	close_files(&files);
	return ret;
}

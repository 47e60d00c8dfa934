/*
 * Somebody who shares a directory with the container exchanges names in it while the container is set up. Each
 * round must end in a container that is confined, or in a refusal, with the host as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup_support.h"

#define ROUNDS 2000

static struct setup_outcome outcome;

/* Exchanges two names in `directory` as fast as it can. */
static pid_t start_swapping(const char *directory, const char *one, const char *other)
{
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	/* Also when a check ends the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (;;)
		syscall(SYS_renameat2, fd, one, fd, other, RENAME_EXCHANGE);
}

static void stop_swapping(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* `test` is one that a shell makes in the fixture's directory. */
static void expect_unchanged(const char *title, const char *test, const struct setup_fixture *fixture)
{
	char command[256];

	snprintf(command, sizeof(command), "cd %s && %s", fixture->directory, test);
	expect(title, system(command) == 0);
}

/* A refusal has to come from the step that met the exchange, not from somewhere behind it. */
static bool is_refusal(const char *const *steps)
{
	for (; *steps != NULL; steps++)
		if (strcmp(outcome.error.step, *steps) == 0)
			return true;
	return false;
}

/* Both names are tried, as either may lead to the directory. */
static void remove_targets(const char *volume)
{
	static const char *const made[] = { "sub/a/b", "sub/a", "sub/file", "sub/cwd",
					    "other/a/b", "other/a", "other/file", "other/cwd" };
	int fd = open(volume, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		if (unlinkat(fd, made[i], AT_REMOVEDIR) < 0 && errno == ENOTDIR)
			unlinkat(fd, made[i], 0);
	close(fd);
}

static void test_mount_targets(const struct setup_fixture *fixture)
{
	static const char *const steps[] = { "mount", "cwd", NULL };
	char mounts[1024];
	char volume[96];
	struct setup_case what = { .args = "[\"/bin/true\"]", .mounts = mounts, .cwd = "/vol/sub/cwd" };
	int succeeded = 0;
	int refused = 0;
	pid_t swapper;

	setup_shell("mkdir -p %s/vol/sub %s/outside && echo x > %s/fake && ln -s ../../../../../../..%s/outside %s/vol/other",
		    fixture->directory, fixture->directory, fixture->directory, fixture->directory, fixture->directory);
	snprintf(volume, sizeof(volume), "%s/vol", fixture->directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/vol\",\"source\":\"%s/vol\",\"options\":[\"rbind\"]}"
		 ",{\"destination\":\"/vol/sub/a/b\",\"source\":\"/\",\"options\":[\"bind\"]}"
		 ",{\"destination\":\"/vol/sub/file\",\"source\":\"%s/fake\",\"options\":[\"bind\"]}",
		 fixture->directory, fixture->directory);
	swapper = start_swapping(volume, "sub", "other");
	for (int round = 0; round < ROUNDS; round++) {
		remove_targets(volume);
		setup_run(fixture, &what, &outcome);
		succeeded += outcome.created;
		refused += !outcome.created && is_refusal(steps);
	}
	stop_swapping(swapper);
	printf("  mount targets: %d set-ups succeeded, %d were refused\n", succeeded, refused);
	expect("every round ended", succeeded + refused == ROUNDS && succeeded > 0);
	expect_unchanged("no exchange of a mount's target led outside", "test -z \"$(ls -A outside)\"", fixture);
	setup_reset(fixture);
}

/* The null device that masks are made of, and the console, are exchanged with a file that must not be shown. */
static void test_masks(const struct setup_fixture *fixture)
{
	static const char *const steps[] = { "mask", NULL };
	char mounts[512];
	char dev[96];
	struct setup_case what = { .args = "[\"/bin/cat\",\"/etc/group\"]",
				   .mounts = mounts,
				   .terminal = true,
				   .linux_members = "\"maskedPaths\":[\"/etc/group\"]," };
	int masked = 0;
	int refused = 0;
	pid_t swappers[2];

	setup_shell("mkdir %s/dev && mknod %s/dev/null c 1 3 && chmod 666 %s/dev/null && echo secret > %s/dev/leak && "
		    "ln -s /etc/passwd %s/dev/link && : > %s/dev/console",
		    fixture->directory, fixture->directory, fixture->directory, fixture->directory, fixture->directory,
		    fixture->directory);
	snprintf(dev, sizeof(dev), "%s/dev", fixture->directory);
	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/dev\",\"source\":\"%s\",\"options\":[\"bind\"]}", dev);
	swappers[0] = start_swapping(dev, "null", "leak");
	swappers[1] = start_swapping(dev, "console", "link");
	for (int round = 0; round < ROUNDS; round++) {
		setup_run(fixture, &what, &outcome);
		masked += outcome.created && outcome.output[0] == '\0';
		refused += !outcome.created && is_refusal(steps);
		if (outcome.created && outcome.output[0] != '\0')
			printf("  shown: %s\n", outcome.output);
	}
	stop_swapping(swappers[0]);
	stop_swapping(swappers[1]);
	printf("  masks: %d set-ups masked, %d were refused\n", masked, refused);
	expect("each container had the file masked, or was refused", masked + refused == ROUNDS && masked > 0 && refused > 0);
}

/* /proc of a root that is shared is exchanged with a link to a directory that looks like procfs. */
static void test_procfs(const struct setup_fixture *fixture)
{
	static const char *const steps[] = { "mount", "sysctl", "command", "readonly", "mask", "pivot", NULL };
	struct setup_case what = { .args = "[\"/bin/true\"]",
				   .plain = true,
				   .linux_members = "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},"
						    "\"maskedPaths\":[\"/proc/keys\"],\"readonlyPaths\":[\"/proc/sys\"]," };
	int succeeded = 0;
	int refused = 0;
	pid_t swapper;

	setup_shell("cd %s/layer && mkdir -p proc dev sys look/sys/net/ipv4 look/self && echo untouched > look/sys/net/ipv4/ip_forward && "
		    "echo untouched > look/keys && ln -s look proclink",
		    fixture->directory);
	swapper = start_swapping(fixture->layer, "proc", "proclink");
	for (int round = 0; round < ROUNDS; round++) {
		setup_run(fixture, &what, &outcome);
		succeeded += outcome.created;
		refused += !outcome.created && is_refusal(steps);
		if (!outcome.created && !is_refusal(steps))
			printf("  %s %s: %s\n", outcome.error.step, outcome.error.path, outcome.error.message);
	}
	stop_swapping(swapper);
	printf("  procfs: %d set-ups succeeded, %d were refused\n", succeeded, refused);
	expect("every round ended", succeeded + refused == ROUNDS && succeeded > 0 && refused > 0);
	expect_unchanged("no write for procfs went elsewhere",
			 "test \"$(cat layer/look/sys/net/ipv4/ip_forward)\" = untouched", fixture);
}

/* Freed memory that is kept for diagnosis would be copied with every fork of a round. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

/* Side by side: most of a round is waiting for the kernel to let go of mounts and namespaces. */
int main(void)
{
	static void (*const tests[])(const struct setup_fixture *) = { test_mount_targets, test_masks, test_procfs };
	struct setup_fixture fixture;
	bool passed = true;
	int status;

	setup_require_root();
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (fork() != 0)
			continue;
		setup_begin(&fixture);
		tests[i](&fixture);
		setup_end(&fixture);
		exit(0);
	}
	while (wait(&status) > 0)
		passed = passed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	expect("all of it", passed);
	return 0;
}

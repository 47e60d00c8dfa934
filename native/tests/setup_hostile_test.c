/* Images, volumes and neighbours that want out: each must be confined or refused, and the host unchanged. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "setup_support.h"

static struct setup_outcome outcome;

static void expect_outside_empty(const char *title, const struct setup_fixture *fixture)
{
	char command[256];

	snprintf(command, sizeof(command), "test -z \"$(ls -A %s/outside)\"", fixture->directory);
	expect(title, system(command) == 0);
}

static void test_links(const struct setup_fixture *fixture)
{
	char mounts[1024];
	struct setup_case what = {
		.script = "cat /proc/self/mountinfo; ls -d /etc/made/here; ls /secret",
		.mounts = mounts,
		.linux_members = "\"devices\":[{\"path\":\"/out/device\",\"type\":\"c\",\"major\":1,\"minor\":3}],",
		.cwd = "/out/cwd",
	};

	setup_shell("mkdir %s/outside && ln -s / %s/slash && ln -s %s/outside %s/out && "
		    "ln -s ../../../../../../../../../../..%s/outside %s/up && ln -s loop %s/loop",
		    fixture->directory, fixture->layer, fixture->directory, fixture->layer, fixture->directory, fixture->layer,
		    fixture->layer);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/slash/etc/made/here\",\"type\":\"tmpfs\",\"options\":[]}"
		 ",{\"destination\":\"/out/one\",\"type\":\"tmpfs\",\"options\":[]}"
		 ",{\"destination\":\"/up/two/../three\",\"type\":\"tmpfs\",\"options\":[]}"
		 ",{\"destination\":\"/../../../four\",\"type\":\"tmpfs\",\"options\":[]}");
	setup_run(fixture, &what, &outcome);
	expect_output("a link to / is the root", &outcome, " / /etc/made/here ");
	expect_output("a link to the host's path stays inside", &outcome, "/outside/one rw");
	expect_output("dot-dot stays inside", &outcome, "/outside/three rw");
	expect_output("dot-dot at the root stays inside", &outcome, " /four rw");
	expect_outside_empty("nothing was made outside", fixture);
	what.mounts = ",{\"destination\":\"/slash\",\"type\":\"tmpfs\",\"options\":[]}";
	setup_run(fixture, &what, &outcome);
	expect_error("a link to the root is no place to mount", &outcome, "mount", EPERM, "over the root");
	what.mounts = ",{\"destination\":\"/loop/x\",\"type\":\"tmpfs\",\"options\":[]}";
	setup_run(fixture, &what, &outcome);
	expect_error("a loop of links ends", &outcome, "mount", ELOOP, "");
	setup_reset(fixture);
}

static void test_procfs(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "cat /proc/cpuinfo" };
	char mounts[512];

	what.mounts = ",{\"destination\":\"/proc/sys/kernel\",\"type\":\"tmpfs\",\"options\":[]}";
	setup_run(fixture, &what, &outcome);
	expect_error("a mount over a part of procfs", &outcome, "mount", EPERM, "procfs");
	setup_shell("ln -s /proc/self/attr %s/innocent", fixture->layer);
	what.mounts = ",{\"destination\":\"/innocent\",\"type\":\"tmpfs\",\"options\":[]}";
	setup_run(fixture, &what, &outcome);
	expect_error("a link into procfs", &outcome, "mount", EPERM, "procfs");
	setup_shell("echo fake-cpu > %s/fake", fixture->directory);
	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/proc/cpuinfo\",\"source\":\"%s/fake\",\"options\":[\"bind\"]}",
		 fixture->directory);
	what.mounts = mounts;
	setup_run(fixture, &what, &outcome);
	expect_output("what lxcfs covers may be covered", &outcome, "fake-cpu");
	setup_shell("mkdir %s/else && ln -s else %s/proc", fixture->layer, fixture->layer);
	what.mounts = NULL;
	setup_reset(fixture);
	setup_run(fixture, &what, &outcome);
	expect_error("an image whose /proc is a link", &outcome, "mount", ELOOP, "");
	setup_shell("rm %s/proc", fixture->layer);
	setup_reset(fixture);
}

static void test_null_device(const struct setup_fixture *fixture)
{
	char mounts[512];
	struct setup_case what = { .script = "true",
				   .mounts = mounts,
				   .linux_members = "\"maskedPaths\":[\"/etc/group\"]," };

	setup_shell("mkdir %s/dev && echo fake > %s/dev/null", fixture->directory, fixture->directory);
	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/dev\",\"source\":\"%s/dev\",\"options\":[\"bind\"]}",
		 fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("a null device that is none", &outcome, "mask", ENODEV, "null device");
	setup_shell("rm %s/dev/null && ln -s /etc/passwd %s/dev/null", fixture->directory, fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("a null device that is a link", &outcome, "mask", ELOOP, "null device");
}

static void test_cwd(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "pwd; ls -id /", .cwd = "/proc/self/fd/7" };
	int leak = open("/", O_RDONLY | O_DIRECTORY); /* without O_CLOEXEC, as in CVE-2024-21626 */

	dup2(leak, 7);
	if (leak != 7)
		close(leak);
	setup_run(fixture, &what, &outcome);
	expect("a leaked descriptor as working directory is refused",
	       !outcome.created && strcmp(outcome.error.step, "cwd") == 0);
	setup_shell("ln -s /proc/self/fd/7/etc %s/cwdlink", fixture->layer);
	what.cwd = "/cwdlink";
	setup_run(fixture, &what, &outcome);
	expect("so is a link to one", !outcome.created && strcmp(outcome.error.step, "cwd") == 0);
	what.cwd = "/proc/self/root/etc";
	setup_run(fixture, &what, &outcome);
	expect_error("and any link of procfs", &outcome, "cwd", ELOOP, "");
	what.cwd = "/";
	what.script = "ls /proc/self/fd | tr '\\n' ' '";
	setup_run(fixture, &what, &outcome);
	expect_no_output("the leaked descriptor is not inherited", &outcome, "7");
	close(7);
	setup_shell("mkdir -m 700 %s/rootonly && mkdir -m 700 %s/useronly && chown 1000 %s/useronly", fixture->layer,
		    fixture->layer, fixture->layer);
	what.script = "pwd; ls; true";
	what.process = "\"user\":{\"uid\":1000,\"gid\":1000},";
	what.cwd = "/rootonly";
	setup_run(fixture, &what, &outcome);
	expect_exit("a directory only root may enter", &outcome, 0);
	what.cwd = "/useronly";
	setup_run(fixture, &what, &outcome);
	expect_output("a directory only the user may enter", &outcome, "/useronly\n");
	what.cwd = "/etc/passwd";
	setup_run(fixture, &what, &outcome);
	expect_error("a file is no working directory", &outcome, "cwd", ENOTDIR, "");
}

static void test_commands(const struct setup_fixture *fixture)
{
	struct setup_case what = { .args = "[\"nope\"]" };

	setup_run(fixture, &what, &outcome);
	expect_error("an unknown program", &outcome, "command", ENOENT, "exec: \"nope\": executable file not found in $PATH");
	what.args = "[\"/bin/nope\",\"x\"]";
	setup_run(fixture, &what, &outcome);
	expect_error("an unknown path", &outcome, "command", ENOENT, "exec: \"/bin/nope\": No such file");
	what.args = "[\"/etc/passwd\"]";
	setup_run(fixture, &what, &outcome);
	expect_error("a file without x", &outcome, "command", EACCES, "Permission denied");
	what.args = "[\"/etc\"]";
	setup_run(fixture, &what, &outcome);
	expect_error("a directory", &outcome, "command", EACCES, "is a directory");
	setup_layer_file(fixture, "bin/empty", "", 0755);
	setup_layer_file(fixture, "bin/script", "#! /no/such/shell -x\necho\n", 0755);
	setup_layer_file(fixture, "bin/rootonly", "#!/bin/sh\necho\n", 0700);
	what.args = "[\"empty\"]";
	setup_run(fixture, &what, &outcome);
	expect_error("an empty file", &outcome, "command", ENOEXEC, "exec format error");
	what.args = "[\"script\"]";
	setup_run(fixture, &what, &outcome);
	expect_error("a script without its interpreter", &outcome, "command", ENOENT, "/no/such/shell");
	what.args = "[\"rootonly\"]";
	setup_run(fixture, &what, &outcome);
	expect_exit("root may", &outcome, 0);
	what.process = "\"user\":{\"uid\":1000,\"gid\":1000},";
	setup_run(fixture, &what, &outcome);
	expect_error("the user's permissions count", &outcome, "command", EACCES, "Permission denied");
}

static void test_resources(const struct setup_fixture *fixture)
{
	struct setup_case what = { .mounts = ",{\"destination\":\"/x\",\"source\":\"/no/such/source\",\"options\":[\"bind\"]}" };

	setup_run(fixture, &what, &outcome);
	expect_error("a source that does not exist", &outcome, "mount", ENOENT, "/no/such/source");
	expect("the path is the destination", strcmp(outcome.error.path, "/x") == 0);
	what.mounts = ",{\"destination\":\"/etc/passwd\",\"type\":\"tmpfs\"}";
	setup_run(fixture, &what, &outcome);
	expect_error("a directory over a file", &outcome, "mount", ENOTDIR, "");
	what.mounts = ",{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"size=nonsense\"]}";
	setup_run(fixture, &what, &outcome);
	expect_error("a bad option", &outcome, "mount", EINVAL, "size=nonsense");
	what.mounts = ",{\"destination\":\"/x\",\"type\":\"nosuchfs\"}";
	setup_run(fixture, &what, &outcome);
	expect_error("an unknown filesystem", &outcome, "mount", ENODEV, "nosuchfs");
	what.mounts = NULL;
	/* Above fs.nr_open even CAP_SYS_RESOURCE does not help. */
	what.process = "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":9007199254740992}],";
	setup_run(fixture, &what, &outcome);
	expect_error("a limit that cannot be raised", &outcome, "rlimit", EPERM, "hard limit");
	expect("the path is the limit", strcmp(outcome.error.path, "RLIMIT_NOFILE") == 0);
	what.process = NULL;
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"ipc\",\"path\":\"/proc/self/ns/net\"}]";
	setup_run(fixture, &what, &outcome);
	expect_error("a namespace of another type", &outcome, "namespace", EINVAL, "another type");
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"network\",\"path\":\"/dev/null\"}]";
	setup_run(fixture, &what, &outcome);
	expect_error("a file that is no namespace", &outcome, "namespace", EINVAL, "not a namespace");
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	test_links(&fixture);
	test_procfs(&fixture);
	test_null_device(&fixture);
	test_cwd(&fixture);
	test_commands(&fixture);
	test_resources(&fixture);
	setup_end(&fixture);
	return 0;
}

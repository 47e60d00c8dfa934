/* A second process in a running container. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "setup_support.h"

static struct setup_outcome outcome;

static void test_inside(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.args = "[\"/bin/sleep\",\"100\"]",
		.exec = "for n in mnt net ipc uts cgroup pid; do echo $n $(test $(readlink /proc/self/ns/$n) = "
			"$(readlink /proc/1/ns/$n) && echo same); done; ls /proc/self/fd | tr '\\n' ' '; id -u; pwd; "
			"grep -E '^(CapBnd|CapEff|NoNewPrivs|SigIgn|Groups)' /proc/self/status; echo HOME=$HOME; ulimit -n; exit 7",
		.process = "\"noNewPrivileges\":true,\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":200}],"
			   "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\"],\"effective\":[\"CAP_CHOWN\"],"
			   "\"permitted\":[\"CAP_CHOWN\"]},",
		.berth = ",\"user\":{\"spec\":\"alice\"}",
		.cwd = "/etc",
	};
	/* Directories, files and namespaces that the shim might leave open. */
	int leaks[] = { open("/", O_RDONLY | O_DIRECTORY), open("/etc/passwd", O_RDONLY), open("/proc/self/ns/net", O_RDONLY) };

	setup_run(fixture, &what, &outcome);
	expect_exit("the exit code", &outcome, 7);
	expect_output("all namespaces", &outcome, "mnt same\nnet same\nipc same\nuts same\ncgroup same\npid same\n");
	expect_output("no descriptor of the host", &outcome, "0 1 2 3 1000\n/etc\n");
	expect_output("the bounding set", &outcome, "CapBnd:\t0000000000000001");
	expect_output("no effective capability for a user", &outcome, "CapEff:\t0000000000000000");
	expect_output("no_new_privs", &outcome, "NoNewPrivs:\t1");
	expect_output("no signal is ignored", &outcome, "SigIgn:\t0000000000000000");
	expect_output("groups", &outcome, "Groups:\t29 44 1001");
	expect_output("home and limit", &outcome, "HOME=/home/alice\n100\n");
	for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++)
		close(leaks[i]);
}

static void test_partial(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.args = "[\"/bin/sleep\",\"100\"]",
		.exec = "hostname > /dev/null; readlink /proc/self/ns/net; ls /bin/busybox",
		.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"}]",
		.mounts = NULL,
	};
	char host[64] = "";
	ssize_t length = readlink("/proc/self/ns/net", host, sizeof(host) - 1);

	expect("the host's namespace", length > 0);
	/* A cgroup mount needs a namespace or a cgroup, so here it is refused. */
	setup_run(fixture, &what, &outcome);
	expect_error("a cgroup mount without either", &outcome, "mount", EINVAL, "cgroup");
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"cgroup\"}]";
	setup_run(fixture, &what, &outcome);
	expect_exit("a container with the host's network", &outcome, 0);
	expect_output("stays in it", &outcome, host);
}

/* The container replaces its working directory after the start. */
static void test_hostile(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "rmdir /place; ln -s /proc/1/root /place; touch /ready; sleep 100",
		.exec = "true",
		.exec_after = "ready",
		.cwd = "/place",
	};

	setup_run(fixture, &what, &outcome);
	expect_error("a working directory that became a link of procfs", &outcome, "cwd", ELOOP, "procfs");
	setup_reset(fixture);
	what.script = "rm /bin/sh; touch /ready; while true; do sleep 1; done";
	what.cwd = "/";
	setup_run(fixture, &what, &outcome);
	expect_error("a program that went away", &outcome, "command", ENOENT, "/bin/sh");
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	test_inside(&fixture);
	test_partial(&fixture);
	test_hostile(&fixture);
	setup_end(&fixture);
	return 0;
}

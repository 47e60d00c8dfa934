/* A container in namespaces that somebody else made, as those of a pod; and on a host whose mounts are shared. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup_support.h"

static struct setup_outcome outcome;

/* A process that holds new namespaces, named "pod", with itself as process 1. */
static pid_t start_pod(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		exit(1);
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL,
			     NULL);
	if (pid == 0) {
		if (sethostname("pod", 3) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	expect("a pod to join", pid > 0 && read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void read_namespace(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	length = readlink(path, text, size - 1);
	text[length < 0 ? 0 : length] = '\0';
}

static void test_pod(const struct setup_fixture *fixture)
{
	static const char *const names[] = { "net", "ipc", "uts", "pid" };
	char namespaces[1024];
	pid_t pod = start_pod();
	struct setup_case what = {
		.script = "hostname; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; echo self=$$; "
			  "test -d /proc/1 && echo init; cat /sys/class/net/lo/ifindex",
		.namespaces = namespaces,
	};

	snprintf(namespaces, sizeof(namespaces),
		 "[{\"type\":\"mount\"},{\"type\":\"cgroup\"},{\"type\":\"pid\",\"path\":\"/proc/%d/ns/pid\"},"
		 "{\"type\":\"network\",\"path\":\"/proc/%d/ns/net\"},{\"type\":\"ipc\",\"path\":\"/proc/%d/ns/ipc\"},"
		 "{\"type\":\"uts\",\"path\":\"/proc/%d/ns/uts\"}]",
		 pod, pod, pod, pod);
	setup_run(fixture, &what, &outcome);
	expect_exit("a container joins", &outcome, 0);
	expect_output("the pod's name", &outcome, "pod\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char link[64];

		read_namespace(pod, names[i], link, sizeof(link));
		expect_output(names[i], &outcome, link);
	}
	expect_output("the pod's processes are seen", &outcome, "init");
	expect_no_output("the container is not process 1", &outcome, "self=1\n");
	kill(pod, SIGKILL);
	/* This process's children would still be born in that PID namespace, which is dead now: the last test. */
	waitpid(pod, NULL, 0);
}

/* As on a systemd host: the mounts the bundle and the layers lie on are shared. */
static void test_shared_host(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "cat /proc/self/mountinfo",
		.mounts = ",{\"destination\":\"/scratch\",\"type\":\"tmpfs\",\"source\":\"leak-me\"}",
	};

	expect("the host's mounts are shared", mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	setup_run(fixture, &what, &outcome);
	expect_exit("a container there", &outcome, 0);
	expect_no_output("shares nothing", &outcome, "shared:");
	expect_no_output("follows nothing", &outcome, "master:");
	setup_reset(fixture);
	what.plain = true;
	setup_run(fixture, &what, &outcome);
	expect_exit("a plain one", &outcome, 0);
	expect_no_output("shares nothing", &outcome, "shared:");
	expect_no_output("follows nothing", &outcome, "master:");
	setup_shell("! grep -E 'leak-me|%s/bundle' /proc/self/mountinfo", fixture->directory);
	expect("back", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	setup_reset(fixture);
}

static bool find_cgroup2(char *path, size_t size)
{
	static const char *const places[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	char procs[128];

	for (size_t i = 0; i < 2; i++) {
		snprintf(procs, sizeof(procs), "%s/cgroup.controllers", places[i]);
		if (access(procs, F_OK) == 0) {
			snprintf(path, size, "%s/berth-setup-test-%d", places[i], getpid());
			return true;
		}
	}
	return false;
}

/* Without a cgroup namespace a container sees its own cgroup and no other. */
static void test_cgroup(const struct setup_fixture *fixture)
{
	char directory[128];
	char berth[256];
	struct setup_case what = {
		.script = "cat /sys/fs/cgroup/cgroup.procs | wc -l; grep cgroup2 /proc/self/mountinfo; mkdir /sys/fs/cgroup/x",
		.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"}]",
		.berth = berth,
	};

	if (!find_cgroup2(directory, sizeof(directory))) {
		printf("skipped: no cgroup2 hierarchy\n");
		return;
	}
	expect("a cgroup", mkdir(directory, 0755) == 0);
	snprintf(berth, sizeof(berth), ",\"cgroup\":\"%s\"", directory);
	setup_run(fixture, &what, &outcome);
	rmdir(directory);
	expect_output("its own cgroup", &outcome, strrchr(directory, '/'));
	expect_output("read-only", &outcome, "Read-only file system");
	setup_reset(fixture);
	snprintf(berth, sizeof(berth), ",\"cgroup\":\"%s\"", fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("a directory that is no cgroup", &outcome, "mount", EINVAL, "not in a cgroup2 filesystem");
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	test_shared_host(&fixture);
	test_cgroup(&fixture);
	test_pod(&fixture);
	setup_end(&fixture);
	/* The leak check at exit makes a thread, which cannot be born in the dead PID namespace. */
	fflush(stdout);
	_exit(0);
}

/* The process that keeps a scope: held, confined to nothing open, ended by a signal or by itself. */
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../launcher/hold.h"
#include "check.h"
#include "peer.h"

#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct message reply;

static bool gone(pid_t pid)
{
	for (int i = 0; i < 5000; i++) {
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return true;
		usleep(1000);
	}
	return false;
}

static bool named(pid_t pid, const char *name)
{
	char path[64], comm[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	for (int i = 0; i < 5000 && strcmp(comm, name) != 0; i++) {
		ssize_t got;

		fd = open(path, O_RDONLY | O_CLOEXEC);
		got = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);
		if (fd >= 0)
			close(fd);
		comm[got < 1 ? 0 : got - 1] = '\0';
		usleep(1000);
	}
	return strcmp(comm, name) == 0;
}

static bool without_descriptors(pid_t pid)
{
	char path[64];

	for (int i = 0; i < 5000; i++) {
		char target[64];

		snprintf(path, sizeof(path), "/proc/%d/fd/3", pid);
		if (readlink(path, target, sizeof(target)) < 0 && errno == ENOENT)
			return true;
		usleep(1000);
	}
	return false;
}

static pid_t hold(struct peer *peer)
{
	peer_call(peer, MESSAGE_HOLD, json_pack("{s:s}", "id", ID), &reply);
	check("a process is held", reply.type == MESSAGE_OK && message_number(&reply, "pid") > 0);
	return (pid_t)message_number(&reply, "pid");
}

static void test_launcher(void)
{
	struct peer peer;
	pid_t launcher = peer_launcher(&peer), one = hold(&peer), two = hold(&peer);
	int status;

	check("with a name of its own", named(one, "berth-hold"));
	check("and without the way to berthd", without_descriptors(one));
	kill(one, SIGTERM);
	check("it ends on SIGTERM", gone(one));
	peer_call(&peer, MESSAGE_HOLD, json_pack("{s:s}", "id", "../x"), &reply);
	check("an id that is none", message_is_error(&reply, "protocol", EINVAL));
	peer_close(&peer);
	check("the launcher leaves", waitpid(launcher, &status, 0) == launcher && status == 0);
	check("and the other stays", kill(two, 0) == 0);
	kill(two, SIGKILL);
	check("until it is killed", gone(two));
}

/* It sleeps for the first time once it has read its cgroup. */
static bool asleep(pid_t pid)
{
	char path[64], state = '?';

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 5000 && state != 'S'; i++) {
		FILE *file = fopen(path, "re");

		if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		if (file != NULL)
			fclose(file);
		usleep(1000);
	}
	return state == 'S';
}

/* A cgroup that cannot be made leaves the first half of the test: the process that stays where it was. */
static void test_patience(void)
{
	char cgroup[256], path[300], text[16];
	bool movable = test_cgroup(cgroup, sizeof(cgroup));
	pid_t stays = fork(), moved = stays == 0 ? 0 : fork();
	int status, fd;

	if (stays == 0 || moved == 0)
		hold_live(stays == 0 ? 1 : 2);
	if (movable) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
		snprintf(text, sizeof(text), "%d", moved);
		check("the other has looked where it is", asleep(moved));
		fd = open(path, O_WRONLY | O_CLOEXEC);
		check("the other is moved", fd >= 0 && write(fd, text, strlen(text)) > 0);
		close(fd);
	}
	check("one that nobody moves ends by itself", waitpid(stays, &status, 0) == stays && status == 0);
	sleep(3);
	check("one that was moved goes on", !movable || waitpid(moved, &status, WNOHANG) == 0);
	kill(moved, SIGKILL);
	waitpid(moved, &status, 0);
	check("nothing is left", !movable || rmdir(cgroup) == 0);
}

int main(void)
{
	test_launcher();
	test_patience();
	message_free(&reply);
	return 0;
}

/* berth-notify against a socket of our own in systemd's place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/scope.h"

static void check(int good, const char *what)
{
	printf("%s %s\n", good ? "ok" : "NOT OK", what);
	if (!good)
		exit(1);
}

static pid_t start(const char *socket_name, char *const *arguments)
{
	const char *build = getenv("BERTH_BUILD");
	char program[PATH_MAX];

	snprintf(program, sizeof(program), "%s/berth-notify", build == NULL ? "." : build);
	fflush(stdout);
	pid_t child = fork();
	if (child != 0)
		return child;
	if (socket_name == NULL)
		unsetenv("NOTIFY_SOCKET");
	else
		setenv("NOTIFY_SOCKET", socket_name, 1);
	execv(program, arguments);
	_exit(127);
}

static int exit_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Binds a datagram socket; `name` beginning with @ is abstract. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@'))) == 0,
	      "a socket to receive on");
	return fd;
}

/* Receives one datagram as text; returns the descriptor that came with it, or -1. */
static int receive(int fd, char *text, size_t size)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec io = {.iov_base = text, .iov_len = size - 1};
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	int passed = -1;

	check(length >= 0, "a datagram arrives");
	text[length] = '\0';
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header != NULL && header->cmsg_type == SCM_RIGHTS)
		memcpy(&passed, CMSG_DATA(header), sizeof(passed));
	return passed;
}

static void test_message(const char *name)
{
	char *arguments[] = {"berth-notify", "READY=1", "STATUS=serving CRI", NULL};
	char text[256];
	scope_fd int fd = listen_at(name);
	pid_t child = start(name, arguments);

	check(receive(fd, text, sizeof(text)) < 0, "the message carries no descriptor");
	check(strcmp(text, "READY=1\nSTATUS=serving CRI\n") == 0, "the message is what was said");
	int barrier = receive(fd, text, sizeof(text));
	check(strcmp(text, "BARRIER=1") == 0 && barrier >= 0, "a barrier follows, with a descriptor");
	check(waitpid(child, NULL, WNOHANG) == 0, "it waits while the barrier is open");
	close(barrier);
	check(exit_of(child) == 0, "and succeeds once it is closed");
}

static void test_refusals(const char *nowhere)
{
	char *message[] = {"berth-notify", "READY=1", NULL};
	char *nothing[] = {"berth-notify", NULL};
	char *too_long[] = {"berth-notify", NULL, NULL};
	char long_text[5000];
	char long_path[200];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	too_long[1] = long_text;
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	check(exit_of(start(NULL, message)) == 0, "without a service manager nothing happens");
	check(exit_of(start("", message)) == 0, "nor with an empty NOTIFY_SOCKET");
	check(exit_of(start(nowhere, message)) == 1, "a socket that is not there is a failure");
	check(exit_of(start("relative", message)) == 1, "a relative name is refused");
	check(exit_of(start(long_path, message)) == 1, "a name that is too long is refused");
	check(exit_of(start(nowhere, too_long)) == 1, "a message that is too long is refused");
	check(exit_of(start(nowhere, nothing)) == 1, "nothing to say is wrong usage");
}

int main(void)
{
	char directory[] = "/tmp/berth-notify-XXXXXX";
	char path[sizeof(directory) + 16];
	char abstract[64];

	check(mkdtemp(directory) != NULL, "a directory");
	snprintf(path, sizeof(path), "%s/notify", directory);
	snprintf(abstract, sizeof(abstract), "@berth-notify-test-%d", (int)getpid());
	test_refusals(path);
	test_message(path);
	test_message(abstract);
	check(unlink(path) == 0 && rmdir(directory) == 0, "nothing is left");
	return 0;
}

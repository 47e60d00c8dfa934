/*
 * Tells systemd what berthd is doing: `berth-notify READY=1 STATUS=...`, one assignment per argument.
 *
 * The protocol is one datagram to the Unix socket named by NOTIFY_SOCKET (sd_notify(3)); Node has no
 * datagram Unix sockets, hence this program. systemd finds out which unit a message is from by the cgroup of
 * its sender, while the sender is alive. So, after the message, a BARRIER=1 datagram follows with the write
 * end of a pipe: systemd closes it once it has handled everything before, and only then do we exit
 * (sd_notify_barrier(3), systemd 246). The unit needs NotifyAccess=all.
 *
 * Exit status: 0 when systemd has handled the message, or when there is no NOTIFY_SOCKET; 1 otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/scope.h"

enum {
	MESSAGE_MAX = 4096,
	/* systemd's own sd_notify_barrier callers wait 5 s as well. */
	BARRIER_TIMEOUT_MS = 5000,
};

/* Joins the arguments with newlines. Returns the length, or -E2BIG. */
static int join(char *buffer, int count, char **arguments)
{
	size_t used = 0;

	for (int i = 0; i < count; i++) {
		size_t length = strlen(arguments[i]);

		if (used + length + 1 > MESSAGE_MAX)
			return -E2BIG;
		memcpy(buffer + used, arguments[i], length);
		used += length;
		buffer[used++] = '\n';
	}
	return (int)used;
}

/* `@name` is a name in the abstract namespace, whose first byte is NUL (unix(7)). Returns the length. */
static int address_of(const char *path, struct sockaddr_un *address)
{
	size_t length = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || length < 2)
		return -EINVAL;
	if (length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, length);
	if (path[0] == '@')
		address->sun_path[0] = '\0';
	return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* Sends one datagram; `passed` is a descriptor to go with it, or -1. */
static int send_datagram(int fd, const struct sockaddr_un *to, socklen_t to_length, const char *text, size_t length,
			 int passed)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec io = {.iov_base = (char *)text, .iov_len = length};
	struct msghdr message = {
		.msg_name = (void *)to, .msg_namelen = to_length, .msg_iov = &io, .msg_iovlen = 1};

	if (passed >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);

		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed, sizeof(int));
	}
	while (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Waits until systemd has closed its end. */
static int barrier(int fd, const struct sockaddr_un *to, socklen_t to_length)
{
	static const char text[] = "BARRIER=1";
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	scope_fd int ours = ends[0];
	int sent;
	{
		scope_fd int theirs = ends[1];
		sent = send_datagram(fd, to, to_length, text, sizeof(text) - 1, theirs);
	}
	if (sent < 0)
		return sent;

	struct pollfd waiting = {.fd = ours};
	int ready;
	do {
		ready = poll(&waiting, 1, BARRIER_TIMEOUT_MS);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	return ready == 0 ? -ETIMEDOUT : 0;
}

static int notify(const char *path, const char *text, size_t length)
{
	struct sockaddr_un to;
	int to_length = address_of(path, &to);

	if (to_length < 0)
		return to_length;
	scope_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int sent = send_datagram(fd, &to, (socklen_t)to_length, text, length, -1);
	if (sent < 0)
		return sent;
	return barrier(fd, &to, (socklen_t)to_length);
}

int main(int argc, char **argv)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char text[MESSAGE_MAX];
	int length = join(text, argc - 1, argv + 1);

	if (argc < 2) {
		fprintf(stderr, "usage: berth-notify NAME=VALUE...\n");
		return 1;
	}
	if (path == NULL || path[0] == '\0')
		return 0;
	int result = length < 0 ? length : notify(path, text, (size_t)length);
	if (result < 0) {
		fprintf(stderr, "berth-notify: %s: %s\n", path, strerror(-result));
		return 1;
	}
	return 0;
}

/* The forwarder: refusals, both directions, half-closes, slow readers, resets, and its own end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "peer.h"

#define BULK (8 << 20)
#define BACKLOG_ROOM 200
/* Standard streams, directory, listener, epoll, the session. */
#define DESCRIPTORS_IDLE 7

static char directory[] = "/tmp/berth-forward-XXXXXX";
static char net[64], socket_path[64];
static struct message message;
static struct peer launcher;
static pid_t forwarder;
static uint16_t port4, port6;

/* A listener inside the pod's namespace; ports are the kernel's choice. */
static int listen_on(int family, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = { 0 };
	socklen_t size = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
	struct timeval patience = { .tv_sec = 60 };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.v6.sin6_addr = in6addr_loopback;
	check("a listener", fd >= 0 && bind(fd, &address.any, size) == 0 && listen(fd, BACKLOG_ROOM) == 0 &&
				    getsockname(fd, &address.any, &size) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*port = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
	return fd;
}

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 60 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Returns the errno that the forwarder answers, or -1 when it closes without one. */
static int ask(int fd, uint16_t port)
{
	uint16_t request = htons(port);
	uint32_t answer;

	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
	    recv(fd, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
		return -1;
	return (int)ntohl(answer);
}

static int start(void)
{
	int session;

	peer_call(&launcher, MESSAGE_FORWARD, json_pack("{s:s,s:s}", "net", net, "socket", socket_path), &message);
	check("a forwarder starts", message.type == MESSAGE_OK && message_number(&message, "pid") > 0);
	forwarder = (pid_t)message_number(&message, "pid");
	session = dial();
	check("it takes the session's connection", session >= 0);
	return session;
}

/* The launcher's child, so not ours to wait for. */
static void await_gone(void)
{
	struct pollfd pidfd = { .fd = pidfd_open(forwarder, 0), .events = POLLIN };

	check("the forwarder ends", pidfd.fd < 0 || poll(&pidfd, 1, 60000) == 1);
	if (pidfd.fd >= 0)
		close(pidfd.fd);
	check("its socket is gone", access(socket_path, F_OK) < 0);
}

static int connected(uint16_t port, int listener, int *served)
{
	int client = dial();

	check("a port is connected to", client >= 0 && ask(client, port) == 0);
	*served = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	check("the program is called", *served >= 0);
	return client;
}

static void test_refusals(void)
{
	char other[96];
	int client, unused = listen_on(AF_INET, &(uint16_t){ 0 });
	uint16_t closed;
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	check("a port's number", getsockname(unused, (struct sockaddr *)&address, &size) == 0);
	closed = ntohs(address.sin_port);
	close(unused);
	client = dial();
	check("a port where nobody listens is refused", ask(client, closed) == ECONNREFUSED);
	check("and the connection closes", recv(client, other, 1, 0) == 0);
	close(client);
	client = dial();
	check("port 0 is none", ask(client, 0) == EINVAL);
	close(client);
	peer_call(&launcher, MESSAGE_FORWARD, json_pack("{s:s,s:s}", "net", net, "socket", socket_path), &message);
	check("a socket that is there is not taken over", message_is_error(&message, "socket", EADDRINUSE));
	snprintf(other, sizeof(other), "%s/nowhere/s", directory);
	peer_call(&launcher, MESSAGE_FORWARD, json_pack("{s:s,s:s}", "net", net, "socket", other), &message);
	check("a directory that is not there", message_is_error(&message, "socket", ENOENT));
	snprintf(other, sizeof(other), "%s/other", directory);
	peer_call(&launcher, MESSAGE_FORWARD, json_pack("{s:s,s:s}", "net", directory, "socket", other), &message);
	check("a directory is no namespace", message_is_error(&message, "namespace", EINVAL));
	peer_call(&launcher, MESSAGE_FORWARD, json_pack("{s:s,s:s}", "net", "/proc/self/ns/uts", "socket", other), &message);
	check("nor is a link to one", message_is_error(&message, "namespace", ELOOP));
	check("nothing of these is left", access(other, F_OK) < 0);
}

static void test_both_families(int listener4, int listener6)
{
	char byte;
	int served, client = connected(port4, listener4, &served);

	check("127.0.0.1 comes first", send(client, "a", 1, 0) == 1 && recv(served, &byte, 1, 0) == 1 && byte == 'a');
	close(client);
	close(served);
	client = connected(port6, listener6, &served);
	check("then ::1", send(served, "b", 1, 0) == 1 && recv(client, &byte, 1, 0) == 1 && byte == 'b');
	close(client);
	close(served);
}

static void test_half_close(int listener)
{
	char bytes[16];
	int served, client = connected(port4, listener, &served);

	check("one half is closed", send(client, "question", 8, 0) == 8 && shutdown(client, SHUT_WR) == 0);
	check("the program sees it", recv(served, bytes, 8, MSG_WAITALL) == 8 && recv(served, bytes, 1, 0) == 0);
	check("and answers", send(served, "answer", 6, 0) == 6 && recv(client, bytes, 6, MSG_WAITALL) == 6);
	close(served);
	check("its end is the client's", recv(client, bytes, 1, 0) == 0);
	close(client);

	client = connected(port4, listener, &served);
	check("the other half first", shutdown(served, SHUT_WR) == 0 && recv(client, bytes, 1, 0) == 0);
	check("goes as well", send(client, "late", 4, 0) == 4 && recv(served, bytes, 4, MSG_WAITALL) == 4);
	close(client);
	check("to its end", recv(served, bytes, 1, 0) == 0);
	close(served);
}

static void test_gone(int listener)
{
	struct linger reset = { .l_onoff = 1 };
	char bytes[16];
	int served, client = connected(port4, listener, &served);

	check("a client that leaves at once", send(client, "last words", 10, 0) == 10);
	close(client);
	check("is heard to the end", recv(served, bytes, 10, MSG_WAITALL) == 10 && recv(served, bytes, 1, 0) == 0);
	close(served);

	client = connected(port4, listener, &served);
	shutdown(client, SHUT_WR);
	check("half is closed", recv(served, bytes, 1, 0) == 0);
	close(client);
	/* The first is what finds out; a reset comes back before long. */
	for (int patience = 0; patience < 60000 && send(served, "x", 1, MSG_NOSIGNAL) == 1; patience++)
		usleep(1000);
	check("a client that left is no sink", send(served, "x", 1, MSG_NOSIGNAL) < 0);
	close(served);

	client = connected(port4, listener, &served);
	check("the program speaks", send(served, "x", 1, 0) == 1 && recv(client, bytes, 1, 0) == 1);
	setsockopt(served, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(served);
	check("its reset ends the client's connection", recv(client, bytes, 1, 0) == 0);
	close(client);
	client = connected(port4, listener, &served);
	check("and no other", send(client, "y", 1, 0) == 1 && recv(served, bytes, 1, 0) == 1);
	close(client);
	close(served);
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 131 + (at >> 13));
}

/* Sends all of it from a child, so that a reader that does not read holds up nobody here. */
static pid_t send_bulk(int fd)
{
	static unsigned char block[50000];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (size_t at = 0; at < BULK;) {
		size_t size = BULK - at < sizeof(block) ? BULK - at : sizeof(block);
		ssize_t sent;

		for (size_t i = 0; i < size; i++)
			block[i] = pattern(at + i);
		sent = send(fd, block, size, MSG_NOSIGNAL);
		if (sent <= 0)
			_exit(1);
		at += (size_t)sent;
	}
	shutdown(fd, SHUT_WR);
	_exit(0);
}

static bool receive_bulk(int fd)
{
	static unsigned char block[70000];
	size_t at = 0;
	ssize_t got;

	while ((got = recv(fd, block, sizeof(block), 0)) > 0)
		for (ssize_t i = 0; i < got; i++)
			if (block[i] != pattern(at++))
				return false;
	return got == 0 && at == BULK;
}

static void test_bulk(int listener)
{
	int status, other_served, served, client = connected(port4, listener, &served);
	int other = connected(port4, listener, &other_served);
	pid_t up = send_bulk(client), down = send_bulk(served);
	char byte;

	/* Nobody reads the two yet: they fill every buffer on the way and wait. */
	for (int i = 0; i < 20; i++) {
		check("another connection is served", send(other, "z", 1, 0) == 1 && recv(other_served, &byte, 1, 0) == 1);
		usleep(5000);
	}
	check("all arrives above", receive_bulk(served));
	check("and below", receive_bulk(client));
	check("both were sent", waitpid(up, &status, 0) == up && status == 0 && waitpid(down, &status, 0) == down &&
					status == 0);
	close(client);
	close(served);
	close(other);
	close(other_served);
}

static void test_many(int listener)
{
	int clients[100], served[100];
	char byte;

	for (int i = 0; i < 100; i++)
		clients[i] = connected(port4, listener, &served[i]);
	for (int i = 0; i < 100; i++) {
		byte = (char)i;
		if (send(clients[i], &byte, 1, 0) != 1 || recv(served[i], &byte, 1, 0) != 1 || byte != (char)i)
			check("each of a hundred is its own", false);
	}
	for (int i = 0; i < 100; i++) {
		close(served[i]);
		if (recv(clients[i], &byte, 1, 0) != 0)
			check("each ends by itself", false);
		close(clients[i]);
	}
}

static size_t descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1000; fd++) {
		char path[64];
		struct stat ignored;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", forwarder, fd);
		count += lstat(path, &ignored) == 0;
	}
	return count;
}

static void test_confinement(void)
{
	char path[64], line[256];
	bool none = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", forwarder);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		none |= strcmp(line, "CapEff:\t0000000000000000\n") == 0;
	if (file != NULL)
		fclose(file);
	check("it has no capability", none);
	snprintf(path, sizeof(path), "/proc/%d/root/etc", forwarder);
	check("and an empty root", access(path, F_OK) < 0);
}

static void make_namespace(void)
{
	json_t *request;

	snprintf(net, sizeof(net), "%s/net", directory);
	request = json_pack("{s:s,s:s}", "id", "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100", "net", net);
	peer_call(&launcher, MESSAGE_SANDBOX_CREATE, request, &message);
	check("a pod's network namespace", message.type == MESSAGE_OK);
}

static void enter_namespace(void)
{
	int fd = open(net, O_RDONLY | O_CLOEXEC);

	check("the test's programs are in it", fd >= 0 && setns(fd, CLONE_NEWNET) == 0);
	close(fd);
}

static void test_ends(int listener)
{
	int served, client, session = start();
	char byte;

	client = connected(port4, listener, &served);
	close(session);
	await_gone();
	check("what it carried has ended", recv(client, &byte, 1, 0) <= 0 && recv(served, &byte, 1, 0) <= 0);
	close(client);
	close(served);
}

int main(void)
{
	int session, listener4, listener6, status;
	pid_t launcher_pid;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skipped: needs root and mount namespaces\n");
		return SKIPPED;
	}
	check("a directory", mkdtemp(directory) != NULL);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	launcher_pid = peer_launcher(&launcher);
	make_namespace();
	session = start();
	enter_namespace();
	listener4 = listen_on(AF_INET, &port4);
	listener6 = listen_on(AF_INET6, &port6);
	test_refusals();
	test_confinement();
	test_both_families(listener4, listener6);
	test_half_close(listener4);
	test_gone(listener4);
	test_bulk(listener4);
	test_many(listener4);
	for (int patience = 0; descriptors() > DESCRIPTORS_IDLE && patience < 60000; patience++)
		usleep(1000);
	check("no descriptor is left", descriptors() == DESCRIPTORS_IDLE);
	close(session);
	await_gone();
	test_ends(listener4);
	peer_call(&launcher, MESSAGE_SANDBOX_DELETE, json_pack("{s:s,s:s}", "id", "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100", "net", net), &message);
	check("the namespace is given back", message.type == MESSAGE_OK);
	peer_close(&launcher);
	check("the launcher leaves", waitpid(launcher_pid, &status, 0) == launcher_pid);
	message_free(&message);
	check("the directory is empty", rmdir(directory) == 0);
	return 0;
}

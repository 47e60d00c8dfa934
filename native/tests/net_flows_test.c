/* What outlives a pod or goes around the rules: UDP flows of an earlier pod, and the machine's loopback. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/route.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "net_support.h"

#define CONFIG \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"bridge\":\"tb0\",\"dataDir\":\"/run/data\",\"subnets\":[\"10.88.0.0/24\"]," \
	"\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":5353,\"containerPort\":53,\"protocol\":\"udp\"}]}}"

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

/* Answers every datagram with one letter. */
static pid_t answer_with(const char *netns, char letter)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_in own = address_of("0.0.0.0", 53), peer;
		int ns = open(netns, O_RDONLY | O_CLOEXEC);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setns(ns, CLONE_NEWNET) < 0)
			_exit(1);
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;) {
			socklen_t size = sizeof(peer);
			if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&peer, &size) < 0 ||
			    sendto(fd, &letter, 1, 0, (struct sockaddr *)&peer, size) < 0)
				_exit(1);
		}
	}
	close(ready[1]);
	check("a UDP server starts", read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return child;
}

/* One datagram to the host port, always from the same port of ours. */
static char ask_again(int fd)
{
	const struct sockaddr_in to = address_of("10.88.0.1", 5353);
	char answer = 0;
	if (sendto(fd, "?", 1, 0, (const struct sockaddr *)&to, sizeof(to)) != 1 || recv(fd, &answer, 1, 0) != 1)
		return 0;
	return answer;
}

static void flows_follow_the_port(const char *first, const char *second)
{
	const struct sockaddr_in own = address_of("10.88.0.1", 4444);
	const struct timeval limit = { .tv_sec = 3 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	net_add("a", first, CONFIG);
	check("a client's port", bind(fd, (const struct sockaddr *)&own, sizeof(own)) == 0);
	pid_t server = answer_with(first, 'a');
	check("the first pod answers", ask_again(fd) == 'a');
	check("DEL", net_delete("a", first, CONFIG));
	/* A flow that begins while the port leads nowhere. */
	const struct sockaddr_in to = address_of("10.88.0.1", 5353);
	(void)sendto(fd, "?", 1, 0, (const struct sockaddr *)&to, sizeof(to));
	(void)recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT); /* takes the port unreachable error off the socket */
	net_add("b", second, CONFIG);
	pid_t next = answer_with(second, 'b');
	check("the second pod answers the same flow", ask_again(fd) == 'b');
	net_stop(server);
	net_stop(next);
	close(fd);
}

/* A pod that sends what is for 127.0.0.1 to the machine: route_localnet would let it in. */
static void loopback_is_guarded(const char *netns)
{
	pid_t server = net_serve(NULL, "127.0.0.1", 7000);
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY | RTF_HOST };
		struct sockaddr_in loopback = address_of("127.0.0.1", 0), gateway = address_of("10.88.0.1", 0);
		int ns = open(netns, O_RDONLY | O_CLOEXEC);
		if (setns(ns, CLONE_NEWNET) < 0)
			_exit(1);
		int setting = open("/proc/sys/net/ipv4/conf/all/route_localnet", O_WRONLY | O_CLOEXEC);
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		memcpy(&route.rt_dst, &loopback, sizeof(loopback));
		memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
		/* The local table goes before this route while the loopback interface has its address. */
		if (write(setting, "1", 1) != 1 || system("ip address del 127.0.0.1/8 dev lo") != 0 || ioctl(fd, SIOCADDRT, &route) < 0)
			_exit(1);
		_exit(0);
	}
	check("the pod sends its loopback traffic out", waitpid(child, &status, 0) == child && status == 0);
	check("which does not get in", strcmp(net_ask(netns, "127.0.0.1", 7000), "") == 0);
	if (system("nft flush chain inet berth net.guard") == 0)
		check("thanks to the guard", strcmp(net_ask(netns, "127.0.0.1", 7000), "10.88.0.3") == 0);
	net_stop(server);
}

int main(void)
{
	net_begin();
	const char *first = net_namespace("a"), *second = net_namespace("b");
	flows_follow_the_port(first, second);
	loopback_is_guarded(second);
	check("DEL", net_delete("b", second, CONFIG));
	return 0;
}

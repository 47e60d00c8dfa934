/* Packets: pods reach each other, the machine and what lies beyond; host ports lead to pods, from everywhere. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "net_support.h"

#define INSIDE(rest) \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"bridge\":\"tb0\",\"dataDir\":\"/run/data\"," \
	"\"subnets\":[\"10.88.0.0/24\",\"fd00:88::/64\"]" rest "}"
#define PORTS \
	INSIDE(",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":8080,\"containerPort\":80,\"protocol\":\"tcp\"}," \
	       "{\"hostPort\":9090,\"containerPort\":80,\"protocol\":\"TCP\",\"hostIP\":\"127.0.0.1\"}]}")
/* A second network stands for the world outside the first. */
#define OUTSIDE \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"out\",\"bridge\":\"tb1\",\"dataDir\":\"/run/data\",\"masquerade\":false," \
	"\"subnets\":[\"10.99.0.0/24\"]}"

static bool same(const char *left, const char *right)
{
	return strcmp(left, right) == 0;
}

static bool setting_is(const char *path, char value)
{
	char now = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && read(fd, &now, 1) == 1 && now == value;
	close(fd);
	return is;
}

int main(void)
{
	net_begin();
	const char *web = net_namespace("web"), *client = net_namespace("client"), *world = net_namespace("world");
	const char *web_address = net_add("web", web, PORTS);
	const char *client_address = net_add("client", client, INSIDE(""));
	const char *world_address = net_add("world", world, OUTSIDE);
	pid_t server = net_serve(web, "0.0.0.0", 80), server6 = net_serve(web, "fd00:88::2", 81);

	check("forwarding is on", setting_is("/proc/sys/net/ipv4/ip_forward", '1'));
	check("pod to pod, untranslated", same(net_ask(client, web_address, 80), client_address));
	check("pod to pod over IPv6", same(net_ask(client, "fd00:88::2", 81), "fd00:88::3"));
	check("machine to pod", same(net_ask(NULL, web_address, 80), "10.88.0.1"));
	check("host port by the machine's address", same(net_ask(NULL, "10.88.0.1", 8080), "10.88.0.1"));
	check("host port by the loopback address", same(net_ask(NULL, "127.0.0.1", 8080), "10.88.0.1"));
	check("host port from another pod", same(net_ask(client, "10.88.0.1", 8080), "10.88.0.1"));
	check("host port from the pod itself", same(net_ask(web, "10.88.0.1", 8080), "10.88.0.1"));
	check("host port from outside, with the client's own address",
	      same(net_ask(world, "10.99.0.1", 8080), world_address));
	check("host port of one address, there", same(net_ask(NULL, "127.0.0.1", 9090), "10.88.0.1"));
	check("host port of one address, not elsewhere", same(net_ask(NULL, "10.88.0.1", 9090), ""));
	net_stop(server6);

	pid_t beyond = net_serve(world, "0.0.0.0", 70);
	check("what leaves the subnet is masqueraded", same(net_ask(client, world_address, 70), "10.99.0.1"));
	check("DEL", net_delete("client", client, INSIDE("")));
	client_address = net_add("client", client, INSIDE(",\"masquerade\":false"));
	check("unless it is not wanted", same(net_ask(client, world_address, 70), client_address));

	check("DEL of the pod with ports", net_delete("web", web, PORTS));
	check("closes them", same(net_ask(NULL, "127.0.0.1", 8080), "") && same(net_ask(NULL, "127.0.0.1", 9090), ""));
	net_stop(beyond);
	net_stop(server);
	check("DEL", net_delete("client", client, INSIDE("")) && net_delete("world", world, OUTSIDE));
	return 0;
}

/* The plugin's contract: results, errors, idempotence, and that nothing is left behind. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "net_support.h"

#define CONFIG(rest) \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"type\":\"berth-net\",\"bridge\":\"tb0\",\"dataDir\":\"/run/data\"" rest "}"
#define PLAIN CONFIG(",\"subnets\":[\"10.88.0.0/24\",\"fd00:88::/64\"]")
#define PORT(port) \
	CONFIG(",\"subnets\":[\"10.88.0.0/24\"],\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":" port \
	       ",\"containerPort\":80,\"protocol\":\"tcp\"}]}")

static char before[16384], after[16384];

static void refusals(void)
{
	struct call call;
#define REFUSED(title, code, command, container, netns, config)  \
	call = net_call(command, container, netns, config);      \
	check(title, call_failed(&call, code))
	REFUSED("input that is not JSON", 6, "ADD", "c", "/run/x", "not json");
	REFUSED("a version of the future", 1, "ADD", "c", "/run/x", "{\"cniVersion\":\"9.0.0\",\"name\":\"net\"}");
	REFUSED("a name that is a path", 7, "ADD", "c", "/run/x", "{\"cniVersion\":\"1.0.0\",\"name\":\"../x\"}");
	REFUSED("no subnet", 7, "ADD", "c", "/run/x", CONFIG(""));
	REFUSED("a subnet without room", 7, "ADD", "c", "/run/x", CONFIG(",\"subnets\":[\"10.0.0.0/31\"]"));
	REFUSED("a subnet that is none", 7, "ADD", "c", "/run/x", CONFIG(",\"subnets\":[\"10.0.0.0/33\"]"));
	REFUSED("a port beyond 65535", 7, "ADD", "c", "/run/x", PORT("65536"));
	REFUSED("no container id", 4, "ADD", NULL, "/run/x", PLAIN);
	REFUSED("a container id that is a path", 4, "ADD", "../c", "/run/x", PLAIN);
	REFUSED("no namespace", 4, "ADD", "c", NULL, PLAIN);
	REFUSED("an unknown command", 4, "MUL", "c", "/run/x", PLAIN);
	REFUSED("a namespace that is gone", 103, "ADD", "c", "/run/gone", PLAIN);
	REFUSED("a namespace that is a file", 103, "ADD", "c", "/proc/self/status", PLAIN);
	REFUSED("GC without a list", 7, "GC", NULL, NULL, PLAIN);
	call = net_call("VERSION", NULL, NULL, "{\"cniVersion\":\"1.1.0\"}");
	check("VERSION names three", call.status == 0 &&
	      json_array_size(json_object_get(call.output, "supportedVersions")) == 3);
	call_free(&call);
	call = net_call("STATUS", NULL, NULL, PLAIN);
	check("STATUS is ready", call.status == 0);
	call_free(&call);
}

static void results(void)
{
	const char *netns = net_namespace("r");
	struct call call = net_call("ADD", "r", netns, PLAIN);
	json_t *ips = json_object_get(call.output, "ips");
	json_t *interfaces = json_object_get(call.output, "interfaces");
	json_t *pod = json_array_get(interfaces, 2);

	check("ADD with both families", call.status == 0 && json_array_size(ips) == 2);
	check("three interfaces", json_array_size(interfaces) == 3);
	check("the pod's interface names the namespace",
	      strcmp(json_string_value(json_object_get(pod, "sandbox")), netns) == 0 &&
	      strcmp(json_string_value(json_object_get(pod, "name")), "eth0") == 0);
	check("addresses of version 1 have no family", json_object_get(json_array_get(ips, 0), "version") == NULL);
	check("a gateway", strcmp(json_string_value(json_object_get(json_array_get(ips, 0), "gateway")), "10.88.0.1") == 0);
	call_free(&call);
	call = net_call("CHECK", "r", netns, PLAIN);
	check("CHECK agrees", call.status == 0);
	call_free(&call);
	call = net_call("ADD", "r", netns, PLAIN);
	check("a second ADD is refused", call_failed(&call, 104));
	call = net_call("CHECK", "r", netns, PLAIN);
	check("and has undone nothing of the first", call.status == 0);
	call_free(&call);
	call = net_call("CHECK", "other", netns, PLAIN);
	check("CHECK of a stranger", call_failed(&call, 3));
	call = net_call("CHECK", "r", net_namespace("empty"), PLAIN);
	check("CHECK in a namespace without the interface", call_failed(&call, 105));
	net_unpin("empty");
	check("DEL", net_delete("r", netns, PLAIN));
	check("DEL again", net_delete("r", netns, PLAIN));
	check("DEL without a namespace", net_delete("r", NULL, PLAIN));
	call = net_call("ADD", "r", netns, "{\"cniVersion\":\"0.4.0\",\"name\":\"net\",\"bridge\":\"tb0\",\"dataDir\":\"/run/data\","
					   "\"subnets\":[\"10.88.0.0/24\"]}");
	ips = json_object_get(call.output, "ips");
	check("0.4.0 has the family", strcmp(json_string_value(json_object_get(json_array_get(ips, 0), "version")), "4") == 0);
	check("addresses rest before they return",
	      strcmp(json_string_value(json_object_get(json_array_get(ips, 0), "address")), "10.88.0.3/24") == 0);
	call_free(&call);
	net_unpin("r");
	check("DEL after the namespace is gone", net_delete("r", "/run/netns-r", PLAIN));
}

static void conflicts_leave_nothing(void)
{
	const char *first = net_namespace("p1"), *second = net_namespace("p2");

	net_snapshot(before, sizeof(before));
	net_add("p1", first, PORT("8080"));
	net_snapshot(after, sizeof(after));
	check("the snapshot sees a pod", strcmp(before, after) != 0);
	memcpy(before, after, sizeof(before));
	struct call call = net_call("ADD", "p2", second, PORT("8080"));
	check("the same host port twice", call_failed(&call, 101));
	net_snapshot(after, sizeof(after));
	check("has left nothing", strcmp(before, after) == 0);
	call = net_call("CHECK", "p1", first, PORT("8080"));
	check("and the first pod has its port", call.status == 0);
	call_free(&call);
	check("DEL of the second", net_delete("p2", second, PORT("8080")));
	call = net_call("CHECK", "p1", first, PORT("8080"));
	check("does not take the first one's port", call.status == 0);
	call_free(&call);
	check("DEL of the first", net_delete("p1", first, PORT("8080")));
	net_add("p2", second, PORT("8080"));
	check("the port is free again", net_delete("p2", second, PLAIN)); /* from the record, not the configuration */
	net_add("p1", first, PORT("8080"));
	check("also after a DEL that did not name it", net_delete("p1", first, PORT("8080")));
	net_unpin("p1");
	net_unpin("p2");
}

static void exhaustion(void)
{
	const char *config = CONFIG(",\"subnets\":[\"10.88.0.0/24\"],\"runtimeConfig\":{\"ipRanges\":[[{\"subnet\":\"10.77.0.0/30\"}]]}");
	const char *first = net_namespace("e1"), *second = net_namespace("e2");

	check("the range of the runtime", strcmp(net_add("e1", first, config), "10.77.0.2") == 0);
	net_snapshot(before, sizeof(before));
	struct call call = net_call("ADD", "e2", second, config);
	check("no address is left", call_failed(&call, 100));
	net_snapshot(after, sizeof(after));
	check("which leaves nothing", strcmp(before, after) == 0);
	check("DEL", net_delete("e1", first, config));
	check("the address returns", strcmp(net_add("e2", second, config), "10.77.0.2") == 0);
	check("DEL", net_delete("e2", second, config));
	net_unpin("e1");
	net_unpin("e2");
}

static void collection(void)
{
	const char *kept = net_namespace("k"), *lost = net_namespace("l");

	net_add("k-1", kept, PORT("81"));
	net_snapshot(before, sizeof(before));
	net_add("l", lost, PORT("82"));
	struct call call = net_call("GC", NULL, NULL,
				    CONFIG(",\"subnets\":[\"10.88.0.0/24\"],\"cni.dev/valid-attachments\":"
					   "[{\"containerID\":\"k-1\",\"ifname\":\"eth0\"}]"));
	check("GC", call.status == 0);
	call_free(&call);
	net_snapshot(after, sizeof(after));
	check("GC keeps the valid and takes the rest", strcmp(before, after) == 0);
	check("DEL", net_delete("k-1", kept, PLAIN));
	net_unpin("k");
	net_unpin("l");
}

/* Twelve at once: every one succeeds, and the files are as many as the addresses. */
static void at_once(void)
{
	const char *names[12] = { "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "ca", "cb" };
	pid_t children[12];
	char path[64];
	int status, failed = 0, addresses = 0;

	net_snapshot(before, sizeof(before));
	for (int i = 0; i < 12; i++)
		net_namespace(names[i]);
	for (int i = 0; i < 12; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			snprintf(path, sizeof(path), "/run/netns-%s", names[i]);
			struct call call = net_call("ADD", names[i], path, PLAIN);
			_exit(call.status);
		}
	}
	for (int i = 0; i < 12; i++)
		failed += waitpid(children[i], &status, 0) != children[i] || status != 0;
	check("all pods at once have a network", failed == 0);
	net_snapshot(after, sizeof(after));
	for (const char *at = after; (at = strstr(at, "/run/data/net/10.")) != NULL; at++)
		addresses++;
	check("and each its own address", addresses == 12);
	for (int i = 0; i < 12; i++) {
		snprintf(path, sizeof(path), "/run/netns-%s", names[i]);
		check("DEL", net_delete(names[i], path, PLAIN));
		net_unpin(names[i]);
	}
	net_snapshot(after, sizeof(after));
	check("after all are gone, nothing is left", strcmp(before, after) == 0);
}

int main(void)
{
	net_begin();
	refusals();
	results();
	conflicts_leave_nothing();
	exhaustion();
	collection();
	at_once();
	return 0;
}

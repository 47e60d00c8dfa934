/* Network namespaces and runs of berth-net, all inside namespaces that end with the test. */
#ifndef BERTH_TESTS_NET_SUPPORT_H
#define BERTH_TESTS_NET_SUPPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Leaves the machine's network and mounts; `net_directory` is a tmpfs of our own. Exits with 77 where it cannot. */
void net_begin(void);
extern const char net_directory[];

/* Makes a network namespace, pinned under net_directory; returns its path in a static buffer that later calls reuse, but not soon. */
const char *net_namespace(const char *name);
void net_unpin(const char *name);

struct call {
	int status;
	json_t *output; /* NULL when there is none */
};

/* Runs the plugin. `config` is JSON text; `netns` and `container` may be NULL. */
struct call net_call(const char *command, const char *container, const char *netns, const char *config);
void call_free(struct call *call);
/* Whether it failed with this CNI error code; prints what it said when not. */
bool call_failed(struct call *call, int code);
/* ADD that must succeed; the first address without prefix, in a static buffer that later calls reuse, but not soon. */
const char *net_add(const char *container, const char *netns, const char *config);
bool net_delete(const char *container, const char *netns, const char *config);

/* Everything the plugin could leave: interfaces, address files, records, host ports. As text, to compare. */
void net_snapshot(char *text, size_t size);

/* A TCP server in the namespace (NULL: here) that answers each client with the client's address. */
pid_t net_serve(const char *netns, const char *address, int port);
void net_stop(pid_t server);
/* What the server at the address answers to a client in the namespace; "" when it cannot be reached. */
const char *net_ask(const char *netns, const char *address, int port);

#endif

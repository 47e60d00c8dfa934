/* Interfaces, addresses and routes over rtnetlink. */
#ifndef BERTH_NET_LINK_H
#define BERTH_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/error.h"
#include "config.h"
#include "netlink.h"
#include "store.h"

struct link {
	bool found;
	int index;
	int master; /* 0: none */
	uint8_t mac[6];
	char kind[16];
};

/* The interface of this name in the socket's namespace. `link->found` is false when there is none. */
int link_find(int socket, struct nl_batch *batch, const char *name, struct link *link, struct error *err);

/* Makes the bridge with its gateway addresses where it is missing, and brings it up. */
int link_ensure_bridge(int socket, struct nl_batch *batch, const struct config *config, struct link *bridge,
		       struct error *err);

/* Makes the pair: the host side up and in the bridge, the pod's side born in the namespace `netns`. */
int link_create_pair(int socket, struct nl_batch *batch, const struct config *config, const struct attachment *attachment,
		     int bridge_index, int netns, struct error *err);

/* On a socket of the pod's namespace: addresses, up, default routes. Fills `pod`. */
int link_set_up_pod(int socket, struct nl_batch *batch, const struct config *config, const struct attachment *attachment,
		    struct link *pod, struct error *err);

/* Whether the interface has the address. */
int link_has_address(int socket, struct nl_batch *batch, int index, const struct address *address, bool *has,
		     struct error *err);

/* Deletes an interface (and so its peer), to the very end; succeeds when it is gone. */
int link_delete(int socket, struct nl_batch *batch, const char *name, struct error *err);

/* The same, back as soon as the interface cannot be seen any more. */
int link_remove(int socket, struct nl_batch *batch, const char *name, struct error *err);

/* The range that an address was taken from. NULL when the configuration has none for it. */
const struct range *link_range_of(const struct config *config, const struct address *address);

#endif

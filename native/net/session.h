/* What every operation needs: the network's store and two conversations with the kernel. */
#ifndef BERTH_NET_SESSION_H
#define BERTH_NET_SESSION_H

#include "../common/error.h"
#include "netlink.h"
#include "store.h"

struct session {
	struct store store;
	int route;  /* rtnetlink, in the node's namespace */
	int filter; /* nf_tables */
	struct nl_batch *batch;
};

int session_open(const struct config *config, struct session *session, struct error *err);
void session_close(struct session *session);

#define SESSION_CLOSED { .store = { -1, -1, -1 }, .route = -1, .filter = -1 }
#define scope_session __attribute__((cleanup(session_close)))

/* The file of a network namespace; ENOENT in `err` when there is none. */
int netns_open(const char *path, struct error *err);
/* An rtnetlink socket inside that namespace; the process itself stays where it is. */
int netns_open_netlink(int netns, struct error *err);

/* Forwarding, and what host ports on the loopback address need. */
int sysctl_prepare(const struct config *config, struct error *err);

#endif

/* Connections that the kernel has already decided about. */
#ifndef BERTH_NET_CONNTRACK_H
#define BERTH_NET_CONNTRACK_H

#include "../common/error.h"
#include "netlink.h"
#include "store.h"

/*
 * Forgets UDP flows to the attachment's host ports. Translation is decided with a flow's first packet; a
 * client that keeps sending from one port would reach the pod never (its flow is older than the pod) or
 * the wrong one (it is older than the pod's end). TCP and SCTP begin anew by themselves.
 */
int conntrack_forget(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err);

#endif

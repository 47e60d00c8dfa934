/*
 * Network address translation, in one table of our own (`nft list table inet berth`):
 *
 *   ports4, ports6     maps: protocol . host address . host port → pod address . pod port
 *   all4, all6         maps: protocol . host port → the same, for every local address
 *   prerouting, output → hostports   for what is addressed to this machine: looks both up
 *   NAME.postrouting   masquerades what leaves the pods' subnets, and what comes back into the bridge by
 *                      way of a host port (else the answer would take a way without translation)
 *   NAME.guard         keeps the loopback addresses, which route_localnet opens for host ports, from pods
 */
#ifndef BERTH_NET_NFT_H
#define BERTH_NET_NFT_H

#include <stdbool.h>

#include "../common/error.h"
#include "config.h"
#include "netlink.h"
#include "store.h"

/* Needs the store's lock: two at once would both add the rules. Cheap when they stand. */
int nft_ensure(int socket, struct nl_batch *batch, const struct config *config, struct error *err);

/* All of the attachment's host ports or none; step "ports" and EEXIST where another pod has one. */
int nft_add_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err);

/* Those of the ports that lead to this attachment; others with the same key are left alone. */
int nft_remove_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err);

/* Whether every port of the attachment leads to it. */
int nft_has_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, bool *has, struct error *err);

#endif

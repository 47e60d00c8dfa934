/* The pieces that nf_tables messages are made of (include/uapi/linux/netfilter/nf_tables.h). */
#ifndef BERTH_NET_NFT_MESSAGE_H
#define BERTH_NET_NFT_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink.h"

#define NFT_TABLE "berth"

/* The map that holds a host port; without a host address (`any`) the key is the protocol and the port. */
const char *nft_map_name(int family, bool any);

/* The 32-bit registers that expressions here work with; keys start at the first. */
#define REG(n) (8 + (n))

void nft_batch_begin(struct nl_batch *batch);
/* After it the batch is ready for nl_exchange. */
void nft_batch_end(struct nl_batch *batch);
void nft_message(struct nl_batch *batch, uint16_t type, uint16_t flags);

/* NFTA_DATA_VALUE in an attribute of `type`. */
void nft_value(struct nl_batch *batch, uint16_t type, const void *data, size_t length);

/* A rule: expressions between these two. */
size_t nft_rule_begin(struct nl_batch *batch, const char *chain);
void nft_rule_end(struct nl_batch *batch, size_t rule);

void nft_meta(struct nl_batch *batch, uint32_t key, uint32_t reg);
void nft_payload(struct nl_batch *batch, uint32_t base, uint32_t offset, uint32_t length, uint32_t reg);
void nft_compare(struct nl_batch *batch, uint32_t operation, uint32_t reg, const void *data, size_t length);
void nft_mask(struct nl_batch *batch, uint32_t reg, const void *mask, size_t length);
void nft_verdict(struct nl_batch *batch, int32_t verdict, const char *chain);
void nft_lookup(struct nl_batch *batch, const char *map, uint32_t reg);
void nft_local_destination(struct nl_batch *batch);
void nft_translated(struct nl_batch *batch);
void nft_dnat(struct nl_batch *batch, uint32_t family, uint32_t address_reg, uint32_t port_reg);
void nft_masquerade(struct nl_batch *batch);

#endif

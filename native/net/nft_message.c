#include "nft_message.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

const char *nft_map_name(int family, bool any)
{
	if (family == AF_INET)
		return any ? "all4" : "ports4";
	return any ? "all6" : "ports6";
}

void nft_batch_begin(struct nl_batch *batch)
{
	const struct nfgenmsg body = { .nfgen_family = AF_UNSPEC, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	nl_reset(batch);
	nl_begin(batch, NFNL_MSG_BATCH_BEGIN, 0, &body, sizeof(body));
}

/* The kernel answers the batch when it is through with it; the last message inside carries the ACK flag. */
void nft_batch_end(struct nl_batch *batch)
{
	const struct nfgenmsg body = { .nfgen_family = AF_UNSPEC, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	if (!batch->overflow)
		((struct nlmsghdr *)(batch->data + batch->message))->nlmsg_flags |= NLM_F_ACK;
	uint32_t last = batch->sequence;
	nl_begin(batch, NFNL_MSG_BATCH_END, 0, &body, sizeof(body));
	batch->sequence = last;
}

void nft_message(struct nl_batch *batch, uint16_t type, uint16_t flags)
{
	const struct nfgenmsg body = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	nl_begin(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &body, sizeof(body));
}

void nft_value(struct nl_batch *batch, uint16_t type, const void *data, size_t length)
{
	size_t nest = nl_nest(batch, type);
	nl_put(batch, NFTA_DATA_VALUE, data, length);
	nl_nest_end(batch, nest);
}

size_t nft_rule_begin(struct nl_batch *batch, const char *chain)
{
	nft_message(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nl_put_string(batch, NFTA_RULE_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_RULE_CHAIN, chain);
	return nl_nest(batch, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nl_batch *batch, size_t rule)
{
	nl_nest_end(batch, rule);
}

struct expression {
	size_t element;
	size_t data;
};

static struct expression begin(struct nl_batch *batch, const char *name)
{
	struct expression expression;
	expression.element = nl_nest(batch, NFTA_LIST_ELEM);
	nl_put_string(batch, NFTA_EXPR_NAME, name);
	expression.data = nl_nest(batch, NFTA_EXPR_DATA);
	return expression;
}

static void end(struct nl_batch *batch, struct expression expression)
{
	nl_nest_end(batch, expression.data);
	nl_nest_end(batch, expression.element);
}

void nft_meta(struct nl_batch *batch, uint32_t key, uint32_t reg)
{
	struct expression expression = begin(batch, "meta");
	nl_put_be32(batch, NFTA_META_KEY, key);
	nl_put_be32(batch, NFTA_META_DREG, reg);
	end(batch, expression);
}

void nft_payload(struct nl_batch *batch, uint32_t base, uint32_t offset, uint32_t length, uint32_t reg)
{
	struct expression expression = begin(batch, "payload");
	nl_put_be32(batch, NFTA_PAYLOAD_DREG, reg);
	nl_put_be32(batch, NFTA_PAYLOAD_BASE, base);
	nl_put_be32(batch, NFTA_PAYLOAD_OFFSET, offset);
	nl_put_be32(batch, NFTA_PAYLOAD_LEN, length);
	end(batch, expression);
}

void nft_compare(struct nl_batch *batch, uint32_t operation, uint32_t reg, const void *data, size_t length)
{
	struct expression expression = begin(batch, "cmp");
	nl_put_be32(batch, NFTA_CMP_SREG, reg);
	nl_put_be32(batch, NFTA_CMP_OP, operation);
	nft_value(batch, NFTA_CMP_DATA, data, length);
	end(batch, expression);
}

void nft_mask(struct nl_batch *batch, uint32_t reg, const void *mask, size_t length)
{
	static const uint8_t zeros[16];
	struct expression expression = begin(batch, "bitwise");
	nl_put_be32(batch, NFTA_BITWISE_SREG, reg);
	nl_put_be32(batch, NFTA_BITWISE_DREG, reg);
	nl_put_be32(batch, NFTA_BITWISE_LEN, (uint32_t)length);
	nft_value(batch, NFTA_BITWISE_MASK, mask, length);
	nft_value(batch, NFTA_BITWISE_XOR, zeros, length);
	end(batch, expression);
}

void nft_verdict(struct nl_batch *batch, int32_t verdict, const char *chain)
{
	struct expression expression = begin(batch, "immediate");
	nl_put_be32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	size_t data = nl_nest(batch, NFTA_IMMEDIATE_DATA);
	size_t inner = nl_nest(batch, NFTA_DATA_VERDICT);
	nl_put_be32(batch, NFTA_VERDICT_CODE, (uint32_t)verdict);
	if (chain != NULL)
		nl_put_string(batch, NFTA_VERDICT_CHAIN, chain);
	nl_nest_end(batch, inner);
	nl_nest_end(batch, data);
	end(batch, expression);
}

void nft_lookup(struct nl_batch *batch, const char *map, uint32_t reg)
{
	struct expression expression = begin(batch, "lookup");
	nl_put_string(batch, NFTA_LOOKUP_SET, map);
	nl_put_be32(batch, NFTA_LOOKUP_SREG, reg);
	nl_put_be32(batch, NFTA_LOOKUP_DREG, reg);
	end(batch, expression);
}

void nft_local_destination(struct nl_batch *batch)
{
	const uint32_t local = RTN_LOCAL;
	struct expression expression = begin(batch, "fib");
	nl_put_be32(batch, NFTA_FIB_DREG, REG(0));
	nl_put_be32(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nl_put_be32(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end(batch, expression);
	nft_compare(batch, NFT_CMP_EQ, REG(0), &local, sizeof(local));
}

void nft_translated(struct nl_batch *batch)
{
	const uint32_t bit = 1 << 5; /* IPS_DST_NAT, nf_conntrack_common.h */
	const uint32_t zero = 0;
	struct expression expression = begin(batch, "ct");
	nl_put_be32(batch, NFTA_CT_KEY, NFT_CT_STATUS);
	nl_put_be32(batch, NFTA_CT_DREG, REG(0));
	end(batch, expression);
	nft_mask(batch, REG(0), &bit, sizeof(bit));
	nft_compare(batch, NFT_CMP_NEQ, REG(0), &zero, sizeof(zero));
}

void nft_dnat(struct nl_batch *batch, uint32_t family, uint32_t address_reg, uint32_t port_reg)
{
	struct expression expression = begin(batch, "nat");
	nl_put_be32(batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nl_put_be32(batch, NFTA_NAT_FAMILY, family);
	nl_put_be32(batch, NFTA_NAT_REG_ADDR_MIN, address_reg);
	nl_put_be32(batch, NFTA_NAT_REG_PROTO_MIN, port_reg);
	end(batch, expression);
}

void nft_masquerade(struct nl_batch *batch)
{
	end(batch, begin(batch, "masq"));
}

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>

#include "nft.h"
#include "nft_message.h"

/* nft's own numbers for data types, so that it can print the maps: 6 bits for each field of a key. */
#define TYPE_IPV4 7u
#define TYPE_IPV6 8u
#define TYPE_PROTOCOL 12u
#define TYPE_PORT 13u

struct chain {
	char name[160];
	const char *type; /* NULL: no base chain */
	uint32_t hook;
	int32_t priority;
};

static void put_map(struct nl_batch *batch, uint32_t id, int family, bool any)
{
	uint32_t address = family == AF_INET ? TYPE_IPV4 : TYPE_IPV6;
	uint32_t size = (uint32_t)address_size(family);

	nft_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	nl_put_string(batch, NFTA_SET_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_SET_NAME, nft_map_name(family, any));
	nl_put_be32(batch, NFTA_SET_FLAGS, NFT_SET_MAP);
	nl_put_be32(batch, NFTA_SET_KEY_TYPE, any ? TYPE_PROTOCOL << 6 | TYPE_PORT : TYPE_PROTOCOL << 12 | address << 6 | TYPE_PORT);
	nl_put_be32(batch, NFTA_SET_KEY_LEN, any ? 8 : size + 8);
	nl_put_be32(batch, NFTA_SET_DATA_TYPE, address << 6 | TYPE_PORT);
	nl_put_be32(batch, NFTA_SET_DATA_LEN, size + 4);
	nl_put_be32(batch, NFTA_SET_ID, id);
}

static void put_chain(struct nl_batch *batch, const struct chain *chain, const void *tag, size_t length)
{
	nft_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nl_put_string(batch, NFTA_CHAIN_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_CHAIN_NAME, chain->name);
	if (chain->type != NULL) {
		size_t hook = nl_nest(batch, NFTA_CHAIN_HOOK);
		nl_put_be32(batch, NFTA_HOOK_HOOKNUM, chain->hook);
		nl_put_be32(batch, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
		nl_nest_end(batch, hook);
		nl_put_string(batch, NFTA_CHAIN_TYPE, chain->type);
	}
	if (length > 0)
		nl_put(batch, NFTA_CHAIN_USERDATA, tag, length);
}

static void empty_chain(struct nl_batch *batch, const char *name)
{
	nft_message(batch, NFT_MSG_DELRULE, 0);
	nl_put_string(batch, NFTA_RULE_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_RULE_CHAIN, name);
}

/* A chain that is certainly empty and has this tag, whatever it was before: made, emptied, removed, made. */
static void put_fresh_chain(struct nl_batch *batch, const struct chain *chain, const void *tag, size_t length)
{
	put_chain(batch, chain, NULL, 0);
	empty_chain(batch, chain->name);
	nft_message(batch, NFT_MSG_DELCHAIN, 0);
	nl_put_string(batch, NFTA_CHAIN_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_CHAIN_NAME, chain->name);
	put_chain(batch, chain, tag, length);
}

static void match_family(struct nl_batch *batch, int family)
{
	const uint8_t number = family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
	nft_meta(batch, NFT_META_NFPROTO, REG(0));
	nft_compare(batch, NFT_CMP_EQ, REG(0), &number, sizeof(number));
}

/* protocol . [address .] port → address . port, all from the first register on. */
static void put_port_rule(struct nl_batch *batch, int family, bool any)
{
	uint32_t size = (uint32_t)address_size(family);
	uint32_t words = size / 4;
	size_t rule = nft_rule_begin(batch, "hostports");

	match_family(batch, family);
	nft_meta(batch, NFT_META_L4PROTO, REG(0));
	if (!any)
		nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, family == AF_INET ? 16 : 24, size, REG(1));
	nft_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, any ? REG(1) : REG(1 + words));
	nft_lookup(batch, nft_map_name(family, any), REG(0));
	nft_dnat(batch, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6, REG(0), REG(words));
	nft_rule_end(batch, rule);
}

static void put_jump(struct nl_batch *batch, const char *chain)
{
	size_t rule = nft_rule_begin(batch, chain);
	nft_local_destination(batch);
	nft_verdict(batch, NFT_JUMP, "hostports");
	nft_rule_end(batch, rule);
}

static void put_shared(struct nl_batch *batch)
{
	static const struct chain ports = { .name = "hostports" };
	static const struct chain prerouting = { "prerouting", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST };
	static const struct chain output = { "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST };

	nft_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nl_put_string(batch, NFTA_TABLE_NAME, NFT_TABLE);
	for (int any = 0; any < 2; any++) {
		put_map(batch, 1 + 2 * (uint32_t)any, AF_INET, any == 1);
		put_map(batch, 2 + 2 * (uint32_t)any, AF_INET6, any == 1);
	}
	put_chain(batch, &ports, NULL, 0);
	put_chain(batch, &prerouting, NULL, 0);
	put_chain(batch, &output, NULL, 0);
	empty_chain(batch, ports.name);
	empty_chain(batch, prerouting.name);
	empty_chain(batch, output.name);
	for (int any = 0; any < 2; any++) {
		put_port_rule(batch, AF_INET, any == 1);
		put_port_rule(batch, AF_INET6, any == 1);
	}
	put_jump(batch, prerouting.name);
	put_jump(batch, output.name);
}

static void match_interface(struct nl_batch *batch, uint32_t key, const char *name)
{
	char padded[IFNAMSIZ] = { 0 };
	snprintf(padded, sizeof(padded), "%s", name);
	nft_meta(batch, key, REG(0));
	nft_compare(batch, NFT_CMP_EQ, REG(0), padded, sizeof(padded));
}

/* `offset` of the address in the network header. */
static void match_subnet(struct nl_batch *batch, uint32_t offset, uint32_t operation, const struct address *subnet,
			 unsigned int prefix)
{
	size_t size = address_size(subnet->family);
	struct address mask = address_from_number(subnet->family, address_mask(subnet->family, prefix));
	nft_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, (uint32_t)size, REG(0));
	nft_mask(batch, REG(0), mask.bytes, size);
	nft_compare(batch, operation, REG(0), subnet->bytes, size);
}

static void put_masquerade_subnet(struct nl_batch *batch, const char *chain, const struct range *range)
{
	int family = range->subnet.family;
	uint32_t source = family == AF_INET ? 12 : 8;
	uint32_t destination = family == AF_INET ? 16 : 24;
	const struct address multicast = { .family = family, .bytes = { family == AF_INET ? 0xe0 : 0xff } };
	size_t rule = nft_rule_begin(batch, chain);

	match_family(batch, family);
	match_subnet(batch, source, NFT_CMP_EQ, &range->subnet, range->prefix);
	match_subnet(batch, destination, NFT_CMP_NEQ, &range->subnet, range->prefix);
	match_subnet(batch, destination, NFT_CMP_NEQ, &multicast, family == AF_INET ? 4 : 8);
	nft_masquerade(batch);
	nft_rule_end(batch, rule);
}

/* From a pod to a host port that leads back into the bridge; and from the machine's own loopback. */
static void put_returning(struct nl_batch *batch, const char *chain, const char *bridge, const struct address *source,
			  unsigned int prefix)
{
	size_t rule = nft_rule_begin(batch, chain);
	match_interface(batch, NFT_META_OIFNAME, bridge);
	match_family(batch, source->family);
	match_subnet(batch, source->family == AF_INET ? 12 : 8, NFT_CMP_EQ, source, prefix);
	nft_translated(batch);
	nft_masquerade(batch);
	nft_rule_end(batch, rule);
}

static void put_network(struct nl_batch *batch, const struct config *config, const void *tag, size_t length)
{
	static const struct address loopback = { .family = AF_INET, .bytes = { 127 } };
	struct chain post = { .type = "nat", .hook = NF_INET_POST_ROUTING, .priority = NF_IP_PRI_NAT_SRC };
	struct chain guard = { .type = "filter", .hook = NF_INET_PRE_ROUTING, .priority = NF_IP_PRI_RAW };

	snprintf(post.name, sizeof(post.name), "%s.postrouting", config->name);
	snprintf(guard.name, sizeof(guard.name), "%s.guard", config->name);
	put_fresh_chain(batch, &guard, NULL, 0);
	put_fresh_chain(batch, &post, tag, length);
	for (unsigned int i = 0; i < config->range_count; i++) {
		const struct range *range = &config->ranges[i];
		put_returning(batch, post.name, config->bridge, &range->subnet, range->prefix);
		if (config->masquerade)
			put_masquerade_subnet(batch, post.name, range);
	}
	put_returning(batch, post.name, config->bridge, &loopback, 8);
	size_t rule = nft_rule_begin(batch, guard.name);
	match_interface(batch, NFT_META_IIFNAME, config->bridge);
	match_family(batch, AF_INET);
	match_subnet(batch, 16, NFT_CMP_EQ, &loopback, 8);
	nft_verdict(batch, NF_DROP, NULL);
	nft_rule_end(batch, rule);
}

/* What the rules were made from, kept at the chain to see whether they still fit. At most 255 bytes. */
static size_t make_tag(const struct config *config, char *tag, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	size_t used = (size_t)snprintf(tag, size, "1 %s %d", config->bridge, config->masquerade);
	for (unsigned int i = 0; i < config->range_count && used < size; i++)
		used += (size_t)snprintf(tag + used, size - used, " %s/%u", address_text(&config->ranges[i].subnet, text),
					 config->ranges[i].prefix);
	return used < size ? used : size - 1;
}

struct tag_search {
	const char *tag;
	size_t length;
	bool same;
};

static void read_chain(const struct nlmsghdr *message, void *argument)
{
	struct tag_search *search = argument;
	size_t skip = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	if (message->nlmsg_len <= skip)
		return;
	const struct nlattr *tag = nl_find((const uint8_t *)message + skip, message->nlmsg_len - skip, NFTA_CHAIN_USERDATA);
	search->same = tag != NULL && nl_length(tag) == search->length && memcmp(nl_data(tag), search->tag, search->length) == 0;
}

int nft_ensure(int socket, struct nl_batch *batch, const struct config *config, struct error *err)
{
	char name[160], tag[256];
	struct nl_answer answer;
	struct tag_search search = { .tag = tag, .length = make_tag(config, tag, sizeof(tag)) };

	snprintf(name, sizeof(name), "%s.postrouting", config->name);
	nl_reset(batch);
	nft_message(batch, NFT_MSG_GETCHAIN, NLM_F_ACK);
	nl_put_string(batch, NFTA_CHAIN_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_CHAIN_NAME, name);
	int result = nl_exchange(socket, batch, read_chain, &search, &answer, err);
	if (result < 0 || search.same)
		return result;
	nft_batch_begin(batch);
	put_shared(batch);
	put_network(batch, config, tag, search.length);
	nft_batch_end(batch);
	result = nl_exchange(socket, batch, NULL, NULL, &answer, err);
	if (result < 0 || answer.code == 0)
		return result;
	return error_set(err, answer.code, "network", NFT_TABLE, "cannot set up address translation (message %u): %s %s",
			 answer.failed, strerror(answer.code), answer.reason);
}

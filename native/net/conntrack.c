#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

/* What of a tuple the dump is filtered by: net/netfilter/nf_internals.h, CTA_FILTER_F_*; in no exported header. */
#define BY_PROTOCOL (1u << 3)
#define BY_DESTINATION_PORT (1u << 5)

#define TUPLE_MAX 128
#define FLOWS_MAX 128

struct flows {
	unsigned int count;
	struct {
		size_t length;
		uint8_t data[TUPLE_MAX];
	} tuples[FLOWS_MAX];
};

static void message(struct nl_batch *batch, uint16_t type, uint16_t flags, int family)
{
	const struct nfgenmsg body = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
	nl_reset(batch);
	nl_begin(batch, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags, &body, sizeof(body));
}

static void note_flow(const struct nlmsghdr *answer, void *argument)
{
	struct flows *flows = argument;
	size_t skip = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	if (answer->nlmsg_len <= skip || flows->count == FLOWS_MAX)
		return;
	const struct nlattr *tuple = nl_find((const uint8_t *)answer + skip, answer->nlmsg_len - skip, CTA_TUPLE_ORIG);
	if (tuple == NULL || nl_length(tuple) > TUPLE_MAX)
		return;
	flows->tuples[flows->count].length = nl_length(tuple);
	memcpy(flows->tuples[flows->count++].data, nl_data(tuple), nl_length(tuple));
}

static int find_flows(int socket, struct nl_batch *batch, int family, uint16_t port, struct flows *flows, struct error *err)
{
	const uint8_t udp = IPPROTO_UDP;
	const uint16_t network_port = htons(port);
	struct nl_answer answer;

	flows->count = 0;
	message(batch, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	size_t filter = nl_nest(batch, CTA_FILTER);
	nl_put_u32(batch, CTA_FILTER_ORIG_FLAGS, BY_PROTOCOL | BY_DESTINATION_PORT);
	nl_put_u32(batch, CTA_FILTER_REPLY_FLAGS, 0);
	nl_nest_end(batch, filter);
	size_t tuple = nl_nest(batch, CTA_TUPLE_ORIG);
	size_t protocol = nl_nest(batch, CTA_TUPLE_PROTO);
	nl_put(batch, CTA_PROTO_NUM, &udp, sizeof(udp));
	nl_put(batch, CTA_PROTO_DST_PORT, &network_port, sizeof(network_port));
	nl_nest_end(batch, protocol);
	nl_nest_end(batch, tuple);
	int result = nl_exchange(socket, batch, note_flow, flows, &answer, err);
	if (result < 0 || answer.code == 0)
		return result;
	return error_set(err, answer.code, "ports", "", "cannot list the flows to UDP port %u: %s %s", port,
			 strerror(answer.code), answer.reason);
}

static int forget_port(int socket, struct nl_batch *batch, int family, uint16_t port, struct flows *flows, struct error *err)
{
	struct nl_answer answer;

	do {
		int result = find_flows(socket, batch, family, port, flows, err);
		for (unsigned int i = 0; i < flows->count && result == 0; i++) {
			message(batch, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);
			nl_put(batch, CTA_TUPLE_ORIG | NLA_F_NESTED, flows->tuples[i].data, flows->tuples[i].length);
			/* ENOENT: it has ended meanwhile. */
			result = nl_exchange(socket, batch, NULL, NULL, &answer, err);
			if (result == 0 && answer.code != 0 && answer.code != ENOENT)
				result = error_set(err, answer.code, "ports", "", "cannot forget a flow to UDP port %u: %s", port,
						   strerror(answer.code));
		}
		if (result < 0)
			return result;
	} while (flows->count == FLOWS_MAX);
	return 0;
}

int conntrack_forget(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err)
{
	struct flows flows;
	bool families[2] = { false, false };
	int result = 0;

	for (unsigned int i = 0; i < attachment->address_count; i++)
		families[attachment->addresses[i].family == AF_INET6] = true;
	for (unsigned int i = 0; i < attachment->port_count && result == 0; i++) {
		if (attachment->ports[i].protocol != IPPROTO_UDP)
			continue;
		if (families[0])
			result = forget_port(socket, batch, AF_INET, attachment->ports[i].host_port, &flows, err);
		if (families[1] && result == 0)
			result = forget_port(socket, batch, AF_INET6, attachment->ports[i].host_port, &flows, err);
	}
	return result;
}

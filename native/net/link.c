#include "link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define STEP "network"

static int ask(int socket, struct nl_batch *batch, const char *path, const char *what, int allowed, struct error *err)
{
	struct nl_answer answer;
	int result = nl_exchange(socket, batch, NULL, NULL, &answer, err);
	if (result < 0 || answer.code == 0 || answer.code == allowed)
		return result;
	return error_set(err, answer.code, STEP, path, "%s: %s%s%s", what, strerror(answer.code),
			 answer.reason[0] == '\0' ? "" : ": ", answer.reason);
}

static void read_link(const struct nlmsghdr *message, void *argument)
{
	struct link *link = argument;
	const struct ifinfomsg *info = NLMSG_DATA(message);
	if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return;
	const void *attributes = (const uint8_t *)info + NLMSG_ALIGN(sizeof(*info));
	size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	const struct nlattr *mac = nl_find(attributes, length, IFLA_ADDRESS);
	const struct nlattr *master = nl_find(attributes, length, IFLA_MASTER);
	const struct nlattr *details = nl_find(attributes, length, IFLA_LINKINFO);
	const struct nlattr *kind = details == NULL ? NULL : nl_find(nl_data(details), nl_length(details), IFLA_INFO_KIND);

	link->found = true;
	link->index = info->ifi_index;
	if (mac != NULL && nl_length(mac) == sizeof(link->mac))
		memcpy(link->mac, nl_data(mac), sizeof(link->mac));
	if (master != NULL && nl_length(master) == 4)
		memcpy(&link->master, nl_data(master), 4);
	if (kind != NULL)
		snprintf(link->kind, sizeof(link->kind), "%.*s", (int)nl_length(kind), (const char *)nl_data(kind));
}

int link_find(int socket, struct nl_batch *batch, const char *name, struct link *link, struct error *err)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nl_answer answer;

	*link = (struct link){ 0 };
	nl_reset(batch);
	nl_begin(batch, RTM_GETLINK, NLM_F_ACK, &info, sizeof(info));
	nl_put_string(batch, IFLA_IFNAME, name);
	int result = nl_exchange(socket, batch, read_link, link, &answer, err);
	if (result < 0 || answer.code == 0 || answer.code == ENODEV)
		return result;
	return error_set(err, answer.code, STEP, name, "cannot look for the interface: %s", strerror(answer.code));
}

static void add_address(struct nl_batch *batch, int index, const struct address *address, unsigned int prefix)
{
	const struct ifaddrmsg info = {
		.ifa_family = (uint8_t)address->family, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (uint32_t)index,
	};
	nl_begin(batch, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nl_put(batch, IFA_LOCAL, address->bytes, address_size(address->family));
	if (address->family == AF_INET) {
		uint8_t broadcast[4];
		for (unsigned int i = 0; i < 4; i++) {
			unsigned int bits = prefix >= 8 * i + 8 ? 8 : prefix <= 8 * i ? 0 : prefix - 8 * i;
			broadcast[i] = (uint8_t)(address->bytes[i] | (0xff >> bits));
		}
		nl_put(batch, IFA_BROADCAST, broadcast, sizeof(broadcast));
		return;
	}
	/* Ours alone, so no second of waiting for a duplicate before it can be used. */
	nl_put_u32(batch, IFA_FLAGS, IFA_F_NODAD);
}

static void add_up(struct nl_batch *batch, int index)
{
	const struct ifinfomsg info = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	nl_begin(batch, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
}

static int create_bridge(int socket, struct nl_batch *batch, const struct config *config, struct error *err)
{
	const struct ifinfomsg info = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	uint8_t mac[6];

	/* Given an address, a bridge keeps it; else it takes that of a port, and changes it as pods come and go. */
	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return error_errno(err, STEP, config->bridge, "cannot choose a hardware address");
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
	nl_reset(batch);
	nl_begin(batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nl_put_string(batch, IFLA_IFNAME, config->bridge);
	nl_put(batch, IFLA_ADDRESS, mac, sizeof(mac));
	if (config->mtu > 0)
		nl_put_u32(batch, IFLA_MTU, config->mtu);
	size_t details = nl_nest(batch, IFLA_LINKINFO);
	nl_put_string(batch, IFLA_INFO_KIND, "bridge");
	nl_nest_end(batch, details);
	return ask(socket, batch, config->bridge, "cannot make the bridge", EEXIST, err);
}

/* Gateway addresses that are there already are no failure; each has its message, so one cannot hide another. */
static int give_gateways(int socket, struct nl_batch *batch, const struct config *config, int index, struct error *err)
{
	for (unsigned int i = 0; i < config->range_count; i++) {
		const struct range *range = &config->ranges[i];
		nl_reset(batch);
		add_address(batch, index, &range->gateway, range->prefix);
		int result = ask(socket, batch, config->bridge, "cannot give the bridge its address", EEXIST, err);
		if (result < 0)
			return result;
	}
	nl_reset(batch);
	add_up(batch, index);
	return ask(socket, batch, config->bridge, "cannot bring the bridge up", 0, err);
}

int link_ensure_bridge(int socket, struct nl_batch *batch, const struct config *config, struct link *bridge,
		       struct error *err)
{
	int result = link_find(socket, batch, config->bridge, bridge, err);
	if (result == 0 && !bridge->found) {
		result = create_bridge(socket, batch, config, err);
		if (result == 0)
			result = link_find(socket, batch, config->bridge, bridge, err);
	}
	if (result < 0)
		return result;
	if (!bridge->found || strcmp(bridge->kind, "bridge") != 0)
		return error_set(err, EEXIST, STEP, config->bridge, "there is an interface %s that is no bridge", config->bridge);
	return give_gateways(socket, batch, config, bridge->index, err);
}

/*
 * A pod that calls itself, by a host port or a service address, is answered through its own port of the
 * bridge: with br_netfilter (which kube-proxy asks for) a translated packet is bridged, not routed.
 */
static void add_hairpin(struct nl_batch *batch, const char *name)
{
	const struct ifinfomsg info = { 0 };
	const uint8_t on = 1;
	nl_begin(batch, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
	nl_put_string(batch, IFLA_IFNAME, name);
	size_t details = nl_nest(batch, IFLA_LINKINFO);
	nl_put_string(batch, IFLA_INFO_SLAVE_KIND, "bridge");
	size_t data = nl_nest(batch, IFLA_INFO_SLAVE_DATA);
	nl_put(batch, IFLA_BRPORT_MODE, &on, sizeof(on));
	nl_nest_end(batch, data);
	nl_nest_end(batch, details);
}

int link_create_pair(int socket, struct nl_batch *batch, const struct config *config, const struct attachment *attachment,
		     int bridge_index, int netns, struct error *err)
{
	const struct ifinfomsg host = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	const struct ifinfomsg pod = { 0 };

	nl_reset(batch);
	nl_begin(batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &host, sizeof(host));
	nl_put_string(batch, IFLA_IFNAME, attachment->host_interface);
	nl_put_u32(batch, IFLA_MASTER, (uint32_t)bridge_index);
	if (config->mtu > 0)
		nl_put_u32(batch, IFLA_MTU, config->mtu);
	size_t details = nl_nest(batch, IFLA_LINKINFO);
	nl_put_string(batch, IFLA_INFO_KIND, "veth");
	size_t data = nl_nest(batch, IFLA_INFO_DATA);
	size_t peer = nl_nest(batch, VETH_INFO_PEER);
	/* The peer's ifinfomsg stands in front of its attributes. */
	if (!batch->overflow && batch->length + sizeof(pod) <= sizeof(batch->data)) {
		memcpy(batch->data + batch->length, &pod, sizeof(pod));
		batch->length += NLMSG_ALIGN(sizeof(pod));
	}
	nl_put_string(batch, IFLA_IFNAME, attachment->interface);
	nl_put_u32(batch, IFLA_NET_NS_FD, (uint32_t)netns);
	if (config->mtu > 0)
		nl_put_u32(batch, IFLA_MTU, config->mtu);
	/* From the IPv4 address: who comes to an address later has its hardware address, and no neighbour errs. */
	for (unsigned int i = 0; i < attachment->address_count; i++) {
		const struct address *address = &attachment->addresses[i];
		if (address->family != AF_INET)
			continue;
		const uint8_t mac[6] = { 0x0a, 0x58, address->bytes[0], address->bytes[1], address->bytes[2], address->bytes[3] };
		nl_put(batch, IFLA_ADDRESS, mac, sizeof(mac));
		break;
	}
	nl_nest_end(batch, peer);
	nl_nest_end(batch, data);
	nl_nest_end(batch, details);
	add_hairpin(batch, attachment->host_interface);
	return ask(socket, batch, attachment->host_interface, "cannot make the pod's interface", 0, err);
}

const struct range *link_range_of(const struct config *config, const struct address *address)
{
	for (unsigned int i = 0; i < config->range_count; i++) {
		const struct range *range = &config->ranges[i];
		if (range->subnet.family == address->family &&
		    (address_number(address) & address_mask(address->family, range->prefix)) == address_number(&range->subnet))
			return range;
	}
	return NULL;
}

static void add_default_route(struct nl_batch *batch, int index, const struct address *gateway)
{
	const struct rtmsg route = {
		.rtm_family = (uint8_t)gateway->family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST,
	};
	nl_begin(batch, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &route, sizeof(route));
	nl_put(batch, RTA_GATEWAY, gateway->bytes, address_size(gateway->family));
	nl_put_u32(batch, RTA_OIF, (uint32_t)index);
}

int link_set_up_pod(int socket, struct nl_batch *batch, const struct config *config, const struct attachment *attachment,
		    struct link *pod, struct error *err)
{
	bool routed[2] = { false, false };
	int result = link_find(socket, batch, attachment->interface, pod, err);
	if (result < 0)
		return result;
	nl_reset(batch);
	for (unsigned int i = 0; i < attachment->address_count; i++) {
		const struct range *range = link_range_of(config, &attachment->addresses[i]);
		if (range != NULL)
			add_address(batch, pod->index, &attachment->addresses[i], range->prefix);
	}
	add_up(batch, pod->index);
	for (unsigned int i = 0; i < attachment->address_count; i++) {
		const struct range *range = link_range_of(config, &attachment->addresses[i]);
		bool *done = &routed[attachment->addresses[i].family == AF_INET6];
		if (range != NULL && !*done)
			add_default_route(batch, pod->index, &range->gateway);
		*done = true;
	}
	return ask(socket, batch, attachment->interface, "cannot set up the pod's interface", 0, err);
}

struct address_search {
	int index;
	const struct address *address;
	bool found;
};

static void read_address(const struct nlmsghdr *message, void *argument)
{
	struct address_search *search = argument;
	const struct ifaddrmsg *info = NLMSG_DATA(message);
	if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return;
	size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	const struct nlattr *address = nl_find((const uint8_t *)info + NLMSG_ALIGN(sizeof(*info)), length, IFA_ADDRESS);
	size_t size = address_size(search->address->family);
	if (info->ifa_index == (uint32_t)search->index && info->ifa_family == search->address->family && address != NULL &&
	    nl_length(address) == size && memcmp(nl_data(address), search->address->bytes, size) == 0)
		search->found = true;
}

int link_has_address(int socket, struct nl_batch *batch, int index, const struct address *address, bool *has,
		     struct error *err)
{
	const struct ifaddrmsg info = { .ifa_family = (uint8_t)address->family };
	struct address_search search = { .index = index, .address = address };
	struct nl_answer answer;

	nl_reset(batch);
	nl_begin(batch, RTM_GETADDR, NLM_F_DUMP, &info, sizeof(info));
	int result = nl_exchange(socket, batch, read_address, &search, &answer, err);
	*has = search.found;
	return result;
}

int link_delete(int socket, struct nl_batch *batch, const char *name, struct error *err)
{
	const struct ifinfomsg info = { 0 };
	nl_reset(batch);
	nl_begin(batch, RTM_DELLINK, NLM_F_ACK, &info, sizeof(info));
	nl_put_string(batch, IFLA_IFNAME, name);
	return ask(socket, batch, name, "cannot delete the interface", ENODEV, err);
}

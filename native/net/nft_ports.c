#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "nft.h"
#include "nft_message.h"

/* One element of a map. Each field of a key or value fills whole 32-bit registers. */
struct element {
	const char *map;
	int family;
	uint8_t key[24];
	uint8_t value[20];
	size_t key_length;
	size_t value_length;
};

static void fill(struct element *element, const struct port *port, const struct address *pod)
{
	size_t size = address_size(pod->family);
	uint16_t host_port = htons(port->host_port);
	uint16_t pod_port = htons(port->pod_port);

	bool any = address_is_any(&port->host);
	size_t key = 4;

	*element = (struct element){ .map = nft_map_name(pod->family, any), .family = pod->family };
	element->key[0] = port->protocol;
	if (!any) {
		memcpy(element->key + key, port->host.bytes, size);
		key += size;
	}
	memcpy(element->key + key, &host_port, sizeof(host_port));
	element->key_length = key + 4;
	element->value_length = size + 4;
	memcpy(element->value, pod->bytes, size);
	memcpy(element->value + size, &pod_port, sizeof(pod_port));
}

/* A port without host address is for the pod's first address of each family; returns how many, at most 2. */
static unsigned int elements_of(const struct attachment *attachment, const struct port *port, struct element elements[2])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < attachment->address_count && count < 2; i++) {
		const struct address *pod = &attachment->addresses[i];
		bool wanted = port->host.family == AF_UNSPEC || port->host.family == pod->family;
		if (wanted && (count == 0 || elements[0].family != pod->family))
			fill(&elements[count++], port, pod);
	}
	return count;
}

static void put_element(struct nl_batch *batch, uint16_t type, uint16_t flags, const struct element *element)
{
	nft_message(batch, type, flags);
	nl_put_string(batch, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	nl_put_string(batch, NFTA_SET_ELEM_LIST_SET, element->map);
	size_t list = nl_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
	size_t item = nl_nest(batch, NFTA_LIST_ELEM);
	nft_value(batch, NFTA_SET_ELEM_KEY, element->key, element->key_length);
	if (type == NFT_MSG_NEWSETELEM)
		nft_value(batch, NFTA_SET_ELEM_DATA, element->value, element->value_length);
	nl_nest_end(batch, item);
	nl_nest_end(batch, list);
}

static int taken(const struct attachment *attachment, uint32_t failed, struct error *err)
{
	struct element elements[2];
	uint32_t message = 1; /* message 0 begins the batch */

	for (unsigned int i = 0; i < attachment->port_count; i++) {
		const struct port *port = &attachment->ports[i];
		message += elements_of(attachment, port, elements);
		if (failed < message)
			return error_set(err, EEXIST, "ports", "", "the host port %u/%s is in use by another pod",
					 port->host_port, port_protocol_name(port->protocol));
	}
	return error_set(err, EEXIST, "ports", "", "a host port is in use by another pod");
}

int nft_add_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err)
{
	struct element elements[2];
	struct nl_answer answer;
	unsigned int total = 0;

	nft_batch_begin(batch);
	for (unsigned int i = 0; i < attachment->port_count; i++) {
		unsigned int count = elements_of(attachment, &attachment->ports[i], elements);
		for (unsigned int j = 0; j < count; j++)
			put_element(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, &elements[j]);
		total += count;
	}
	if (total == 0)
		return 0;
	nft_batch_end(batch);
	int result = nl_exchange(socket, batch, NULL, NULL, &answer, err);
	if (result < 0 || answer.code == 0)
		return result;
	if (answer.code == EEXIST)
		return taken(attachment, answer.failed, err);
	return error_set(err, answer.code, "ports", "", "cannot add the host ports: %s %s", strerror(answer.code), answer.reason);
}

struct element_search {
	const struct element *element;
	bool same; /* the map has the key, with our value */
};

static void read_element(const struct nlmsghdr *message, void *argument)
{
	struct element_search *search = argument;
	size_t skip = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	if (message->nlmsg_len <= skip)
		return;
	const struct nlattr *at = nl_find((const uint8_t *)message + skip, message->nlmsg_len - skip, NFTA_SET_ELEM_LIST_ELEMENTS);
	static const uint16_t path[] = { NFTA_LIST_ELEM, NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE };
	for (size_t i = 0; i < 3 && at != NULL; i++)
		at = nl_find(nl_data(at), nl_length(at), path[i]);
	/* The kernel gives values back in whole registers. */
	if (at != NULL && nl_length(at) >= search->element->value_length - 2 &&
	    memcmp(nl_data(at), search->element->value, search->element->value_length - 2) == 0)
		search->same = true;
}

static int is_ours(int socket, struct nl_batch *batch, const struct element *element, bool *ours, struct error *err)
{
	struct element_search search = { .element = element };
	struct nl_answer answer;

	nl_reset(batch);
	put_element(batch, NFT_MSG_GETSETELEM, NLM_F_ACK, element);
	int result = nl_exchange(socket, batch, read_element, &search, &answer, err);
	*ours = search.same;
	if (result < 0 || answer.code == 0 || answer.code == ENOENT)
		return result;
	return error_set(err, answer.code, "ports", "", "cannot look for a host port: %s", strerror(answer.code));
}

int nft_remove_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, struct error *err)
{
	struct element elements[2];
	struct nl_answer answer;

	for (unsigned int i = 0; i < attachment->port_count; i++) {
		unsigned int count = elements_of(attachment, &attachment->ports[i], elements);
		for (unsigned int j = 0; j < count; j++) {
			bool ours;
			int result = is_ours(socket, batch, &elements[j], &ours, err);
			if (result < 0)
				return result;
			if (!ours)
				continue;
			nft_batch_begin(batch);
			put_element(batch, NFT_MSG_DELSETELEM, 0, &elements[j]);
			nft_batch_end(batch);
			result = nl_exchange(socket, batch, NULL, NULL, &answer, err);
			if (result < 0)
				return result;
			if (answer.code != 0 && answer.code != ENOENT)
				return error_set(err, answer.code, "ports", "", "cannot remove the host port %u: %s",
						 attachment->ports[i].host_port, strerror(answer.code));
		}
	}
	return 0;
}

int nft_has_ports(int socket, struct nl_batch *batch, const struct attachment *attachment, bool *has, struct error *err)
{
	struct element elements[2];

	*has = true;
	for (unsigned int i = 0; i < attachment->port_count; i++) {
		unsigned int count = elements_of(attachment, &attachment->ports[i], elements);
		for (unsigned int j = 0; j < count && *has; j++) {
			int result = is_ours(socket, batch, &elements[j], has, err);
			if (result < 0)
				return result;
		}
	}
	return 0;
}

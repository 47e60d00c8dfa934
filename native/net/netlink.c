#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/scope.h"

void nl_reset(struct nl_batch *batch)
{
	batch->length = 0;
	batch->message = 0;
	batch->sequence = 0;
	batch->overflow = false;
}

static void *grow(struct nl_batch *batch, size_t length)
{
	size_t aligned = NLMSG_ALIGN(length);
	if (batch->overflow || batch->length + aligned > sizeof(batch->data)) {
		batch->overflow = true;
		return NULL;
	}
	uint8_t *at = batch->data + batch->length;
	memset(at, 0, aligned);
	batch->length += aligned;
	if (batch->length > batch->message + sizeof(struct nlmsghdr))
		((struct nlmsghdr *)(batch->data + batch->message))->nlmsg_len = (uint32_t)(batch->length - batch->message);
	return at;
}

void nl_begin(struct nl_batch *batch, uint16_t type, uint16_t flags, const void *body, size_t length)
{
	batch->message = batch->length;
	struct nlmsghdr *header = grow(batch, sizeof(*header));
	if (header == NULL)
		return;
	header->nlmsg_len = sizeof(*header);
	header->nlmsg_type = type;
	header->nlmsg_flags = flags | NLM_F_REQUEST;
	header->nlmsg_seq = batch->sequence++;
	void *at = grow(batch, length);
	if (at != NULL && length > 0)
		memcpy(at, body, length);
}

void nl_put(struct nl_batch *batch, uint16_t type, const void *data, size_t length)
{
	struct nlattr *attribute = grow(batch, NLA_HDRLEN + length);
	if (attribute == NULL)
		return;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + length);
	if (length > 0)
		memcpy((uint8_t *)attribute + NLA_HDRLEN, data, length);
}

void nl_put_u32(struct nl_batch *batch, uint16_t type, uint32_t value)
{
	nl_put(batch, type, &value, sizeof(value));
}

void nl_put_be32(struct nl_batch *batch, uint16_t type, uint32_t value)
{
	nl_put_u32(batch, type, htonl(value));
}

void nl_put_string(struct nl_batch *batch, uint16_t type, const char *value)
{
	nl_put(batch, type, value, strlen(value) + 1);
}

size_t nl_nest(struct nl_batch *batch, uint16_t type)
{
	size_t nest = batch->length;
	nl_put(batch, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void nl_nest_end(struct nl_batch *batch, size_t nest)
{
	if (!batch->overflow)
		((struct nlattr *)(batch->data + nest))->nla_len = (uint16_t)(batch->length - nest);
}

int nl_open(int protocol, struct error *err)
{
	const int on = 1;
	scope_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return error_errno(err, "network", "", "cannot open a netlink socket");
	/* Both only make failures clearer and replies shorter. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return take_fd(&fd);
}

const struct nlattr *nl_find(const void *attributes, size_t length, uint16_t type)
{
	const uint8_t *at = attributes;

	while (length >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const struct nlattr *)at;
		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > length)
			return NULL;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
		size_t step = NLA_ALIGN(attribute->nla_len);
		if (step >= length)
			return NULL;
		at += step;
		length -= step;
	}
	return NULL;
}

const void *nl_data(const struct nlattr *attribute)
{
	return (const uint8_t *)attribute + NLA_HDRLEN;
}

size_t nl_length(const struct nlattr *attribute)
{
	return attribute->nla_len - NLA_HDRLEN;
}

static void note_failure(const struct nlmsghdr *message, struct nl_answer *answer)
{
	const struct nlmsgerr *failure = NLMSG_DATA(message);
	if (failure->error == 0 || answer->code != 0)
		return;
	answer->code = -failure->error;
	answer->failed = message->nlmsg_seq;
	size_t skip = NLMSG_HDRLEN + sizeof(*failure);
	if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0 || message->nlmsg_len <= skip)
		return;
	const struct nlattr *text = nl_find((const uint8_t *)message + skip, message->nlmsg_len - skip, NLMSGERR_ATTR_MSG);
	if (text != NULL)
		snprintf(answer->reason, sizeof(answer->reason), "%.*s", (int)nl_length(text), (const char *)nl_data(text));
}

/* Goes through one datagram; true when the last message of the batch has been answered. */
static bool read_answers(const uint8_t *data, size_t length, uint32_t last, nl_handler handler, void *argument,
			 struct nl_answer *answer)
{
	bool complete = false;
	const struct nlmsghdr *message = (const struct nlmsghdr *)data;

	for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
		bool done = message->nlmsg_type == NLMSG_DONE;
		if (message->nlmsg_type == NLMSG_ERROR)
			note_failure(message, answer);
		else if (!done && handler != NULL)
			handler(message, argument);
		if ((done || message->nlmsg_type == NLMSG_ERROR) && message->nlmsg_seq == last)
			complete = true;
	}
	return complete;
}

int nl_exchange(int fd, struct nl_batch *batch, nl_handler handler, void *argument, struct nl_answer *answer,
		struct error *err)
{
	_Alignas(struct nlmsghdr) uint8_t reply[32768];
	*answer = (struct nl_answer){ 0 };

	if (batch->overflow)
		return error_set(err, EMSGSIZE, "network", "", "the request is too long for one netlink message");
	if (TEMP_FAILURE_RETRY(send(fd, batch->data, batch->length, 0)) < 0)
		return error_errno(err, "network", "", "cannot ask the kernel");
	for (;;) {
		ssize_t got = TEMP_FAILURE_RETRY(recv(fd, reply, sizeof(reply), 0));
		if (got < 0)
			return error_errno(err, "network", "", "cannot read the kernel's answer");
		if (read_answers(reply, (size_t)got, batch->sequence - 1, handler, argument, answer))
			return 0;
	}
}

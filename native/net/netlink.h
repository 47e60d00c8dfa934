/* Netlink messages, many in one send: each system call is a round trip that a pod's start pays for. */
#ifndef BERTH_NET_NETLINK_H
#define BERTH_NET_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

#define NL_BATCH_SIZE (64 * 1024)

struct nl_batch {
	uint8_t data[NL_BATCH_SIZE];
	size_t length;
	size_t message; /* where the current message starts */
	uint32_t sequence;
	bool overflow;
};

void nl_reset(struct nl_batch *batch);
/* Starts a message; NLM_F_REQUEST is added. Ends with the next nl_begin or the exchange. */
void nl_begin(struct nl_batch *batch, uint16_t type, uint16_t flags, const void *body, size_t length);
void nl_put(struct nl_batch *batch, uint16_t type, const void *data, size_t length);
void nl_put_u32(struct nl_batch *batch, uint16_t type, uint32_t value);
void nl_put_be32(struct nl_batch *batch, uint16_t type, uint32_t value);
void nl_put_string(struct nl_batch *batch, uint16_t type, const char *value);
/* Nested attributes lie between these two. */
size_t nl_nest(struct nl_batch *batch, uint16_t type);
void nl_nest_end(struct nl_batch *batch, size_t nest);

/* A socket of `protocol` in the calling thread's network namespace. */
int nl_open(int protocol, struct error *err);

/* Called for each message that is no acknowledgement. */
typedef void (*nl_handler)(const struct nlmsghdr *message, void *argument);

struct nl_answer {
	int code;           /* 0, or the first failure's positive errno */
	uint32_t failed;    /* which message failed, from 0 */
	char reason[128];   /* the kernel's own words, where it has any */
};

/*
 * Sends the batch and reads until its last message, which must ask for NLM_F_ACK or NLM_F_DUMP, is
 * answered. What the kernel says goes into `answer`; the return value is negative only where the
 * conversation itself failed.
 */
int nl_exchange(int fd, struct nl_batch *batch, nl_handler handler, void *argument, struct nl_answer *answer,
		struct error *err);

/* Finds an attribute in `length` bytes of them; NULL when it is not there or cut short. */
const struct nlattr *nl_find(const void *attributes, size_t length, uint16_t type);
const void *nl_data(const struct nlattr *attribute);
size_t nl_length(const struct nlattr *attribute);

#endif

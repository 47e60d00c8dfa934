/*
 * One framed connection on a non-blocking stream socket: decoding, the HELLO handshake, and output with
 * back-pressure. Whatever goes wrong, the channel is torn down in one place (its own event), so that no
 * caller of channel_send ever finds it freed beneath its feet.
 */
#ifndef BERTH_COMMON_CHANNEL_H
#define BERTH_COMMON_CHANNEL_H

#include <jansson.h>

#include "buffer.h"
#include "frame.h"
#include "loop.h"

struct channel;

struct channel_handlers {
	/* A frame after the handshake. A negative return ends the channel. */
	int (*frame)(struct channel *channel, const struct frame *frame);
	/* Queued output fell below the mark at which channel_full holds, or to nothing; may be NULL. */
	void (*drained)(struct channel *channel);
	/* The last call: the channel is closed and its owner may free it. */
	void (*closed)(struct channel *channel);
};

struct channel {
	struct watch watch;
	struct loop *loop;
	const struct channel_handlers *handlers;
	const char *program;
	struct buffer in;
	struct buffer out;
	bool hello;      /* the peer's HELLO has been seen */
	bool held;       /* the owner does not want to read */
	bool broken;     /* to be torn down at the next event */
};

/* Takes `fd` over, sends HELLO and starts reading. On failure the descriptor is closed. */
int channel_open(struct channel *channel, struct loop *loop, int fd, const char *program,
		 const struct channel_handlers *handlers);

/* Queues or writes one frame. A failure breaks the channel, which is then closed from the loop. */
void channel_send(struct channel *channel, uint32_t id, uint8_t type, const void *payload, size_t size);
/* Takes the reference to `object` over; NULL breaks the channel (memory is out). */
void channel_send_json(struct channel *channel, uint32_t id, uint8_t type, json_t *object);
void channel_send_error(struct channel *channel, uint32_t id, const struct error *err);

/* True when producers should pause. */
bool channel_full(const struct channel *channel);
/* Stops or resumes reading from the peer. To be resumed from the loop only, never inside a frame's handler. */
void channel_hold(struct channel *channel, bool hold);
/* Ends the channel at the loop's next turn. */
void channel_break(struct channel *channel);

json_t *error_to_json(const struct error *err);

#endif

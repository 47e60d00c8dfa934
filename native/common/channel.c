#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "protocol.h"

/* Producers pause above this, and so does the reading of further requests. */
#define OUT_HIGH ((size_t)256 << 10)
/* Replies to one batch of requests can exceed OUT_HIGH; a peer that lets this much pile up is broken. */
#define OUT_MAX ((size_t)4 << 20)

/* Paths and messages may hold bytes that are no UTF-8, which JSON cannot carry: '?' stands for them. */
static json_t *lossy_text(const char *text)
{
	json_t *exact = json_string(text);
	char *copy;

	if (exact != NULL)
		return exact;
	copy = strdup(text);
	for (char *at = copy; at != NULL && *at != '\0'; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	exact = copy == NULL ? NULL : json_string(copy);
	free(copy);
	return exact;
}

json_t *error_to_json(const struct error *err)
{
	return json_pack("{s:s, s:o, s:i, s:s, s:o}", "step", err->step, "path", lossy_text(err->path), "errno",
			 err->code, "errnoName", error_name(err->code), "message", lossy_text(err->message));
}

static void update_watch(struct channel *channel)
{
	uint32_t events = 0;

	if (!channel->held && channel->out.length < OUT_HIGH)
		events |= EPOLLIN;
	if (channel->out.length > 0)
		events |= EPOLLOUT;
	if (watch_set(channel->loop, &channel->watch, events) < 0)
		channel_break(channel);
}

void channel_break(struct channel *channel)
{
	if (channel->broken)
		return;
	channel->broken = true;
	/* Makes epoll report EPOLLHUP, whatever events are asked for. */
	shutdown(channel->watch.fd, SHUT_RDWR);
}

static void queue(struct channel *channel, const struct iovec parts[2], size_t skip)
{
	for (int i = 0; i < 2; i++) {
		size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;

		skip -= cut;
		if (buffer_append(&channel->out, (const char *)parts[i].iov_base + cut, parts[i].iov_len - cut) < 0)
			channel_break(channel);
	}
	if (channel->out.length > OUT_MAX)
		channel_break(channel);
}

void channel_send(struct channel *channel, uint32_t id, uint8_t type, const void *payload, size_t size)
{
	uint8_t header[FRAME_HEADER_SIZE];
	struct iovec parts[2] = { { header, sizeof(header) }, { (void *)payload, size } };
	ssize_t sent = 0;

	if (channel->broken)
		return;
	if (size > FRAME_PAYLOAD_MAX) {
		channel_break(channel);
		return;
	}
	frame_header(header, (uint32_t)size, id, type);
	if (channel->out.length == 0) {
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
		sent = sendmsg(channel->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			channel_break(channel);
			return;
		}
		sent = sent < 0 ? 0 : sent;
	}
	if ((size_t)sent == sizeof(header) + size)
		return;
	queue(channel, parts, (size_t)sent);
	if (!channel->broken)
		update_watch(channel);
}

void channel_send_json(struct channel *channel, uint32_t id, uint8_t type, json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

	json_decref(object);
	if (text == NULL) {
		channel_break(channel);
		return;
	}
	channel_send(channel, id, type, text, strlen(text));
	free(text);
}

void channel_send_error(struct channel *channel, uint32_t id, const struct error *err)
{
	channel_send_json(channel, id, MESSAGE_ERROR, error_to_json(err));
}

bool channel_full(const struct channel *channel)
{
	return !channel->broken && channel->out.length >= OUT_HIGH;
}

static void flush(struct channel *channel)
{
	bool was_full = channel_full(channel);

	while (channel->out.length > 0) {
		ssize_t sent = send(channel->watch.fd, buffer_head(&channel->out), channel->out.length,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR)
				channel_break(channel);
			break;
		}
		buffer_consume(&channel->out, (size_t)sent);
	}
	if (((was_full && !channel_full(channel)) || channel->out.length == 0) && channel->handlers->drained != NULL)
		channel->handlers->drained(channel);
}

static int take_hello(struct channel *channel, const struct frame *frame)
{
	struct error err;
	json_t *hello;
	int version;

	if (frame->type != MESSAGE_HELLO) {
		error_set(&err, EPROTO, "protocol", "", "the first frame is not HELLO");
		channel_send_error(channel, frame->id, &err);
		return -EPROTO;
	}
	hello = json_loadb((const char *)frame->payload, frame->length, 0, NULL);
	version = (int)json_integer_value(json_object_get(hello, "version"));
	json_decref(hello);
	if (version != PROTOCOL_VERSION) {
		error_set(&err, EPROTO, "protocol", "", "protocol version %d is spoken here, not %d",
			  PROTOCOL_VERSION, version);
		channel_send_error(channel, frame->id, &err);
		return -EPROTO;
	}
	channel->hello = true;
	return 0;
}

/* Handles the whole frames that are there, as long as the owner wants more. */
static int take_frames(struct channel *channel)
{
	while (channel->in.length > 0 && !channel->broken && !channel->held) {
		struct frame frame;
		int size = frame_decode(buffer_head(&channel->in), channel->in.length, &frame);
		int result;

		if (size == 0)
			return 0;
		if (size < 0) {
			struct error err;
			error_set(&err, -size, "protocol", "", "%s",
				  size == -EMSGSIZE ? "a frame is too long" : "a frame's type is unknown");
			channel_send_error(channel, 0, &err);
			return size;
		}
		result = channel->hello ? channel->handlers->frame(channel, &frame) : take_hello(channel, &frame);
		buffer_consume(&channel->in, (size_t)size);
		if (result < 0)
			return result;
	}
	return 0;
}

static void tear_down(struct channel *channel)
{
	/* What is queued may hold the ERROR that explains the end: one last try. */
	if (channel->out.length > 0 && channel->watch.fd >= 0)
		(void)!send(channel->watch.fd, buffer_head(&channel->out), channel->out.length,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	channel->broken = true;
	watch_close(channel->loop, &channel->watch);
	buffer_free(&channel->in);
	buffer_free(&channel->out);
	channel->handlers->closed(channel);
}

static int read_more(struct channel *channel)
{
	ssize_t got = recv(channel->watch.fd, channel->loop->scratch, LOOP_SCRATCH_SIZE, MSG_DONTWAIT);

	if (got == 0)
		return -EPIPE;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return buffer_append(&channel->in, channel->loop->scratch, (size_t)got);
}

static void channel_ready(struct watch *watch, uint32_t events)
{
	struct channel *channel = OWNER_OF(watch, struct channel, watch);
	int result = 0;

	if (events & EPOLLOUT)
		flush(channel);
	if (!channel->broken && (events & EPOLLIN) && (watch->events & EPOLLIN)) {
		result = read_more(channel);
		if (result == 0)
			result = take_frames(channel);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		result = -EPIPE;
	}
	if (result < 0 || channel->broken) {
		tear_down(channel);
		return;
	}
	update_watch(channel);
}

void channel_hold(struct channel *channel, bool hold)
{
	if (channel->held == hold || channel->broken)
		return;
	channel->held = hold;
	/* Frames that are already read must not wait for the peer's next byte. */
	if (!hold && take_frames(channel) < 0)
		channel_break(channel);
	if (!channel->broken)
		update_watch(channel);
}

int channel_open(struct channel *channel, struct loop *loop, int fd, const char *program,
		 const struct channel_handlers *handlers)
{
	int result;

	memset(channel, 0, sizeof(*channel));
	channel->watch = (struct watch){ .fd = fd, .ready = channel_ready };
	channel->loop = loop;
	channel->handlers = handlers;
	channel->program = program;
	result = watch_set(loop, &channel->watch, EPOLLIN);
	if (result < 0) {
		watch_close(loop, &channel->watch);
		return result;
	}
	channel_send_json(channel, 0, MESSAGE_HELLO,
			  json_pack("{s:i, s:s, s:i}", "version", PROTOCOL_VERSION, "program", program, "pid",
				    (int)getpid()));
	return 0;
}

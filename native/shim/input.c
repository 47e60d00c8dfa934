#include "input.h"

#include <errno.h>
#include <unistd.h>

#define PENDING_HIGH ((size_t)64 << 10)

void input_drop(struct input *input)
{
	bool was_full = input_full(input);

	watch_close(input->loop, &input->watch);
	buffer_free(&input->pending);
	if (was_full && input->drained != NULL)
		input->drained(input);
}

static void input_ready(struct watch *watch, uint32_t events)
{
	struct input *input = OWNER_OF(watch, struct input, watch);
	bool was_full = input_full(input);
	ssize_t written = write(watch->fd, buffer_head(&input->pending), input->pending.length);

	(void)events;
	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (written < 0) {
		input_drop(input); /* EPIPE: the process closed its standard input, the rest is nobody's */
		return;
	}
	buffer_consume(&input->pending, (size_t)written);
	if (input->pending.length == 0) {
		/* Removed and not only masked: a closed reader would be reported all the same. */
		watch_pause(input->loop, watch);
		if (input->ending) {
			input_drop(input);
			return;
		}
	}
	if (was_full && !input_full(input) && input->drained != NULL)
		input->drained(input);
}

void input_start(struct input *input, struct loop *loop, int fd)
{
	input->loop = loop;
	input->watch = (struct watch){ .fd = fd, .ready = input_ready };
	input->ending = false;
}

bool input_full(const struct input *input)
{
	return input->watch.fd >= 0 && input->pending.length >= PENDING_HIGH;
}

void input_write(struct input *input, const void *bytes, size_t size)
{
	ssize_t written = 0;

	if (input->watch.fd < 0 || input->ending)
		return;
	if (input->pending.length == 0) {
		written = write(input->watch.fd, bytes, size);
		if (written < 0 && errno != EAGAIN && errno != EINTR) {
			input_drop(input);
			return;
		}
		written = written < 0 ? 0 : written;
	}
	if ((size_t)written == size)
		return;
	if (buffer_append(&input->pending, (const char *)bytes + written, size - (size_t)written) < 0 ||
	    watch_set(input->loop, &input->watch, EPOLLOUT) < 0)
		input_drop(input);
}

void input_end(struct input *input)
{
	input->ending = true;
	if (input->pending.length == 0)
		input_drop(input);
}

#include "stream.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

void stream_drop(struct stream *stream)
{
	stream->ended = true;
	watch_close(stream->loop, &stream->watch);
}

static void finish(struct stream *stream)
{
	stream_drop(stream);
	stream->end(stream);
}

static void stream_ready(struct watch *watch, uint32_t events)
{
	struct stream *stream = OWNER_OF(watch, struct stream, watch);
	size_t room = LOOP_SCRATCH_SIZE;
	ssize_t got;

	(void)events;
	if (stream->full(stream)) {
		/* Removed and not only masked: a hang-up of the writers would be reported all the same. */
		watch_pause(stream->loop, watch);
		return;
	}
	if (stream->bounded && stream->budget < (int)room)
		room = (size_t)stream->budget;
	got = room == 0 ? 0 : read(watch->fd, stream->loop->scratch, room);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		stream->budget -= stream->bounded ? (int)got : 0;
		stream->data(stream, stream->loop->scratch, (size_t)got);
		return;
	}
	/* 0: no writer is left. EIO: the terminal's other side is closed for good. */
	finish(stream);
}

int stream_start(struct stream *stream, struct loop *loop, int fd)
{
	stream->loop = loop;
	stream->watch = (struct watch){ .fd = fd, .ready = stream_ready };
	stream->ended = fd < 0;
	return fd < 0 ? 0 : watch_set(loop, &stream->watch, EPOLLIN);
}

void stream_resume(struct stream *stream)
{
	if (!stream->ended && watch_set(stream->loop, &stream->watch, EPOLLIN) < 0)
		finish(stream);
}

void stream_bound(struct stream *stream)
{
	if (stream->ended || stream->bounded)
		return;
	if (ioctl(stream->watch.fd, FIONREAD, &stream->budget) < 0)
		stream->budget = 0;
	stream->bounded = true;
	/* Without data epoll would not call again: the end is told here. */
	if (stream->budget == 0)
		finish(stream);
	else
		stream_resume(stream);
}

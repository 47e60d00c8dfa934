/* Output of a process on its way from a pipe or terminal to whoever takes it. */
#ifndef BERTH_SHIM_STREAM_H
#define BERTH_SHIM_STREAM_H

#include <stddef.h>

#include "../common/loop.h"

struct stream {
	struct watch watch;
	struct loop *loop;
	bool ended;
	bool bounded;          /* the process is gone: no more than `budget` is read */
	int budget;
	bool (*full)(struct stream *stream);   /* a taker is full: pause until stream_resume */
	void (*data)(struct stream *stream, const char *bytes, size_t size);
	void (*end)(struct stream *stream);    /* once; the stream may be freed in it */
};

/* Takes a non-blocking descriptor over and starts reading. -1: a stream that has ended (end is not called). */
int stream_start(struct stream *stream, struct loop *loop, int fd);
void stream_resume(struct stream *stream);
/*
 * The process is gone but others hold its pipe open: what is in the pipe now is still taken, then the stream
 * ends.
 */
void stream_bound(struct stream *stream);
/* Ends it at once without a call of `end`. */
void stream_drop(struct stream *stream);

#endif

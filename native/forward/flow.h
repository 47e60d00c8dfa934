/* Bytes on their way from one socket to another, through a pipe and never through our memory. */
#ifndef BERTH_FORWARD_FLOW_H
#define BERTH_FORWARD_FLOW_H

#include <stdbool.h>
#include <stddef.h>

struct flow {
	int reader, writer;  /* the pipe */
	size_t filled;       /* bytes in it */
	bool ended;          /* the source has no more */
	bool closed;         /* and the destination was told, or takes nothing any more */
};

enum flow_state {
	FLOW_WANTS_INPUT,
	FLOW_WANTS_OUTPUT,
	FLOW_CLOSED,
	FLOW_SOURCE_BROKEN,
	FLOW_SINK_BROKEN,
};

/* Makes the pipe. Returns -errno on failure, with nothing open. */
int flow_open(struct flow *flow);
void flow_free(struct flow *flow);
/* Moves what can be moved without waiting, a bounded amount, between non-blocking sockets. */
enum flow_state flow_move(struct flow *flow, int from, int to);
/* The destination is gone: whatever was meant for it is dropped. */
void flow_abandon(struct flow *flow);

#endif

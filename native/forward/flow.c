#include "flow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one pipe holds by default, and so what waits for a slow side. */
#define FLOW_SIZE ((size_t)64 << 10)
/* Pipefuls in one go: a fast pair may not keep the others waiting. */
#define FLOW_TURNS 8

int flow_open(struct flow *flow)
{
	int ends[2];

	*flow = (struct flow){ .reader = -1, .writer = -1 };
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	flow->reader = ends[0];
	flow->writer = ends[1];
	return 0;
}

void flow_free(struct flow *flow)
{
	if (flow->reader >= 0)
		close(flow->reader);
	if (flow->writer >= 0)
		close(flow->writer);
	flow->reader = flow->writer = -1;
}

void flow_abandon(struct flow *flow)
{
	flow->closed = true;
	flow_free(flow);
}

static enum flow_state finish(struct flow *flow, int to)
{
	/* ENOTCONN: the other side has gone altogether, which its own event tells. */
	(void)!shutdown(to, SHUT_WR);
	flow_abandon(flow);
	return FLOW_CLOSED;
}

enum flow_state flow_move(struct flow *flow, int from, int to)
{
	if (flow->closed)
		return FLOW_CLOSED;
	for (int turn = 0; turn < FLOW_TURNS; turn++) {
		ssize_t moved;

		/* Only into an empty pipe, so that EAGAIN says that the socket has nothing, not that the pipe is full. */
		if (flow->filled == 0) {
			if (flow->ended)
				return finish(flow, to);
			moved = splice(from, NULL, flow->writer, NULL, FLOW_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (moved < 0)
				return errno == EAGAIN || errno == EINTR ? FLOW_WANTS_INPUT : FLOW_SOURCE_BROKEN;
			flow->ended = moved == 0;
			flow->filled = (size_t)moved;
			continue;
		}
		moved = splice(flow->reader, NULL, to, NULL, flow->filled, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (moved < 0)
			return errno == EAGAIN || errno == EINTR ? FLOW_WANTS_OUTPUT : FLOW_SINK_BROKEN;
		flow->filled -= (size_t)moved;
	}
	return flow->filled > 0 ? FLOW_WANTS_OUTPUT : FLOW_WANTS_INPUT;
}

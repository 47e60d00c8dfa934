/* Input on its way from clients to a process. */
#ifndef BERTH_SHIM_INPUT_H
#define BERTH_SHIM_INPUT_H

#include "../common/buffer.h"
#include "../common/loop.h"

struct input {
	struct watch watch;
	struct loop *loop;
	struct buffer pending;
	bool ending;                           /* close once `pending` is written */
	void (*drained)(struct input *input);  /* it is no longer full; may be NULL */
};

/* Takes a non-blocking descriptor over; -1: there is no input, all that is written is discarded. */
void input_start(struct input *input, struct loop *loop, int fd);
void input_write(struct input *input, const void *bytes, size_t size);
/* True when clients should be held until `drained`. */
bool input_full(const struct input *input);
/* Closes the descriptor when everything written so far has been taken. */
void input_end(struct input *input);
void input_drop(struct input *input);

#endif

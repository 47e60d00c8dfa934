/*
 * The event loop of the launcher and the shim: descriptors through epoll, and timers. One event is handled
 * per turn, so that a handler may free any watch, its own included, without leaving a stale event behind.
 */
#ifndef BERTH_COMMON_LOOP_H
#define BERTH_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "error.h"

#define LOOP_SCRATCH_SIZE (64u << 10)

struct watch {
	int fd;          /* -1: not open; owned by the watch */
	bool added;
	uint32_t events; /* as registered */
	void (*ready)(struct watch *watch, uint32_t events);
};

struct timer {
	struct timer *next;
	uint64_t due;    /* CLOCK_MONOTONIC, ns */
	bool armed;
	void (*fire)(struct timer *timer);
};

struct loop {
	int epoll;
	bool stopped;
	struct timer *timers;
	char *scratch;   /* LOOP_SCRATCH_SIZE bytes for one handler's read, never across turns */
};

#define OWNER_OF(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

int loop_open(struct loop *loop, struct error *err);
void loop_close(struct loop *loop);
/* Runs until loop_stop. */
int loop_run(struct loop *loop, struct error *err);
void loop_stop(struct loop *loop);

/* Starts or changes the watching. With `events` 0 epoll still reports EPOLLERR and EPOLLHUP. */
int watch_set(struct loop *loop, struct watch *watch, uint32_t events);
/* Stops the watching, hang-ups included, and keeps the descriptor. */
void watch_pause(struct loop *loop, struct watch *watch);
/* Stops the watching and closes the descriptor. */
void watch_close(struct loop *loop, struct watch *watch);

void timer_set(struct loop *loop, struct timer *timer, uint64_t milliseconds);
void timer_clear(struct loop *loop, struct timer *timer);

#endif

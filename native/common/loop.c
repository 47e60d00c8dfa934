#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

int loop_open(struct loop *loop, struct error *err)
{
	*loop = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (loop->epoll < 0)
		return error_errno(err, "stdio", "", "epoll_create1");
	loop->scratch = malloc(LOOP_SCRATCH_SIZE);
	if (loop->scratch == NULL) {
		close(loop->epoll);
		return error_set(err, ENOMEM, "stdio", "", "no memory for the event loop");
	}
	return 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll);
	free(loop->scratch);
	loop->scratch = NULL;
	loop->epoll = -1;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

int watch_set(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->added && watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll, watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &event) < 0)
		return -errno;
	watch->added = true;
	watch->events = events;
	return 0;
}

void watch_pause(struct loop *loop, struct watch *watch)
{
	if (!watch->added)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->added = false;
}

void watch_close(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	/* Not left to close(): a copy of the description in a forked child would keep it registered. */
	watch_pause(loop, watch);
	close(watch->fd);
	watch->fd = -1;
}

void timer_clear(struct loop *loop, struct timer *timer)
{
	struct timer **link = &loop->timers;

	if (!timer->armed)
		return;
	while (*link != NULL && *link != timer)
		link = &(*link)->next;
	if (*link != NULL)
		*link = timer->next;
	timer->armed = false;
}

void timer_set(struct loop *loop, struct timer *timer, uint64_t milliseconds)
{
	timer_clear(loop, timer);
	timer->due = monotonic_ns() + milliseconds * 1000000u;
	timer->armed = true;
	timer->next = loop->timers;
	loop->timers = timer;
}

/* The next timer's wait in ms rounded up, -1 without timers; fires at most one that is due. */
static int run_timers(struct loop *loop)
{
	struct timer *first = NULL;
	uint64_t now, wait;

	for (struct timer *timer = loop->timers; timer != NULL; timer = timer->next)
		if (first == NULL || timer->due < first->due)
			first = timer;
	if (first == NULL)
		return -1;
	now = monotonic_ns();
	if (first->due <= now) {
		timer_clear(loop, first);
		first->fire(first);
		return 0;
	}
	wait = (first->due - now + 999999) / 1000000;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

int loop_run(struct loop *loop, struct error *err)
{
	while (!loop->stopped) {
		struct epoll_event event;
		int wait = run_timers(loop);
		int count;

		if (loop->stopped)
			break;
		count = epoll_wait(loop->epoll, &event, 1, wait);
		if (count < 0 && errno != EINTR)
			return error_errno(err, "stdio", "", "epoll_wait");
		if (count == 1) {
			struct watch *watch = event.data.ptr;
			watch->ready(watch, event.events);
		}
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "poller.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 64,
	SPIN_NS = 50000 /* after an event */
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int poller_init(struct poller *poller)
{
	poller->garbage = NULL;
	poller->event_ns = 0;
	poller->now_ms = clock_ns() / 1000000;
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	return poller->fd < 0 ? -errno : 0;
}

static void collect(struct poller *poller)
{
	while (poller->garbage) {
		struct watch *watch = poller->garbage;

		poller->garbage = watch->garbage;
		watch->destroy(watch);
	}
}

void poller_deinit(struct poller *poller)
{
	collect(poller);
	if (poller->fd >= 0)
		close(poller->fd);
	poller->fd = -1;
}

void watch_init(struct watch *watch, int fd, void (*fn)(struct watch *watch, uint32_t events))
{
	*watch = (struct watch){.fn = fn, .fd = fd};
}

int watch_set(struct poller *poller, struct watch *watch, uint32_t mask)
{
	struct epoll_event event = {.events = mask, .data.ptr = watch};
	int op = !mask ? EPOLL_CTL_DEL : watch->mask ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (mask == watch->mask)
		return 0;
	if (epoll_ctl(poller->fd, op, watch->fd, &event) < 0)
		return -errno;
	watch->mask = mask;
	return 0;
}

void watch_discard(struct poller *poller, struct watch *watch, void (*destroy)(struct watch *watch))
{
	(void)watch_set(poller, watch, 0);
	watch->mask = 0; /* also where epoll had forgotten the descriptor */
	watch->destroy = destroy;
	watch->garbage = poller->garbage;
	poller->garbage = watch;
}

/* The next event of a busy stream comes soon, and being woken costs more than waiting for it awake.
 * Whoever else wants the processor gets it. */
static int spin(struct poller *poller, struct epoll_event *events)
{
	uint64_t now = clock_ns(), until = poller->event_ns + SPIN_NS;
	int n = 0;

	while (n == 0 && now < until) {
		n = epoll_wait(poller->fd, events, BATCH, 0);
		if (n == 0) {
			sched_yield();
			now = clock_ns();
		}
	}
	return n;
}

void poller_turn(struct poller *poller, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = timeout_ms != 0 ? spin(poller, events) : 0;
	uint64_t now;

	if (n == 0)
		n = epoll_wait(poller->fd, events, BATCH, timeout_ms);
	now = clock_ns();
	poller->now_ms = now / 1000000;
	if (n > 0)
		poller->event_ns = now;
	for (int i = 0; i < n; i++) {
		struct watch *watch = events[i].data.ptr;

		/* An earlier one of this batch may have discarded it, or asked for less. */
		if (watch->mask)
			watch->fn(watch, events[i].events);
	}
	collect(poller);
}

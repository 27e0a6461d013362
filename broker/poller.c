/* SPDX-License-Identifier: MIT */
#include "poller.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64 };

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int poller_init(struct poller *poller)
{
	poller->garbage = NULL;
	poller->now_ms = clock_ms();
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

void poller_turn(struct poller *poller, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(poller->fd, events, BATCH, timeout_ms);

	poller->now_ms = clock_ms();
	for (int i = 0; i < n; i++) {
		struct watch *watch = events[i].data.ptr;

		/* An earlier one of this batch may have discarded it, or asked for less. */
		if (watch->mask)
			watch->fn(watch, events[i].events);
	}
	collect(poller);
}

/* SPDX-License-Identifier: MIT */
#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 64 };

struct poller_garbage {
	struct poller_garbage *next;
};

int poller_init(struct poller *poller)
{
	poller->garbage = NULL;
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	return poller->fd < 0 ? -errno : 0;
}

void poller_deinit(struct poller *poller)
{
	poller_collect(poller);
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

void watch_drop(struct poller *poller, struct watch *watch)
{
	(void)watch_set(poller, watch, 0);
	watch->fn = NULL;
}

void poller_turn(struct poller *poller, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(poller->fd, events, BATCH, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct watch *watch = events[i].data.ptr;

		/* An earlier one of this batch may have dropped it, or asked for less. */
		if (watch->fn && watch->mask)
			watch->fn(watch, events[i].events);
	}
	poller_collect(poller);
}

void poller_free_later(struct poller *poller, void *p)
{
	struct poller_garbage *garbage = p;

	if (!p)
		return;
	garbage->next = poller->garbage;
	poller->garbage = garbage;
}

void poller_collect(struct poller *poller)
{
	while (poller->garbage) {
		struct poller_garbage *garbage = poller->garbage;

		poller->garbage = garbage->next;
		free(garbage);
	}
}

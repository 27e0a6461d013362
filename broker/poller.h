/* SPDX-License-Identifier: MIT */
/* The event loop of a worker: epoll, level-triggered, and memory that lives until the end of a
 * turn.
 *
 * Why not libuv here: its poll handles cost six to eight epoll_ctl(2) calls for the life of a short
 * stream (probe, remove, add again at each change) and 160 bytes each; this needs two and 32. The
 * control loop, where that does not matter, is libuv's.
 *
 * Model: one turn is poller_turn(): wait, call the watches that are ready, free what was handed to
 * poller_free_later(). A watch that was dropped during a turn is not called any more. One thread.
 * References: epoll(7). */
#ifndef PERSONA_BROKER_POLLER_H
#define PERSONA_BROKER_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	/* events: EPOLLIN, EPOLLOUT as asked for; EPOLLERR and EPOLLHUP always */
	void (*fn)(struct watch *watch, uint32_t events);
	int fd;
	uint32_t mask; /* what epoll has now; 0: not added */
};

struct poller_garbage;

struct poller {
	int fd;
	struct poller_garbage *garbage;
};

int poller_init(struct poller *poller); /* 0 or negative errno */
void poller_deinit(struct poller *poller);

void watch_init(struct watch *watch, int fd, void (*fn)(struct watch *watch, uint32_t events));
/* Asks for these events (EPOLLIN | EPOLLOUT); with 0 nothing is reported, not even EPOLLHUP.
 * 0 or negative errno (-ENOMEM, -ENOSPC). */
int watch_set(struct poller *poller, struct watch *watch, uint32_t mask);
/* No more calls. Before the descriptor is closed, or handed to another thread. */
void watch_drop(struct poller *poller, struct watch *watch);

/* Waits at most timeout_ms (-1: for ever) and calls what is ready. */
void poller_turn(struct poller *poller, int timeout_ms);
/* free(3) at the end of the turn. `p` begins with at least two pointers' room, which are
 * overwritten. NULL is allowed. */
void poller_free_later(struct poller *poller, void *p);
/* Frees now what waits; not during a turn. */
void poller_collect(struct poller *poller);

#endif

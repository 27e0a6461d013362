/* SPDX-License-Identifier: MIT */
/* The event loop of a worker: epoll, level-triggered, and objects that live until the end of a
 * turn.
 *
 * Why not libuv here: its poll handles cost six to eight epoll_ctl(2) calls for the life of a short
 * stream (probe, remove, add again at each change) and 160 bytes each; this needs two and 32. The
 * control loop, where that does not matter, is libuv's.
 *
 * Model: one turn is poller_turn(): wait, call the watches that are ready, destroy what was
 * discarded. A watch that was discarded during a turn is not called any more, and what it is part
 * of stays valid until the turn ends. One thread. References: epoll(7). */
#ifndef PERSONA_BROKER_POLLER_H
#define PERSONA_BROKER_POLLER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	/* events: EPOLLIN, EPOLLOUT as asked for; EPOLLERR and EPOLLHUP always */
	void (*fn)(struct watch *watch, uint32_t events);
	void (*destroy)(struct watch *watch); /* once discarded */
	struct watch *garbage;		      /* the next discarded one */
	int fd;
	uint32_t mask; /* what epoll has now; 0: not added */
};

struct poller {
	int fd;
	uint64_t now_ms;   /* CLOCK_MONOTONIC when the turn's events came */
	uint64_t event_ns; /* CLOCK_MONOTONIC of the last event */
	struct watch *garbage;
};

int poller_init(struct poller *poller); /* 0 or negative errno */
/* Destroys what was discarded. */
void poller_deinit(struct poller *poller);
/* Waits at most timeout_ms (-1: for ever) and calls what is ready. */
void poller_turn(struct poller *poller, int timeout_ms);

void watch_init(struct watch *watch, int fd, void (*fn)(struct watch *watch, uint32_t events));
/* Asks for these events (EPOLLIN | EPOLLOUT); with 0 nothing is reported, not even EPOLLHUP.
 * 0 or negative errno (-ENOMEM, -ENOSPC). */
int watch_set(struct poller *poller, struct watch *watch, uint32_t mask);
/* No more calls; destroy(watch) at the end of the turn. Before the descriptor is closed, or handed
 * to another thread. */
void watch_discard(
	struct poller *poller, struct watch *watch, void (*destroy)(struct watch *watch));

#endif

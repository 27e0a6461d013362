/* SPDX-License-Identifier: MIT */
/* A listening AF_UNIX socket in the control loop: accepts connections of our own user and says who
 * connected. Nobody can pass a descriptor in, where the kernel lets us refuse (Linux 6.16): the
 * last close of one may block (SO_LINGER, a file of a FUSE server), and that would be ours. When
 * descriptors run out it pauses instead of spinning. Control loop only. */
#ifndef PERSONA_BROKER_LISTENER_H
#define PERSONA_BROKER_LISTENER_H

#include <stdbool.h>

#include <uv.h>

#include "member.h"

/* Takes over fd (non-blocking, close-on-exec) and peer->pidfd. */
typedef void (*listener_fn)(int fd, struct peer *peer, void *arg);

struct listener {
	uv_poll_t poll;
	uv_timer_t pause;
	int fd;
	listener_fn fn;
	void (*closed)(void *arg);
	void *arg;
	unsigned handles; /* not closed yet */
};

/* 0 or negative errno. `closed` is called once after listener_close(), when *l may be freed. */
int listener_init(struct listener *l, uv_loop_t *loop, const char *path, int type, listener_fn fn,
	void (*closed)(void *arg), void *arg);
void listener_close(struct listener *l);

#endif

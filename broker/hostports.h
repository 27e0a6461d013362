/* SPDX-License-Identifier: MIT */
/* Which ports of the host have a server: sock_diag(7), or /proc/net where that is not available.
 * Sees the caller's own network namespace. Synchronous, never waits for another process. */
#ifndef PERSONA_BROKER_HOSTPORTS_H
#define PERSONA_BROKER_HOSTPORTS_H

#include <stdint.h>

#include "addr.h"

/* A listening TCP socket, or a bound UDP socket without a peer. */
struct hostport {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	struct endpoint local;
};

/* Calls fn for each one, loopback's too, until it returns non-zero, and returns that; 0 when all
 * were seen; negative errno when the kernel could not be asked. */
int hostports_each(int (*fn)(const struct hostport *port, void *arg), void *arg);

/* The same by one method, for tests. */
int hostports_diag(int (*fn)(const struct hostport *port, void *arg), void *arg);
int hostports_proc(int (*fn)(const struct hostport *port, void *arg), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
/* The packet plane: one thread that carries datagrams.
 *
 * It owns the WireGuard state of all links, the underlay's UDP sockets, the IP stack of each
 * portspace, RIP, and the applications' datagram sockets (RUNTIME/dgram). It asks the core for
 * routes and ports (core.h) as the stream workers do. These functions are called by the control
 * loop only; they post to the thread and do not wait, except plane_start() and plane_stop(). */
#ifndef PERSONA_BROKER_PLANE_H
#define PERSONA_BROKER_PLANE_H

#include <stddef.h>

#include "addr.h"
#include "core.h"

struct plane;

struct plane_config {
	struct core *core;
	const char *runtime_dir;       /* `dgram` is made here */
	const struct endpoint *listen; /* underlay addresses, UDP; the carriers' (worker.h) */
	size_t nlisten;
};

/* 0 or negative errno; on failure nothing is left behind. */
int plane_start(const struct plane_config *config, struct plane **planep);
/* Joins the thread, closes every datagram socket, removes `dgram`. NULL is allowed. */
void plane_stop(struct plane *plane);

/* A link was added, got another endpoint or key, or was marked removed. */
void plane_link_changed(struct plane *plane, struct link *link);
/* A portspace is new or its configuration changed (routing, gateway, hidden ports, ...). */
void plane_portspace_changed(struct plane *plane, struct portspace *ps);
void plane_portspace_gone(struct plane *plane, struct portspace *ps);

/* `fd`, one end of a SOCK_SEQPACKET pair, becomes a UDP socket of the portspace: bound to a free
 * port, connected to `to`, with the messages of dgram.h. Takes it over in any case; a later failure
 * shows as the end of the pair. 0 or -ENOMEM. */
int plane_udp_inside(struct plane *plane, struct portspace *ps, const struct endpoint *to, int fd);

#endif

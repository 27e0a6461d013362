/* SPDX-License-Identifier: MIT */
/* The network space of a portspace: carriers of links of the portspaces below it run here, so that
 * tunnels nest (netspace.h; paper, sections 3.3.1 and 3.3.2).
 *
 * Model. Connecting: a socket pair. One end is the carrier's; the other enters the data path of the
 * same worker as a client of the portspace, like one that a process inside had opened: it waits at
 * the gate (ask.h), so the carrier's end becomes writable when the stream is open, and its tag has
 * the errno when it is not. Listening: an AF_UNIX socket in the portspace's
 * directory with an entry in its port table, like any server's. So the stream below sees one more
 * program, and nesting works to any depth. Whether the carrier's bytes travel over carriers of the
 * portspace or stay on this host is the portspace's routing.
 *
 * Connecting is for the worker's thread; listening for the control loop; accepting for any. */
#ifndef PERSONA_BROKER_NETSPACE_PS_H
#define PERSONA_BROKER_NETSPACE_PS_H

#include "core.h"
#include "netspace.h"

struct worker;

struct netspace_ps {
	struct netspace ns; /* first */
	struct core *core;
	struct worker *worker; /* for connecting */
	struct portspace *ps;  /* borrowed */
};

/* Fills *np. `worker` may be NULL where nothing is connected. */
void netspace_ps_init(
	struct netspace_ps *np, struct core *core, struct worker *worker, struct portspace *ps);

/* The network that links of `ps` use: *np filled for its super-portspace, or the base network's.
 * NULL: it has none (inherit.h). */
const struct netspace *netspace_of(
	struct worker *worker, const struct portspace *ps, struct netspace_ps *np);

/* Gives the AF_UNIX socket `fd` the name of a client of `ps` that calls dst: an own address and a
 * port that no other stream to dst has. 0 and *srcp; -ENETUNREACH: no address of that family;
 * -EADDRNOTAVAIL; other errno of bind(2). */
int netspace_ps_name(
	struct portspace *ps, const struct endpoint *dst, int fd, struct endpoint *srcp);

/* Closes the gate of `near` (ask.h), as the shim does before it asks for a connect; `far` has
 * nothing to read then but what stays unread. 0 or negative errno. */
int netspace_ps_close_gate(int near, int far);

/* Ends a listening socket made by listen: its entry, its file and the descriptor. */
void netspace_ps_unlisten(struct netspace_ps *np, int fd);

#endif

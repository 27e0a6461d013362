/* SPDX-License-Identifier: MIT */
/* The control socket, RUNTIME/control: JSON lines in and out (docs/PROTOCOL.md, section 2).
 *
 * Model: a client is read into a bounded buffer; its lines are run one at a time and in order
 * (ops.h). While a reply waits to be written, or a request waits for the disk, the client is not
 * read, so a client that does not read its replies holds one reply at most. Requests that change
 * stored configurations take turns: one is at the disk (in a thread of libuv's pool) at any time,
 * everybody else's other requests go on meanwhile.
 *
 * A client that owes something (its first request, the rest of a line, reading a reply) has
 * CONTROL_STALL_MS; an idle one CONTROL_IDLE_MS. The connection of an init (`enter`) has no limit:
 * it is the portspace's life line. Control loop only. */
#ifndef PERSONA_BROKER_CONTROL_H
#define PERSONA_BROKER_CONTROL_H

#include <uv.h>

#include "ops.h"

struct control;

enum {
	CONTROL_LINE_MAX = 1 << 20,   /* bytes of a request */
	CONTROL_REPLY_MAX = 16 << 20, /* bytes of a reply */
	CONTROL_CLIENTS_MAX = 256,    /* connections from outside, inits not counted */
	CONTROL_MEMBERS_MAX = 32,     /* connections from inside one portspace, the same */
	CONTROL_PID_MAX = 64,	      /* connections of one process */
	CONTROL_STALL_MS = 5000,
	CONTROL_IDLE_MS = 60000
};

/* Listens at `path`. `ops` must outlive it. 0 or negative errno. */
int control_new(uv_loop_t *loop, struct ops *ops, const char *path, struct control **controlp);
/* Stops listening and closes every connection; a request that is at the disk is finished first.
 * Memory is freed when the loop has run. Inits do not leave: their portspaces stay for the next
 * start. NULL is allowed. */
void control_close(struct control *control);
/* The portspace ended: closes the connections of its inits. */
void control_portspace_gone(struct control *control, struct portspace *ps);
/* The process ended: an init leaves, even when a child still holds its connection open. */
void control_process_gone(struct control *control, pid_t pid);

#endif

/* SPDX-License-Identifier: MIT */
/* Answers the shim's questions (libpersona/proto/ask.h) on RUNTIME/ask.
 *
 * Model: one SOCK_SEQPACKET connection, one request, one reply, closed. Who asks is decided by the
 * socket's peer (member.h). Most requests are there when the connection is accepted and are
 * answered at once; the others wait in the loop, bounded in number (all and for each process) and
 * in time. A question that takes longer (names.h) is answered later; it is dropped when the asker
 * goes. A process that is no member, garbage, or a peer that does not read gets its connection
 * closed and costs nobody else anything. Control loop only. */
#ifndef PERSONA_BROKER_ASK_SERVER_H
#define PERSONA_BROKER_ASK_SERVER_H

#include <uv.h>

#include "ask.h"
#include "core.h"
#include "names.h"

struct ask_server;

enum {
	ASK_SERVER_CLIENTS_MAX = 4096,
	ASK_SERVER_PID_MAX = 64,    /* connections of one process that have said nothing */
	ASK_SERVER_LATER_MAX = 256, /* those of them that wait for an answer */
	ASK_SERVER_STALL_MS = 5000
};

/* Listens at `path`. 0 or negative errno. */
int ask_server_new(
	uv_loop_t *loop, struct core *core, const char *path, struct ask_server **serverp);
/* Who answers questions about names; before it is set they are answered from the portspace's own
 * table. NULL takes it away. */
void ask_server_set_names(struct ask_server *server, struct names *names);
/* Stops listening and closes every connection; memory is freed when the loop has run. NULL is
 * allowed. */
void ask_server_close(struct ask_server *server);

/* The answer to one request of process `pid` of `ps`, without I/O but the port table's. The reply
 * is always valid; failures are in rep->err. */
void ask_answer(struct core *core, struct portspace *ps, pid_t pid, const struct ask_request *req,
	struct ask_reply *rep);

#endif

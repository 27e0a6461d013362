/* SPDX-License-Identifier: MIT */
/* Serves the AF_NETLINK route sockets of applications (libpersona/proto/nlreq.h) on RUNTIME/route.
 *
 * Model: one SOCK_SEQPACKET connection for each such socket, as long as it lives. A request is
 * looked at, its answer (netlink.h) queued, and only then taken out of the socket: the shim's send
 * waits for that. What does not fit the application's buffer waits here, and the next request waits
 * for it: a program that does not read costs the answer to one request and nobody else anything.
 * Whose network a connection shows is decided by the socket's peer (member.h). Bounded in number,
 * all and for each process. Members of multicast groups are told of links that come and go, unless
 * their buffer is full. Control loop only. */
#ifndef PERSONA_BROKER_NETLINK_SERVER_H
#define PERSONA_BROKER_NETLINK_SERVER_H

#include <uv.h>

#include "core.h"

struct netlink_server;

enum {
	NETLINK_CLIENTS_MAX = 4096,
	NETLINK_PID_MAX = 256,	   /* connections of one process */
	NETLINK_NEWS_MAX = 1 << 16 /* bytes that may wait when news is added */
};

/* Listens at `path`. 0 or negative errno. */
int netlink_server_new(
	uv_loop_t *loop, struct core *core, const char *path, struct netlink_server **serverp);
/* Stops listening and closes every connection; memory is freed when the loop has run. NULL is
 * allowed. */
void netlink_server_close(struct netlink_server *server);

/* A link came, changed or went (link->removed). */
void netlink_server_link_changed(struct netlink_server *server, const struct link *link);
void netlink_server_portspace_gone(struct netlink_server *server, const struct portspace *ps);

#endif

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "netlink"
#include "netlink_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "core_priv.h"
#include "listener.h"
#include "log.h"
#include "netlink.h"
#include "netlink_view.h"
#include "strayfd.h"

enum { REQUESTS_AT_ONCE = 16 };

struct client {
	struct netlink_server *server;
	uv_poll_t poll;
	int fd;
	pid_t pid;
	uint32_t groups;
	struct portspace *ps; /* reference */
	struct netlink_out out;
	struct client *prev, *next;
};

struct netlink_server {
	struct listener listener;
	uv_loop_t *loop;
	struct core *core;
	struct client *clients;
	bool closed; /* the listener is */
};

static void maybe_free(struct netlink_server *server)
{
	if (server->closed && !server->clients)
		free(server);
}

static void handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	struct netlink_server *server = c->server;

	close(c->fd);
	portspace_unref(c->ps);
	netlink_out_clear(&c->out);
	DL_DELETE(server->clients, c);
	free(c);
	maybe_free(server);
}

static bool closing(const struct client *c)
{
	return uv_is_closing((const uv_handle_t *)&c->poll);
}

static void client_close(struct client *c)
{
	if (!closing(c))
		uv_close((uv_handle_t *)&c->poll, handle_closed);
}

/* --- one connection --- */

/* Sends what waits. 0, or -EAGAIN when some is left. A peer that is gone gets nothing. */
static int flush(struct client *c)
{
	struct netlink_msg *msg;

	while ((msg = c->out.msgs)) {
		if (send(c->fd, msg->data, msg->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
			(errno == EAGAIN || errno == EINTR))
			return -EAGAIN;
		DL_DELETE(c->out.msgs, msg);
		c->out.bytes -= msg->len;
		free(msg);
	}
	return 0;
}

/* What other connections of the process have not read. */
static size_t waits_elsewhere(const struct client *c)
{
	const struct client *other;
	size_t bytes = 0;

	DL_FOREACH(c->server->clients, other)
	{
		if (other != c && other->pid == c->pid)
			bytes += other->out.bytes;
	}
	return bytes;
}

static void answer(struct client *c, const void *msg, size_t len)
{
	struct netlink_portspace view;
	/* without a head: as the kernel would number a socket that nobody has bound */
	struct nlreq req = {.portid = (uint32_t)c->pid};

	if (nlreq_decode(msg, len, &req, &msg, &len) == 0 && req.flags & NLREQ_SET_GROUPS)
		c->groups = req.groups;
	if (netlink_view_fill(c->server->core, c->ps, NULL, &view) < 0) {
		log_warning("out of memory");
		return;
	}
	c->out.elsewhere = waits_elsewhere(c);
	if (netlink_answer(&view.view, &req, msg, len, &c->out) < 0)
		log_warning("out of memory");
	netlink_view_clear(&view);
}

static void readable(uv_poll_t *poll, int status, int events);

static void writable(struct client *c)
{
	if (flush(c) == 0)
		uv_poll_start(&c->poll, UV_READABLE, readable);
}

/* False: there is nothing more to read for now. */
static bool serve(struct client *c)
{
	_Alignas(8) char buf[NLREQ_MAX];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || c->ps->removed) {
		client_close(c);
		return false;
	}
	if ((size_t)n <= sizeof(buf))
		answer(c, buf, (size_t)n);
	n = flush(c);
	/* the program's send returns now */
	(void)strayfd_recv(c->fd, buf, 1);
	if (n < 0)
		uv_poll_start(&c->poll, UV_WRITABLE | UV_DISCONNECT, readable);
	return n == 0;
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;

	if (status < 0 || (events & UV_DISCONNECT && !(events & UV_READABLE))) {
		client_close(c);
		return;
	}
	if (events & UV_WRITABLE)
		writable(c);
	for (int i = 0; events & UV_READABLE && i < REQUESTS_AT_ONCE; i++)
		if (!serve(c))
			break;
}

/* --- connections --- */

static bool has_room(const struct netlink_server *server, pid_t pid)
{
	unsigned total = 0, same = 0;
	const struct client *c;

	DL_FOREACH(server->clients, c)
	{
		total++;
		same += c->pid == pid;
	}
	return total < NETLINK_CLIENTS_MAX && same < NETLINK_PID_MAX;
}

static int add_client(struct netlink_server *server, int fd, const struct peer *peer)
{
	struct client *c;

	if (!has_room(server, peer->pid))
		return -EAGAIN;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->server = server;
	c->fd = fd;
	c->pid = peer->pid;
	c->ps = members_of_peer(server->core->members, peer);
	if (!c->ps || uv_poll_init(server->loop, &c->poll, fd) < 0) {
		portspace_unref(c->ps);
		free(c);
		return -EPERM;
	}
	c->poll.data = c;
	DL_APPEND(server->clients, c);
	uv_poll_start(&c->poll, UV_READABLE, readable);
	return 0;
}

static void accepted(int fd, struct peer *peer, void *arg)
{
	if (add_client(arg, fd, peer) < 0) {
		log_debug("process %d gets no netlink socket", (int)peer->pid);
		close(fd);
	}
	peer_close(peer);
}

static void listener_closed(void *arg)
{
	struct netlink_server *server = arg;

	server->closed = true;
	maybe_free(server);
}

int netlink_server_new(
	uv_loop_t *loop, struct core *core, const char *path, struct netlink_server **serverp)
{
	struct netlink_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->core = core;
	r = listener_init(
		&server->listener, loop, path, SOCK_SEQPACKET, accepted, listener_closed, server);
	if (r < 0) {
		free(server);
		return r;
	}
	*serverp = server;
	return 0;
}

void netlink_server_close(struct netlink_server *server)
{
	struct client *c;

	if (!server)
		return;
	listener_close(&server->listener);
	DL_FOREACH(server->clients, c)
	{
		client_close(c);
	}
}

/* --- news --- */

void netlink_server_link_changed(struct netlink_server *server, const struct link *link)
{
	struct netlink_portspace view = {.ps = NULL};
	struct client *c;

	DL_FOREACH(server->clients, c)
	{
		if (c->ps != link->portspace || c->groups == 0 || closing(c) ||
			c->out.bytes > NETLINK_NEWS_MAX)
			continue;
		if (!view.ps && netlink_view_fill(server->core, c->ps, link->removed ? link : NULL,
					&view) < 0)
			return;
		netlink_notify(&view.view, link_ifindex(link), link->removed, c->groups, &c->out);
		if (flush(c) < 0)
			uv_poll_start(&c->poll, UV_WRITABLE | UV_DISCONNECT, readable);
	}
	netlink_view_clear(&view);
}

void netlink_server_portspace_gone(struct netlink_server *server, const struct portspace *ps)
{
	struct client *c;

	DL_FOREACH(server->clients, c)
	{
		if (c->ps == ps)
			client_close(c);
	}
}

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "ask"
#include "ask_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "fdmsg.h"
#include "listener.h"
#include "log.h"
#include "core_priv.h"

struct client {
	struct ask_server *server;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int fd;
	struct peer peer;
	struct client *prev, *next;
};

struct ask_server {
	struct listener listener;
	uv_loop_t *loop;
	struct core *core;
	struct client *clients;
	bool closed; /* the listener is */
};

static void maybe_free(struct ask_server *server)
{
	if (server->closed && !server->clients)
		free(server);
}

static void handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	struct ask_server *server = c->server;

	if (--c->handles > 0)
		return;
	close(c->fd);
	peer_close(&c->peer);
	DL_DELETE(server->clients, c);
	free(c);
	maybe_free(server);
}

static void client_close(struct client *c)
{
	if (uv_is_closing((uv_handle_t *)&c->poll))
		return;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
}

/* Answers the request that is waiting on the socket. -EAGAIN when there is none yet; else the
 * connection is done with. */
static int serve(struct ask_server *server, int fd, const struct peer *peer)
{
	uint8_t in[ASK_MAX], out[ASK_REPLY_MAX];
	struct ask_request req;
	struct ask_reply rep;
	struct portspace *ps;
	int passed, n;
	ssize_t len = fdmsg_recv(fd, in, sizeof(in), &passed);

	if (passed >= 0)
		close(passed);
	if (len <= 0)
		return (int)len;
	if (ask_decode_request(in, (size_t)len, &req) < 0) {
		log_debug("process %d sent no valid question", (int)peer->pid);
		return -EPROTO;
	}
	ps = members_of_peer(server->core->members, peer);
	if (!ps) {
		log_debug("process %d asked but is in no portspace", (int)peer->pid);
		return -EPERM;
	}
	ask_answer(server->core, ps, peer->pid, &req, &rep);
	portspace_unref(ps);
	n = ask_encode_reply(&rep, out, sizeof(out));
	/* A reply fits the fresh socket's buffer; a peer that made it otherwise gets none. */
	return n < 0 ? n : (int)fdmsg_send(fd, out, (size_t)n, -1);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;

	(void)events;
	if (status < 0 || serve(c->server, c->fd, &c->peer) != -EAGAIN)
		client_close(c);
}

static void stalled(uv_timer_t *timer)
{
	client_close(timer->data);
}

/* Is there room for one more connection of this process that has said nothing yet? When all places
 * are taken, the oldest one goes: it has had the longest time to speak. */
static bool make_room(struct ask_server *server, pid_t pid)
{
	struct client *c, *oldest = NULL;
	unsigned total = 0, same = 0;

	DL_FOREACH(server->clients, c)
	{
		if (uv_is_closing((uv_handle_t *)&c->poll))
			continue;
		total++;
		same += c->peer.pid == pid;
		if (!oldest)
			oldest = c;
	}
	if (same >= ASK_SERVER_PID_MAX)
		return false;
	if (total >= ASK_SERVER_CLIENTS_MAX)
		client_close(oldest);
	return true;
}

/* Waits for the request of a connection that sent none yet. */
static int wait_for(struct ask_server *server, int fd, const struct peer *peer)
{
	struct client *c;

	if (!make_room(server, peer->pid))
		return -EAGAIN;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->server = server;
	c->fd = fd;
	c->peer = *peer;
	if (uv_poll_init(server->loop, &c->poll, fd) < 0) {
		free(c);
		return -ENOMEM;
	}
	uv_timer_init(server->loop, &c->timer);
	c->poll.data = c->timer.data = c;
	c->handles = 2;
	DL_APPEND(server->clients, c);
	uv_poll_start(&c->poll, UV_READABLE, readable);
	uv_timer_start(&c->timer, stalled, ASK_SERVER_STALL_MS, 0);
	return 0;
}

static void accepted(int fd, struct peer *peer, void *arg)
{
	struct ask_server *server = arg;

	if (serve(server, fd, peer) == -EAGAIN && wait_for(server, fd, peer) == 0)
		return;
	peer_close(peer);
	close(fd);
}

static void listener_closed(void *arg)
{
	struct ask_server *server = arg;

	server->closed = true;
	maybe_free(server);
}

int ask_server_new(
	uv_loop_t *loop, struct core *core, const char *path, struct ask_server **serverp)
{
	struct ask_server *server = calloc(1, sizeof(*server));
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

void ask_server_close(struct ask_server *server)
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

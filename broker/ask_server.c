/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "ask"
#include "ask_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "fdmsg.h"
#include "listener.h"
#include "log.h"
#include "core_priv.h"
#include "strayfd.h"

struct client {
	struct ask_server *server;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int fd;
	struct peer peer;
	bool later; /* the answer is on its way */
	struct names_query *query;
	struct client *prev, *next;
};

struct ask_server {
	struct listener listener;
	uv_loop_t *loop;
	struct core *core;
	struct client *clients;
	struct names *names;
	bool closed; /* the listener is */
};

enum { TAKEN = 1 }; /* the connection stays open for the answer */

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
	names_cancel(c->query);
	c->query = NULL;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
}

static int send_reply(int fd, const struct ask_reply *rep)
{
	uint8_t out[ASK_REPLY_MAX], *large = NULL;
	size_t cap = rep->nanswer ? ASK_DNS_HEAD + (size_t)rep->nanswer : sizeof(out);
	ssize_t n;

	if (cap > sizeof(out)) {
		large = malloc(cap);
		if (!large)
			return -ENOMEM;
	}
	n = ask_encode_reply(rep, large ? large : out, cap > sizeof(out) ? cap : sizeof(out));
	/* A reply fits the fresh socket's buffer; a peer that made it otherwise gets none. */
	if (n >= 0)
		n = fdmsg_send(fd, large ? large : out, (size_t)n, -1);
	free(large);
	return (int)n;
}

/* --- connections that wait --- */

/* Is there room for one more connection of this process? When all places are taken, the oldest one
 * that has said nothing goes: it has had the longest time to speak. */
static bool make_room(struct ask_server *server, pid_t pid, bool later)
{
	struct client *c, *oldest = NULL;
	unsigned total = 0, same = 0;

	DL_FOREACH(server->clients, c)
	{
		if (uv_is_closing((uv_handle_t *)&c->poll))
			continue;
		total++;
		same += c->peer.pid == pid && c->later == later;
		if (!oldest && !c->later)
			oldest = c;
	}
	if (same >= (later ? ASK_SERVER_LATER_MAX : ASK_SERVER_PID_MAX))
		return false;
	if (total < ASK_SERVER_CLIENTS_MAX)
		return true;
	if (oldest)
		client_close(oldest);
	return oldest;
}

/* Takes over fd and the peer. */
static struct client *new_client(
	struct ask_server *server, int fd, const struct peer *peer, bool later)
{
	struct client *c = make_room(server, peer->pid, later) ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->server = server;
	c->fd = fd;
	c->peer = *peer;
	if (uv_poll_init(server->loop, &c->poll, fd) < 0) {
		free(c);
		return NULL;
	}
	uv_timer_init(server->loop, &c->timer);
	c->poll.data = c->timer.data = c;
	c->handles = 2;
	DL_APPEND(server->clients, c);
	return c;
}

/* The asker says no more: whatever happens on its socket is its end. */
static void asker_gone(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	client_close(poll->data);
}

static void answered(const struct ask_reply *rep, void *arg)
{
	struct client *c = arg;

	c->query = NULL;
	(void)send_reply(c->fd, rep);
	client_close(c);
}

/* Asks the name servers. `c` is NULL for a connection that was accepted just now. */
static int answer_later(struct ask_server *server, int fd, const struct peer *peer,
	struct client *c, struct portspace *ps, const struct ask_request *req)
{
	if (!c)
		c = new_client(server, fd, peer, true);
	else if (!make_room(server, peer->pid, true))
		c = NULL;
	if (!c) {
		const struct ask_reply busy = {.op = req->op, .err = EAGAIN};

		(void)send_reply(fd, &busy);
		return -EBUSY;
	}
	c->later = true;
	uv_timer_stop(&c->timer);
	uv_poll_start(&c->poll, UV_READABLE | UV_DISCONNECT, asker_gone);
	c->query = names_start(server->names, ps, req, answered, c);
	return TAKEN;
}

/* Answers the request that is waiting on the socket. -EAGAIN when there is none yet; TAKEN when it
 * will be answered later; else the connection is done with. */
static int serve(struct ask_server *server, int fd, const struct peer *peer, struct client *c)
{
	uint8_t in[ASK_MAX];
	struct ask_request req;
	struct ask_reply rep;
	struct portspace *ps;
	ssize_t len = strayfd_recv(fd, in, sizeof(in));
	int r;

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
	memset(&rep, 0, sizeof(rep));
	rep.op = req.op;
	if (!server->names || !names_has_op(req.op))
		ask_answer(server->core, ps, peer->pid, &req, &rep);
	else if (!names_try(server->names, ps, &req, &rep)) {
		r = answer_later(server, fd, peer, c, ps, &req);
		portspace_unref(ps);
		return r;
	}
	portspace_unref(ps);
	return send_reply(fd, &rep) < 0 ? -EPIPE : 0;
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;
	int r = -EIO;

	(void)events;
	if (status >= 0)
		r = serve(c->server, c->fd, &c->peer, c);
	if (r != -EAGAIN && r != TAKEN)
		client_close(c);
}

static void stalled(uv_timer_t *timer)
{
	client_close(timer->data);
}

/* Waits for the request of a connection that sent none yet. */
static int wait_for(struct ask_server *server, int fd, const struct peer *peer)
{
	struct client *c = new_client(server, fd, peer, false);

	if (!c)
		return -EAGAIN;
	uv_poll_start(&c->poll, UV_READABLE, readable);
	uv_timer_start(&c->timer, stalled, ASK_SERVER_STALL_MS, 0);
	return 0;
}

static void accepted(int fd, struct peer *peer, void *arg)
{
	struct ask_server *server = arg;
	int r = serve(server, fd, peer, NULL);

	if (r == TAKEN || (r == -EAGAIN && wait_for(server, fd, peer) == 0))
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

void ask_server_set_names(struct ask_server *server, struct names *names)
{
	server->names = names;
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

/* SPDX-License-Identifier: MIT */
/* Streams that leave their personal network: to an inherited service of the host, or through a
 * gateway (opening.h, inherit.h).
 *
 * A gateway below a super-portspace sends them into that one's network: the stream is routed again
 * there, as if a process of the super-portspace had opened it. A socket that is nothing but a name
 * (netspace_ps_name()) keeps the 4-tuple for the stream's life. */
#define LOG_MODULE "stream"
#include "opening.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostaddr.h"
#include "log.h"
#include "netspace_ps.h"
#include "proxyproto.h"
#include "stream_priv.h"
#include "worker_priv.h"

/* The broker's own port is no service. */
static bool is_own_port(const struct worker *w, uint16_t port)
{
	for (size_t i = 0; i < w->all->nlistening; i++)
		if (w->all->listening[i].port == port)
			return true;
	return false;
}

/* What listens on the wildcard answers at the first address; what has one address, at that one. */
static void try_next_address(struct stream *s)
{
	struct opening *op = s->opening;
	struct endpoint to = op->hop.dst;
	struct addr list[HOSTADDR_MAX];
	size_t n = is_own_port(s->worker, to.port) ? 0 : hostaddr_list(&to.addr, list);

	while (op->tries < n) {
		int r;

		to.addr = list[op->tries++];
		r = app_new_base(s->worker, &to, true, &stream_app_events, s, &s->end[1].app);
		if (r == 0)
			return;
		if (r != -EADDRNOTAVAIL && r != -ECONNREFUSED) {
			opening_failed(s, -r);
			return;
		}
	}
	opening_failed(s, ECONNREFUSED);
}

static void into_super(struct stream *s)
{
	struct opening *op = s->opening;
	struct portspace *super = portspace_ref(op->hop.server);
	struct endpoint src;
	int r = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		r = -errno;
	else
		r = netspace_ps_name(super, &op->dst, fd, &src);
	/* From one gateway into the next: only the last name has to be kept. */
	if (s->name_fd >= 0)
		close(s->name_fd);
	s->name_fd = fd;
	portspace_unref(op->at);
	op->at = super;
	if (r < 0) {
		opening_failed(s, -r);
		return;
	}
	if (op->hops-- == 0) {
		opening_failed(s, ELOOP);
		return;
	}
	op->src = src;
	opening_route(s);
}

void opening_to_base(struct stream *s)
{
	struct opening *op = s->opening;
	int r;

	if (op->hop.server) {
		into_super(s);
	} else if (op->hop.host) {
		op->tries = 0;
		try_next_address(s);
	} else {
		r = app_new_base(
			s->worker, &op->hop.dst, false, &stream_app_events, s, &s->end[1].app);
		if (r < 0)
			opening_failed(s, -r);
	}
}

/* The header is smaller than any socket buffer. */
static int send_header(const struct app *app, const struct core_hop *hop)
{
	uint8_t header[PROXYPROTO_MAX];
	size_t len = proxyproto_header(&hop->src, &hop->dst, header);

	return send(app->fd, header, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len ? 0
										       : ECONNRESET;
}

void opening_connected(struct app *app, int err)
{
	struct stream *s = app->user;
	struct opening *op = s->opening;

	if (err == 0 && op->hop.proxy)
		err = send_header(app, &op->hop);
	if (err == 0) {
		opening_done(s);
		return;
	}
	stream_drop_end(s, 1, true);
	if (err == ECONNREFUSED && op->hop.host)
		try_next_address(s);
	else
		opening_failed(s, err);
}

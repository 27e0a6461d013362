/* SPDX-License-Identifier: MIT */
/* Answers to questions about datagram sockets (ASK_DGRAM_* in ask.h).
 *
 * References: inet_bind, __ip4_datagram_connect, udp_disconnect, inet_shutdown of Linux. */
#include "core_priv.h"
#include "dgram_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static bool bindable(const struct plane_ps *pps, const struct addr *a)
{
	return addr_is_any(a) || addr_is_multicast(a) || plane_owns(pps, NULL, a);
}

/* The request's flags are the socket's, as they are now; the family never changes. */
static void take_flags(struct dgram *d, const struct ask_request *req)
{
	d->flags = (uint8_t)(req->flags | (d->flags & ASK_V6ONLY));
}

static int answer_bind(struct dgram *d, const struct ask_request *req, struct ask_reply *rep)
{
	int r;

	if (d->bound)
		return -EINVAL;
	if (!bindable(d->owner->pps, &req->local.addr))
		return -EADDRNOTAVAIL;
	take_flags(d, req);
	r = dgram_take_port(d, &req->local);
	if (r < 0)
		return r;
	d->addr_chosen = !addr_is_any(&req->local.addr);
	d->port_chosen = req->local.port != 0;
	rep->local = d->local;
	rep->port = d->local.port;
	return 0;
}

/* Takes the peer away; what connect(2) chose goes with it. */
static int disconnect(struct dgram *d, struct ask_reply *rep)
{
	d->connected = false;
	d->peer = (struct endpoint){.addr = dgram_wildcard(d)};
	if (d->bound && !d->addr_chosen)
		d->local.addr = dgram_wildcard(d);
	if (d->bound && !d->port_chosen) {
		dgram_leave_port(d);
		d->local.port = 0;
	}
	rep->local = d->local;
	return 0;
}

/* Is there a way from src to dst? */
static int check_route(struct plane_ps *pps, const struct addr *src, const struct addr *dst)
{
	struct core_next next;

	if (addr_is_multicast(dst))
		return 0;
	return core_packet_route(pps->plane->core, pps->ps, NULL, src, dst, &next);
}

static int answer_connect(struct dgram *d, const struct ask_request *req, struct ask_reply *rep)
{
	struct plane_ps *pps = d->owner->pps;
	struct endpoint peer = req->local, any;
	struct addr src;
	int r;

	if (addr_is_any(&peer.addr) && peer.port == 0)
		return disconnect(d, rep);
	if (!d->bound)
		take_flags(d, req);
	if (addr_is_any(&peer.addr))
		peer.addr = addr_is_v4(&peer.addr) ? addr_loopback4 : addr_loopback6;
	src = d->local.addr;
	if (!d->bound || !d->addr_chosen) {
		if (addr_is_v4(&peer.addr) && (d->flags & ASK_V6ONLY))
			return -ENETUNREACH;
		if (!plane_source(pps, &peer.addr, &src))
			return -ENETUNREACH;
	}
	if (addr_is_v4(&src) != addr_is_v4(&peer.addr))
		return -ENETUNREACH;
	r = check_route(pps, &src, &peer.addr);
	if (r < 0)
		return r;
	any = (struct endpoint){.addr = dgram_wildcard(d)};
	if (!d->bound)
		r = dgram_take_port(d, &any);
	if (r < 0)
		return r == -EADDRINUSE ? -EAGAIN : r;
	d->local.addr = src;
	d->peer = peer;
	d->connected = true;
	rep->local = d->local;
	rep->port = d->local.port;
	return 0;
}

int dgram_connect(struct dgram *d, const struct endpoint *to)
{
	const struct ask_request req = {.op = ASK_DGRAM_CONNECT,
		.proto = IPPROTO_UDP,
		.flags = addr_is_v4(&to->addr) ? 0 : ASK_V6,
		.local = *to};
	struct ask_reply rep;

	d->data = true;
	return answer_connect(d, &req, &rep);
}

static int answer_name(const struct dgram *d, struct ask_reply *rep)
{
	rep->local = d->bound ? d->local : (struct endpoint){.addr = dgram_wildcard(d)};
	if (d->connected)
		rep->peer = d->peer;
	return 0;
}

static int shut(struct dgram *d, uint32_t how)
{
	if (how > SHUT_RDWR)
		return -EINVAL;
	if (how != SHUT_WR) {
		dgram_queue_forget(d);
		d->shut_rd = true;
		(void)shutdown(d->watch.fd, SHUT_WR); /* the application reads an end */
	}
	if (how != SHUT_RD)
		d->shut_wr = true;
	return d->connected ? 0 : -ENOTCONN; /* Linux does it, and says so */
}

static int answer_option(struct dgram *d, const struct ask_request *req)
{
	int size;

	switch (req->option) {
	case ASK_OPT_RCVBUF:
		size = req->value < DGRAM_BUFFER_MIN ? DGRAM_BUFFER_MIN
		       : req->value > INT32_MAX / 2  ? INT32_MAX / 2
						     : (int)req->value;
		return setsockopt(d->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0
			       ? -errno
			       : 0;
	case ASK_OPT_RECVERR:
		d->recverr = req->value;
		return 0;
	case ASK_OPT_V6ONLY:
		if (d->bound)
			return -EINVAL;
		d->flags = (uint8_t)(req->value ? d->flags | ASK_V6ONLY : d->flags & ~ASK_V6ONLY);
		return 0;
	case ASK_OPT_JOIN:
	case ASK_OPT_LEAVE:
		if (!addr_is_multicast(&req->local.addr))
			return -EINVAL;
		return req->option == ASK_OPT_JOIN ? dgram_join(d, &req->local.addr, req->value)
						   : dgram_leave(d, &req->local.addr, req->value);
	case ASK_OPT_SHUTDOWN:
		return shut(d, req->value);
	}
	return -ENOPROTOOPT;
}

/* What it had sent before the question goes out first. False: it has ended. */
static bool drain(struct dgram *d)
{
	const uint64_t *fanout = &d->server->fanout;
	const uint64_t before = *fanout;
	int n;

	for (unsigned done = 0; done < DGRAM_DRAIN_MAX && *fanout - before < DGRAM_DRAIN_MAX;
		done += (unsigned)n) {
		n = dgram_read(d);
		if (n < 0) {
			dgram_close(d);
			return false;
		}
		if (n == 0)
			break;
	}
	return true;
}

static int answer(struct plane_dgrams *dgrams, const struct ask_request *req, struct ask_reply *rep)
{
	struct dgram *d = dgram_find(dgrams, req->inode);

	if (!d || d->asking) /* a question is no datagram socket */
		return -EBADF;
	if (!d->data && !d->bound) {
		d->proto = req->proto;
		d->data = true;
	}
	if (d->proto != req->proto)
		return -EPROTOTYPE;
	if (!drain(d))
		return -EBADF;
	switch (req->op) {
	case ASK_DGRAM_BIND:
		return answer_bind(d, req, rep);
	case ASK_DGRAM_CONNECT:
		return answer_connect(d, req, rep);
	case ASK_DGRAM_NAME:
		return answer_name(d, rep);
	case ASK_DGRAM_OPTION:
		return answer_option(d, req);
	default:
		return -EPROTO;
	}
}

void dgram_answer(struct plane_dgrams *dgrams, const struct ask_request *req, struct ask_reply *rep)
{
	int r;

	memset(rep, 0, sizeof(*rep));
	rep->op = req->op;
	r = answer(dgrams, req, rep);
	rep->err = r < 0 ? -r : 0;
}

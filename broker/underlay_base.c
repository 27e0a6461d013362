/* SPDX-License-Identifier: MIT */
/* The base network as an underlay: UDP sockets at the addresses where the carriers listen
 * (plane_priv.h).
 *
 * Model: each socket is an underlay of its own, so that a peer is answered by the socket that it
 * spoke to; `base` chooses one for a peer that has not been heard: the one at the address
 * that the kernel's routes want, or beside it. Where none is, there will be one at the wildcard
 * address and a port of the kernel's choice: who listens nowhere, or at other cables only, can dial
 * all the same. There is at most one such socket for each family. */
#define LOG_MODULE "underlay"
#include "plane_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "hostaddr.h"
#include "udpio.h"

enum { ROUNDS = 4 /* system calls of one socket in a turn */ };

struct base;

struct base_socket {
	struct underlay underlay; /* first: found by it */
	struct watch watch;
	struct base *base;
	struct udpio *io;
	struct endpoint at;
};

struct base {
	struct underlay underlay; /* first: found by it */
	struct plane *plane;
	size_t n;
	struct base_socket sockets[];
};

static struct base_socket *of_watch(struct watch *watch)
{
	return (struct base_socket *)((char *)watch - offsetof(struct base_socket, watch));
}

static int open_socket(struct base *base, const struct endpoint *at);

/* How well does the socket serve a destination that the kernel would send to from `src`? */
static int suits(const struct base_socket *s, const struct addr *src)
{
	const struct addr *at = &s->at.addr;

	if (addr_is_v4(at) != addr_is_v4(src))
		return 0;
	if (addr_equal(at, src))
		return 3;
	if (addr_is_any(at))
		return 1; /* it sends from `src` */
	return hostaddr_is_beside(src, at) ? 2 : 0;
}

/* For a peer that is not known by the socket that it speaks to. NULL: there is no way to it. */
static struct base_socket *choose(struct base *base, const struct endpoint *to)
{
	const struct endpoint any = {.addr = addr_is_v4(&to->addr) ? addr_any4 : addr_any6};
	struct base_socket *best = NULL;
	int best_suits = 0;
	struct addr src;

	if (hostaddr_source(to, &src) < 0)
		return NULL;
	for (size_t i = 0; i < base->n; i++) {
		int n = suits(&base->sockets[i], &src);

		if (n > best_suits) {
			best = &base->sockets[i];
			best_suits = n;
		}
	}
	/* From the address of another cable the answers would go astray. */
	if (!best && open_socket(base, &any) == 0)
		best = &base->sockets[base->n - 1];
	return best;
}

static void socket_send(
	struct underlay *underlay, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct base_socket *s = (struct base_socket *)underlay;

	if (addr_is_v4(&s->at.addr) != addr_is_v4(&to->addr))
		s = choose(s->base, to);
	if (!s)
		return;
	udpio_send(s->io, to, msg, len);
	plane_flush_later(s->base->plane, &s->underlay);
}

static void base_send(
	struct underlay *underlay, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct base_socket *s = choose((struct base *)underlay, to);

	if (s)
		socket_send(&s->underlay, to, msg, len);
}

static void socket_flush(struct underlay *underlay)
{
	struct base_socket *s = (struct base_socket *)underlay;
	const bool done = udpio_flush(s->io);

	(void)watch_set(&s->base->plane->poller, &s->watch, done ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void base_flush(struct underlay *underlay)
{
	(void)underlay; /* its sockets are flushed themselves */
}

static bool on_message(void *arg, const struct endpoint *from, uint8_t *msg, size_t len)
{
	struct base_socket *s = arg;

	return plane_underlay_input(s->base->plane, &s->underlay, from, msg, len);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct base_socket *s = of_watch(watch);

	plane_turn_time(s->base->plane);
	if (events & EPOLLOUT)
		socket_flush(&s->underlay);
	if (events & ~EPOLLOUT)
		(void)udpio_read(s->io, ROUNDS);
}

static int open_socket(struct base *base, const struct endpoint *at)
{
	static const struct underlay_ops ops = {.send = socket_send, .flush = socket_flush};
	struct base_socket *s = &base->sockets[base->n];
	struct udpio_config config = {.at = *at, .input = on_message, .arg = s};
	int r = udpio_open(&config, &s->io);

	if (r < 0)
		return r;
	base->n++;
	s->underlay.ops = &ops;
	s->base = base;
	udpio_bound(s->io, &s->at);
	watch_init(&s->watch, udpio_fd(s->io), on_ready);
	return watch_set(&base->plane->poller, &s->watch, EPOLLIN);
}

/* A socket for a family that has none which could leave the host. */
static int open_spare(struct base *base, const struct addr *any)
{
	const struct endpoint at = {.addr = *any};
	int r;

	for (size_t i = 0; i < base->n; i++) {
		const struct addr *a = &base->sockets[i].at.addr;

		if (addr_is_v4(a) == addr_is_v4(any) && !addr_is_loopback(a))
			return 0;
	}
	r = open_socket(base, &at);
	/* A host without IPv6 has no IPv6 endpoints either. */
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL ? 0 : r;
}

int underlay_base_new(struct plane *plane, const struct endpoint *listen, size_t nlisten,
	struct underlay **underlayp)
{
	static const struct underlay_ops ops = {.send = base_send, .flush = base_flush};
	struct base *base = calloc(1, sizeof(*base) + (nlisten + 2) * sizeof(base->sockets[0]));
	int r = 0;

	if (!base)
		return -ENOMEM;
	base->underlay.ops = &ops;
	base->plane = plane;
	for (size_t i = 0; r == 0 && i < nlisten; i++)
		r = open_socket(base, &listen[i]);
	if (r == 0)
		r = open_spare(base, &addr_any4);
	if (r == 0)
		r = open_spare(base, &addr_any6);
	if (r < 0) {
		underlay_base_free(&base->underlay);
		return r;
	}
	*underlayp = &base->underlay;
	return 0;
}

void underlay_base_free(struct underlay *underlay)
{
	struct base *base = (struct base *)underlay;

	if (!base)
		return;
	for (size_t i = 0; i < base->n; i++) {
		(void)watch_set(&base->plane->poller, &base->sockets[i].watch, 0);
		udpio_close(base->sockets[i].io);
	}
	free(base);
}

bool underlay_base_has_port(const struct underlay *underlay, uint16_t port)
{
	const struct base *base = (const struct base *)underlay;

	for (size_t i = 0; i < base->n; i++)
		if (base->sockets[i].at.port == port)
			return true;
	return false;
}

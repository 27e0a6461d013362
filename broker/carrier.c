/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "carrier"
#include "carrier.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "carrier_hello.h"
#include "carrier_priv.h"
#include "log.h"
#include "netspace_ps.h"
#include "tag.h"
#include "worker_priv.h"

enum {
	KEEPALIVE_S = 10,	  /* idle seconds before probing, without Keepalive in the link */
	KEEPALIVE_INTERVAL_S = 5, /* between probes */
	KEEPALIVE_PROBES = 3
};

/* ---- what to wait for ---- */

void carrier_update_poll(struct carrier *c)
{
	uint32_t want = 0;
	int r;

	if (c->dead)
		return;
	if (c->state == CARRIER_DIALING || c->wbuf)
		want |= EPOLLOUT;
	if (c->state != CARRIER_DIALING && !c->paused)
		want |= EPOLLIN;
	r = watch_set(&c->worker->poller, &c->watch, want);
	if (r < 0 && !c->error) {
		/* Out of memory or of watches: it cannot go on. */
		c->error = -r;
		carrier_schedule(c);
	}
}

/* ---- work that must not run inside somebody else's event ---- */

void carrier_schedule(struct carrier *c)
{
	struct worker *w = c->worker;

	if (c->scheduled || c->dead)
		return;
	c->scheduled = true;
	DL_APPEND2(w->scheduled, c, sched_prev, sched_next);
}

void carrier_run_scheduled(struct worker *w)
{
	struct carrier *last = w->scheduled ? w->scheduled->sched_prev : NULL, *c;

	/* What is scheduled meanwhile has its turn after the next poll. */
	while (last && (c = w->scheduled)) {
		bool more = c != last;

		DL_DELETE2(w->scheduled, c, sched_prev, sched_next);
		c->scheduled = false;
		if (c->error)
			carrier_lose(c, c->error);
		else if (!c->paused && c->rbuf)
			carrier_parse(c);
		/* `last` itself may have been closed, or scheduled again behind others. */
		if (!more || last->dead)
			break;
	}
}

static void tune(int fd, const struct link *link)
{
	int on = 1, idle = KEEPALIVE_S, interval = KEEPALIVE_INTERVAL_S;
	int probes = KEEPALIVE_PROBES, timeout = CARRIER_USER_TIMEOUT_MS;

	if (link && link->keepalive_s)
		idle = link->keepalive_s < 3600 ? link->keepalive_s : 3600;
	/* All of these only make things better; a kernel that refuses one is still usable. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static void on_ready(struct watch *watch, uint32_t events);

/* Takes over fd: on failure it is closed. */
static struct carrier *carrier_new(struct worker *w, int fd, struct link *link)
{
	struct carrier *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	watch_init(&c->watch, fd, on_ready);
	c->worker = w;
	c->fd = fd;
	c->link = link ? link_ref(link) : NULL;
	c->born_ms = worker_now_ms(w);
	tune(fd, link);
	return c;
}

static bool is_keyed(const struct carrier *c)
{
	return c->state >= CARRIER_IDLE;
}

void carrier_set_state(struct carrier *c, enum carrier_state state)
{
	if (c->link) {
		struct link_stats *stats = &c->link->stats;

		if (!is_keyed(c) && state >= CARRIER_IDLE)
			atomic_fetch_add(&stats->carriers, 1);
		if (c->state != CARRIER_IDLE && state == CARRIER_IDLE)
			atomic_fetch_add(&stats->carriers_idle, 1);
		if (c->state == CARRIER_IDLE && state != CARRIER_IDLE)
			atomic_fetch_sub(&stats->carriers_idle, 1);
	}
	if (c->state == CARRIER_DRAIN)
		DL_DELETE(c->worker->draining, c);
	c->state = (uint8_t)state;
	if (state == CARRIER_DRAIN)
		DL_APPEND(c->worker->draining, c);
	if (state == CARRIER_IDLE) {
		c->user = NULL;
		c->fin_sent = false;
		c->paused = false;
		/* The next OPEN may be here already, behind what ended the stream. */
		if (c->rbuf && !c->parsing)
			carrier_schedule(c);
		carrier_be_patient(c, false);
		carrier_update_poll(c);
	}
}

static void forget_counts(struct carrier *c)
{
	if (!c->link || !is_keyed(c))
		return;
	if (c->state == CARRIER_IDLE)
		atomic_fetch_sub(&c->link->stats.carriers_idle, 1);
	atomic_fetch_sub(&c->link->stats.carriers, 1);
}

static void destroy(struct watch *watch)
{
	struct carrier *c = (struct carrier *)watch;

	link_unref(c->link);
	aead_key_wipe(&c->tx);
	aead_key_wipe(&c->rx);
	free(c);
}

static void detach(struct carrier *c)
{
	c->dead = true;
	if (c->scheduled)
		DL_DELETE2(c->worker->scheduled, c, sched_prev, sched_next);
	c->scheduled = false;
	if (c->state == CARRIER_DRAIN)
		DL_DELETE(c->worker->draining, c);
	forget_counts(c);
	carrier_unhold(c);
	aead_forget(c->worker->aead, &c->tx);
	aead_forget(c->worker->aead, &c->rx);
	carrier_hello_free(c->hello);
	c->hello = NULL;
	chunk_put(&c->worker->chunks, c->rbuf);
	chunk_put(&c->worker->chunks, c->wbuf);
	c->rbuf = c->wbuf = NULL;
	watch_discard(&c->worker->poller, &c->watch, destroy);
}

void carrier_close(struct carrier *c)
{
	if (c->dead)
		return;
	carrier_last_words(c);
	detach(c);
	close(c->fd);
}

void carrier_lose(struct carrier *c, int err)
{
	if (c->dead)
		return;
	c->worker->events->lost(c, err);
	carrier_close(c);
}

/* ---- handshake and life ---- */

static void step_hello(struct carrier *c)
{
	int r = carrier_hello_step(c);

	if (c->dead)
		return;
	if (r < 0) {
		carrier_lose(c, -r);
		return;
	}
	if (r == 0) {
		carrier_update_poll(c);
		return;
	}
	if (c->state == CARRIER_HELLO_OUT) {
		c->tx_rekey_ms = worker_now_ms(c->worker);
		/* Initiator: the first record confirms our key to the responder. */
		r = carrier_send_want(c, 0, 0);
		if (r < 0)
			carrier_lose(c, -r);
		else
			carrier_keyed(c);
	} else {
		carrier_hello_free(c->hello);
		c->hello = NULL;
		c->tx_rekey_ms = worker_now_ms(c->worker);
		tune(c->fd, c->link);
		c->state = CARRIER_CONFIRM;
	}
	carrier_update_poll(c);
}

static int socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	struct tag tag;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return errno;
	/* In a portspace's network the tag knows better (netspace_ps.h). */
	if (err && tag_get(fd, &tag) == 0 && tag.phase == TAG_FAILED && tag.value)
		err = (int)tag.value;
	return err;
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct carrier *c = (struct carrier *)watch;

	if (events & EPOLLERR) {
		int err = socket_error(c->fd);

		carrier_lose(c, err ? err : ECONNRESET);
		return;
	}
	if (c->state == CARRIER_DIALING) {
		int err = socket_error(c->fd);

		if (err) {
			carrier_lose(c, err);
			return;
		}
		c->state = CARRIER_HELLO_OUT;
		step_hello(c);
		return;
	}
	if (c->error) /* reported in the next turn */
		return;
	if (c->wbuf && (events & (EPOLLOUT | EPOLLHUP))) {
		carrier_flush(c);
		if (c->dead)
			return;
		carrier_update_poll(c);
	}
	if (events & (EPOLLIN | EPOLLHUP)) {
		if (c->state == CARRIER_HELLO_OUT || c->state == CARRIER_HELLO_IN)
			step_hello(c);
		else if (!c->paused)
			carrier_read(c);
	}
}

int carrier_dial(struct worker *w, struct link *link, const struct endpoint *to,
	enum handshake_role role, uint16_t tag, struct carrier **cp)
{
	struct carrier *c;
	struct netspace_ps below;
	const struct netspace *ns = netspace_of(w, link->portspace, &below);
	int fd, r = ns ? ns->ops->connect(ns, to, &fd) : -ENETDOWN;

	if (r < 0)
		return r;
	c = carrier_new(w, fd, link);
	if (!c)
		return -ENOMEM;
	c->initiator = true;
	c->opener = role == HANDSHAKE_FORWARD;
	c->state = CARRIER_DIALING;
	r = carrier_hello_new(c, to, role, tag);
	if (r < 0) {
		carrier_close(c);
		return r;
	}
	carrier_update_poll(c);
	*cp = c;
	return 0;
}

int carrier_accept(struct worker *w, int fd, const struct endpoint *peer, struct portspace *via,
	struct carrier **cp)
{
	struct carrier *c = carrier_new(w, fd, NULL);
	int r;

	if (!c)
		return -ENOMEM;
	c->state = CARRIER_HELLO_IN;
	r = carrier_hello_new(c, peer, HANDSHAKE_FORWARD, 0);
	if (r == 0)
		carrier_hello_via(c, via);
	if (r < 0) {
		carrier_close(c);
		return r;
	}
	carrier_update_poll(c);
	*cp = c;
	return 0;
}

bool carrier_movable(const struct carrier *c)
{
	return c->state == CARRIER_IDLE && !c->wbuf && !c->nheld && !c->error &&
	       (!c->rbuf || c->rbuf->len == 0);
}

void carrier_move(struct carrier *c, struct carrier_moved *movedp)
{
	assert(carrier_movable(c));
	*movedp = (struct carrier_moved){
		.fd = c->fd,
		.link = link_ref(c->link),
		.tx = c->tx,
		.rx = c->rx,
		.age_ms = worker_now_ms(c->worker) - c->born_ms,
		.initiator = c->initiator,
		.opener = c->opener,
	};
	detach(c); /* the descriptor stays open */
}

int carrier_adopt(struct worker *w, struct carrier_moved *moved, struct carrier **cp)
{
	struct carrier *c = carrier_new(w, moved->fd, moved->link);
	uint64_t now = worker_now_ms(w);

	if (c) {
		c->tx = moved->tx;
		c->rx = moved->rx;
		c->initiator = moved->initiator;
		c->opener = moved->opener;
		c->born_ms = now > moved->age_ms ? now - moved->age_ms : 0;
		c->tx_rekey_ms = c->born_ms;
		carrier_set_state(c, CARRIER_IDLE);
		carrier_update_poll(c);
		*cp = c;
	}
	link_unref(moved->link);
	sodium_memzero(moved, sizeof(*moved));
	return c ? 0 : -ENOMEM;
}

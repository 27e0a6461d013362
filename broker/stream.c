/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "stream"
#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "log.h"
#include "opening.h"
#include "pool.h"
#include "stream_priv.h"
#include "worker_priv.h"

struct stream *stream_new(struct worker *w)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->worker = w;
	s->name_fd = -1;
	DL_APPEND(w->streams, s);
	return s;
}

void stream_free(struct stream *s)
{
	opening_free(s);
	for (int i = 0; i < 2; i++) {
		assert(!s->end[i].app && !s->end[i].carrier);
		if (s->counted[i]) {
			atomic_fetch_sub(&s->counted[i]->stats.streams, 1);
			link_unref(s->counted[i]);
		}
	}
	if (s->name_fd >= 0)
		close(s->name_fd);
	if (s->ps)
		atomic_fetch_sub(&s->ps->streams, 1);
	portspace_unref(s->ps);
	DL_DELETE(s->worker->streams, s);
	free(s);
}

void stream_count(struct stream *s, int side, struct link *link)
{
	s->counted[side] = link_ref(link);
	atomic_fetch_add(&link->stats.streams, 1);
	atomic_fetch_add_explicit(&link->stats.streams_total, 1, memory_order_relaxed);
}

/* Drops the end of one side: a reset. */
void stream_drop_end(struct stream *s, int side, bool tell)
{
	struct end *end = &s->end[side];

	if (end->app) {
		struct app *app = end->app;

		end->app = NULL;
		app_refuse(app, ECONNRESET); /* at the gate it needs an errno */
	}
	if (end->carrier) {
		struct carrier *c = end->carrier;

		end->carrier = NULL;
		if (tell)
			carrier_send_rst(c);
	}
}

void stream_reset(struct stream *s)
{
	stream_drop_end(s, 0, true);
	stream_drop_end(s, 1, true);
	stream_free(s);
}

/* ---- the end of a stream ---- */

static bool output_waits(const struct end *end)
{
	/* A carrier flushes by itself, also when it is idle again. */
	return end->app && app_blocked(end->app);
}

/* Both directions have ended and nothing is waiting: give everything back. */
static bool finish_if_done(struct stream *s)
{
	if (!s->end[0].in_done || !s->end[1].in_done || output_waits(&s->end[0]) ||
		output_waits(&s->end[1]))
		return false;
	for (int i = 0; i < 2; i++) {
		struct carrier *c = s->end[i].carrier;

		s->end[i].carrier = NULL;
		if (c) {
			carrier_release(c);
			pool_keyed(c);
		}
		if (s->end[i].app)
			app_end(s->end[i].app);
		s->end[i].app = NULL;
	}
	stream_free(s);
	return true;
}

/* Side `from` will deliver no more. */
static void pass_fin(struct stream *s, int from)
{
	struct end *to = &s->end[!from];

	if (s->end[from].in_done)
		return;
	s->end[from].in_done = true;
	if (to->carrier)
		(void)carrier_send_fin(to->carrier, to->in_done);
	/* An application that sent its own FIN sees no difference between a FIN and the end. */
	if (!finish_if_done(s) && to->app)
		app_fin(to->app);
}

/* ---- an application delivers ---- */

/* The free space of a chunk as the bodies of records with gaps for heads and tags. */
static size_t layout(struct chunk *chunk, bool records, struct iovec *iov)
{
	if (!records) {
		iov[0] = (struct iovec){.iov_base = chunk->data, .iov_len = CHUNK_SIZE};
		return 1;
	}
	for (size_t i = 0; i < CHUNK_RECORDS; i++)
		iov[i] = (struct iovec){
			.iov_base = carrier_layout(chunk, i), .iov_len = RECORD_BODY_MAX};
	return CHUNK_RECORDS;
}

/* `fin`: the application's FIN is right behind. */
static void forward_chunk(struct stream *s, int from, struct chunk **chunkp, size_t len, bool fin)
{
	struct end *to = &s->end[!from];

	if (fin)
		s->end[from].app->eof = true;
	if (to->carrier) {
		/* A failed carrier reports its loss by itself. */
		(void)carrier_send_chunk(to->carrier, chunkp, len, fin);
		if (carrier_blocked(to->carrier))
			app_pause(s->end[from].app);
		if (fin) {
			s->end[from].in_done = true;
			finish_if_done(s);
		}
	} else {
		struct iovec iov = {.iov_base = (*chunkp)->data, .iov_len = len};

		if (app_writev(to->app, &iov, 1) < 0) {
			stream_reset(s);
			return;
		}
		if (app_blocked(to->app))
			app_pause(s->end[from].app);
		if (fin)
			pass_fin(s, from);
	}
}

static void on_app_readable(struct app *app)
{
	struct stream *s = app->user;
	struct worker *w = app->worker;
	int from = s->end[1].app == app;
	struct end *to = &s->end[!from];
	struct chunk *chunk = chunk_get(&w->chunks);
	struct iovec iov[CHUNK_RECORDS];
	ssize_t n;
	bool end;

	if (!chunk) {
		stream_reset(s);
		return;
	}
	n = app_readv(app, iov, layout(chunk, to->carrier != NULL, iov), &end);
	if (n > 0) {
		forward_chunk(s, from, &chunk, (size_t)n, end);
	} else if (n == 0) {
		app->eof = true;
		pass_fin(s, from);
	} else if (n != -EAGAIN) {
		stream_reset(s);
	}
	chunk_put(&w->chunks, chunk);
}

static void on_app_drained(struct app *app)
{
	struct stream *s = app->user;
	int side = s->end[1].app == app;
	struct end *other = &s->end[!side];

	if (finish_if_done(s))
		return;
	if (other->carrier)
		carrier_resume(other->carrier);
	else if (other->app)
		app_resume(other->app);
}

static void on_app_lost(struct app *app, int err)
{
	struct stream *s = app->user;

	if (!s) {
		opening_client_lost(app, err);
		return;
	}
	stream_reset(s);
}

/* ---- a carrier delivers ---- */

static void on_carrier_data(struct carrier *c, struct carrier_body *bodies, size_t n)
{
	struct stream *s = c->user;
	int from = s->end[1].carrier == c;
	struct end *to = &s->end[!from];
	struct iovec iov[CARRIER_BODIES];

	if (s->opening || s->end[from].in_done) {
		/* Data before the answer to OPEN, or behind FIN. */
		log_warning("link %s: data out of turn, stream reset", c->link->name);
		stream_reset(s);
		return;
	}
	if (to->carrier) {
		(void)carrier_send_bodies(to->carrier, bodies, n);
		if (carrier_blocked(to->carrier))
			carrier_pause(c);
		return;
	}
	for (size_t i = 0; i < n; i++)
		iov[i] = (struct iovec){
			.iov_base = bodies[i].rec + RECORD_HEAD, .iov_len = bodies[i].len};
	if (app_writev(to->app, iov, n) < 0)
		stream_reset(s);
	else if (app_blocked(to->app))
		carrier_pause(c);
}

static void on_carrier_fin(struct carrier *c)
{
	struct stream *s = c->user;

	if (s->opening)
		stream_reset(s);
	else
		pass_fin(s, s->end[1].carrier == c);
}

static void on_carrier_rst(struct carrier *c)
{
	struct stream *s = c->user;
	int from = s->end[1].carrier == c;

	s->end[from].carrier = NULL; /* the carrier answers and goes idle by itself */
	if (s->opening) {
		opening_failed(s, ECONNRESET);
		return;
	}
	stream_reset(s);
}

static void on_carrier_drained(struct carrier *c)
{
	struct stream *s = c->user;
	struct end *other;

	if (!s || s->opening)
		return;
	other = &s->end[s->end[0].carrier == c];
	if (other->carrier)
		carrier_resume(other->carrier);
	else if (other->app)
		app_resume(other->app);
}

static void on_carrier_lost(struct carrier *c, int err)
{
	struct stream *s = c->user;

	pool_lost(c, err);
	if (c->state < CARRIER_IDLE)
		worker_unauth_remove(c);
	if (!s || c->state != CARRIER_BUSY)
		return;
	s->end[s->end[1].carrier == c].carrier = NULL;
	if (s->opening)
		opening_carrier_lost(s);
	else
		stream_reset(s);
}

const struct carrier_events stream_carrier_events = {
	.keyed = worker_carrier_keyed,
	.idle = pool_keyed,
	.open = opening_from_carrier,
	.opened = opening_answered,
	.data = on_carrier_data,
	.fin = on_carrier_fin,
	.rst = on_carrier_rst,
	.want = worker_carrier_want,
	.closing = worker_carrier_closing,
	.drained = on_carrier_drained,
	.lost = on_carrier_lost,
};

const struct app_events stream_app_events = {
	.request = opening_from_client,
	.connected = opening_connected,
	.readable = on_app_readable,
	.drained = on_app_drained,
	.lost = on_app_lost,
};

/* ---- housekeeping ---- */

/* False: the stream is gone. */
static bool check_carriers(struct stream *s)
{
	for (int i = 0; i < 2; i++)
		if (s->end[i].carrier && !carrier_check(s->end[i].carrier))
			return false;
	return true;
}

/* An application that shut down writing and then closed shows nothing to poll for any more. */
static bool abandoned(const struct stream *s)
{
	for (int i = 0; i < 2; i++)
		if (s->end[i].app && s->end[i].in_done && app_gone(s->end[i].app))
			return true;
	return false;
}

void stream_tick(struct worker *w)
{
	uint64_t now = worker_now_ms(w);
	struct stream *s, *tmp;

	opening_tick(w);
	DL_FOREACH_SAFE(w->streams, s, tmp)
	{
		if (!s->opening && !check_carriers(s))
			continue;
		if (s->opening || s->end[0].in_done == s->end[1].in_done) {
			s->half_ms = 0;
			continue;
		}
		if (!s->half_ms) {
			s->half_ms = now;
		} else if (now - s->half_ms > STREAM_HALF_CHECK_MS) {
			s->half_ms = now;
			if (abandoned(s))
				stream_reset(s);
		}
	}
}

void stream_link_removed(struct worker *w, const struct link *link)
{
	struct stream *s, *tmp;

	DL_FOREACH_SAFE(w->streams, s, tmp)
	{
		struct carrier *c0 = s->end[0].carrier, *c1 = s->end[1].carrier;

		if ((!c0 || c0->link != link) && (!c1 || c1->link != link))
			continue;
		for (int i = 0; i < 2; i++) {
			struct carrier *c = s->end[i].carrier;

			if (!c || c->link != link)
				continue;
			s->end[i].carrier = NULL;
			pool_lost(c, 0);
			carrier_close(c);
		}
		if (s->opening)
			opening_failed(s, ENETUNREACH);
		else
			stream_reset(s);
	}
}

void stream_close_all(struct worker *w)
{
	struct stream *s, *tmp;

	DL_FOREACH_SAFE(w->streams, s, tmp)
	{
		for (int i = 0; i < 2; i++) {
			struct carrier *c = s->end[i].carrier;

			s->end[i].carrier = NULL;
			if (c) {
				carrier_send_rst(c);
				carrier_close(c);
			}
		}
		if (s->opening)
			opening_failed(s, ENETUNREACH);
		else
			stream_reset(s);
	}
	opening_close_waiting(w);
}

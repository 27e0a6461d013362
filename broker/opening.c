/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "stream"
#include "opening.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "log.h"
#include "stream_priv.h"
#include "worker_priv.h"

static void leave_retrying(struct opening *op)
{
	struct worker *w = op->stream->worker;

	if (!op->listed)
		return;
	DL_DELETE2(w->retrying, op->stream, opening->prev, opening->next);
	op->listed = false;
}

static void drop_hop(struct opening *op)
{
	link_unref(op->hop.link);
	portspace_unref(op->hop.server);
	op->hop = (struct core_hop){0};
}

void opening_free(struct stream *s)
{
	struct opening *op = s->opening;

	if (!op)
		return;
	pool_cancel(&op->wait);
	leave_retrying(op);
	drop_hop(op);
	portspace_unref(op->at);
	s->opening = NULL;
	free(op);
}

/* A stream with its opening state, counted against the portspace's quota. NULL and *errp. */
static struct stream *opening_new(struct worker *w, struct portspace *ps,
	const struct endpoint *src, const struct endpoint *dst, int *errp)
{
	struct opening *op;
	struct stream *s;

	if (atomic_fetch_add(&ps->streams, 1) >= ps->streams_max) {
		atomic_fetch_sub(&ps->streams, 1);
		*errp = EAGAIN;
		return NULL;
	}
	op = calloc(1, sizeof(*op));
	s = op ? stream_new(w) : NULL;
	if (!s) {
		free(op);
		atomic_fetch_sub(&ps->streams, 1);
		*errp = ENOBUFS;
		return NULL;
	}
	s->ps = portspace_ref(ps);
	op->at = portspace_ref(ps);
	s->opening = op;
	op->stream = s;
	op->src = *src;
	op->dst = *dst;
	op->deadline_ms = worker_now_ms(w) + STREAM_CONNECT_MS;
	return s;
}

void opening_failed(struct stream *s, int err)
{
	struct end *opener = &s->end[0];

	stream_drop_end(s, 1, true);
	if (opener->app) {
		struct app *app = opener->app;

		opener->app = NULL;
		app_refuse(app, err);
	}
	if (opener->carrier) {
		struct carrier *c = opener->carrier;

		opener->carrier = NULL;
		(void)carrier_answer(c, err);
		pool_keyed(c);
	}
	stream_free(s);
}

void opening_done(struct stream *s)
{
	struct opening *op = s->opening;
	uint32_t sndbuf = op->sndbuf;
	int r = 0;

	opening_free(s);
	for (int i = 0; i < 2; i++)
		if (s->end[i].carrier)
			stream_count(s, i, s->end[i].carrier->link);
	if (s->end[0].app)
		r = app_grant(s->end[0].app, sndbuf);
	else
		r = carrier_answer(s->end[0].carrier, 0);
	if (r < 0) {
		stream_reset(s);
		return;
	}
	/* Control records of before may still wait; then what drains them lets data flow. */
	for (int i = 0; i < 2; i++) {
		struct end *from = &s->end[i], *to = &s->end[!i];
		bool blocked = to->carrier && carrier_blocked(to->carrier);

		if (from->app && !blocked)
			app_resume(from->app);
		if (from->carrier && blocked)
			carrier_pause(from->carrier);
	}
}

/* ---- towards a server of this host ---- */

static void connect_server(struct stream *s)
{
	struct opening *op = s->opening;
	struct worker *w = s->worker;
	struct portspace *server = op->hop.server ? op->hop.server : op->at;
	struct sockname name = {.kind = SOCKNAME_RELAY,
		.portspace = server->id,
		.origin = op->hop.server ? op->at->id : 0,
		.src = op->hop.src,
		.dst = op->hop.dst};
	int r = app_new_server(
		w, op->hop.path, &name, server->info.secret, &stream_app_events, s, &s->end[1].app);

	if (r == 0) {
		leave_retrying(op);
		opening_done(s);
		return;
	}
	if (r == -EAGAIN) {
		op->pause_ms = op->pause_ms ? op->pause_ms * 2 : STREAM_RETRY_MS;
		if (op->pause_ms > 1000)
			op->pause_ms = 1000;
		op->retry_ms = worker_now_ms(w) + op->pause_ms;
		if (!op->listed)
			DL_APPEND2(w->retrying, s, opening->prev, opening->next);
		op->listed = true;
		return;
	}
	if (r == -ECONNREFUSED || r == -ENOENT) {
		leave_retrying(op);
		/* Another member of its group, or whom it had overridden, may answer now. */
		if (core_stale(w->core, server, op->hop.path) && op->reroutes++ < STREAM_REROUTES) {
			opening_route(s);
			return;
		}
		r = -ECONNREFUSED;
	}
	opening_failed(s, -r);
}

void stream_retry(struct worker *w)
{
	uint64_t now = worker_now_ms(w);
	struct stream *s, *tmp;

	DL_FOREACH_SAFE2(w->retrying, s, tmp, opening->next)
	{
		if (now >= s->opening->retry_ms)
			connect_server(s);
	}
}

/* ---- towards the next link ---- */

static void on_pool_ready(struct pool_wait *wait, struct carrier *c, int err)
{
	struct opening *op = (struct opening *)((char *)wait - offsetof(struct opening, wait));
	struct stream *s = op->stream;
	struct record_open_msg msg = {
		.proto = IPPROTO_TCP, .hops = op->hops, .src = op->src, .dst = op->dst};

	if (err) {
		opening_failed(s, err);
		return;
	}
	s->end[1].carrier = c;
	/* A failure here shows as a lost carrier. */
	(void)carrier_open(c, &msg, s);
}

static void request_carrier(struct stream *s)
{
	s->opening->wait.ready = on_pool_ready;
	pool_request(s->worker, s->opening->hop.link, &s->opening->wait);
}

void opening_answered(struct carrier *c, int err)
{
	struct stream *s = c->user;

	if (!s->opening || s->end[1].carrier != c) {
		log_warning("link %s: answer out of turn, stream reset", c->link->name);
		stream_reset(s);
		return;
	}
	if (!err) {
		opening_done(s);
		return;
	}
	s->end[1].carrier = NULL;
	carrier_release(c);
	pool_keyed(c);
	opening_failed(s, err);
}

void opening_carrier_lost(struct stream *s)
{
	struct opening *op = s->opening;

	if (!s->end[0].app && !s->end[0].carrier) {
		/* The opener is gone. */
		stream_reset(s);
	} else if (op->hop.link && !s->end[1].carrier && !op->wait.pool && !op->retried) {
		/* An idle carrier may have died unnoticed: one more try, on another one. */
		op->retried = true;
		request_carrier(s);
	} else if (op->hop.link && !s->end[1].carrier && !op->wait.pool) {
		opening_failed(s, EHOSTUNREACH);
	}
}

void opening_route(struct stream *s)
{
	struct opening *op = s->opening;
	const struct carrier *c = op->at == s->ps ? s->end[0].carrier : NULL;
	const struct link *from = c ? c->link : NULL;
	int r;

	drop_hop(op);
	r = core_route(s->worker->core, op->at, from, &op->src, &op->dst, &op->hop);
	if (r < 0) {
		opening_failed(s, -r);
		return;
	}
	switch (op->hop.kind) {
	case CORE_HOP_LOCAL:
		connect_server(s);
		return;
	case CORE_HOP_BASE:
		opening_to_base(s);
		return;
	case CORE_HOP_LINK:
		break;
	}
	if (from && op->hops == 0) {
		opening_failed(s, ELOOP);
		return;
	}
	if (from)
		op->hops--;
	request_carrier(s);
}

/* ---- where streams come from ---- */

void opening_from_carrier(struct carrier *c, const struct record_open_msg *msg)
{
	struct portspace *ps = c->link->portspace;
	struct stream *s;
	int err;

	pool_passive_busy(c);
	s = opening_new(c->worker, ps, &msg->src, &msg->dst, &err);
	if (!s) {
		(void)carrier_answer(c, err);
		pool_keyed(c);
		return;
	}
	c->user = s;
	s->end[0].carrier = c;
	s->opening->hops = msg->hops < STREAM_HOPS ? msg->hops : STREAM_HOPS;
	opening_route(s);
}

static void stop_waiting(struct app *app)
{
	DL_DELETE(app->worker->waiting, app);
	app->worker->nwaiting--;
}

void opening_from_client(struct app *app, const struct connreq *req)
{
	struct worker *w = app->worker;
	pid_t pid;
	struct portspace *ps = core_member_since(w->core, app->fd, app->since_ms, &pid);
	struct stream *s;
	int err = ENETUNREACH;

	stop_waiting(app);
	s = ps ? opening_new(w, ps, &req->src, &req->dst, &err) : NULL;
	portspace_unref(ps);
	if (!s) {
		app_refuse(app, err);
		return;
	}
	app->user = s;
	s->end[0].app = app;
	s->opening->pid = pid;
	s->opening->sndbuf = req->sndbuf;
	s->opening->hops = STREAM_HOPS;
	opening_route(s);
}

void opening_from_inside(struct app *app, struct portspace *ps, const struct endpoint *src,
	const struct endpoint *dst)
{
	int err;
	struct stream *s = opening_new(app->worker, ps, src, dst, &err);

	if (!s) {
		app_refuse(app, err);
		return;
	}
	app->user = s;
	s->end[0].app = app;
	s->opening->hops = STREAM_HOPS;
	opening_route(s);
}

void opening_client_lost(struct app *app, int err)
{
	(void)err;
	stop_waiting(app);
	app_close(app);
}

void stream_accept(struct worker *w, int fd)
{
	struct app *app;

	if (w->nwaiting >= STREAM_WAITING_MAX)
		opening_client_lost(w->waiting, ENOBUFS);
	if (app_new_client(w, fd, &stream_app_events, &app) < 0)
		return;
	DL_APPEND(w->waiting, app);
	w->nwaiting++;
	app_read_request(app);
}

void stream_process_gone(struct worker *w, pid_t pid)
{
	struct stream *s, *tmp;

	DL_FOREACH_SAFE(w->streams, s, tmp)
	{
		if (s->opening && s->opening->pid == pid)
			opening_failed(s, ECONNABORTED);
	}
}

void opening_tick(struct worker *w)
{
	uint64_t now = worker_now_ms(w);
	struct stream *s, *tmp;

	while (w->waiting && now - w->waiting->born_ms > STREAM_REQUEST_MS)
		opening_client_lost(w->waiting, ETIMEDOUT);
	DL_FOREACH_SAFE(w->streams, s, tmp)
	{
		if (s->opening && now > s->opening->deadline_ms)
			opening_failed(s, ETIMEDOUT);
	}
}

void opening_close_waiting(struct worker *w)
{
	while (w->waiting)
		opening_client_lost(w->waiting, ENETUNREACH);
}

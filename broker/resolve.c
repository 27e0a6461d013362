/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "resolve"
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct resolve {
	uv_loop_t *loop;
	struct core *core;
	uv_timer_t timer;
	unsigned running;
	bool closing;
	bool closed; /* the timer is */
};

struct question {
	uv_getaddrinfo_t req;
	struct resolve *resolve;
	struct link *link; /* reference */
	uint16_t port;
};

static void maybe_free(struct resolve *resolve)
{
	if (resolve->closed && resolve->running == 0)
		free(resolve);
}

/* The address whose turn it is. */
static bool pick(const struct addrinfo *res, unsigned attempt, struct endpoint *ep)
{
	const struct addrinfo *ai;
	unsigned n = 0;

	for (ai = res; ai; ai = ai->ai_next)
		n++;
	if (n == 0)
		return false;
	for (ai = res, n = attempt % n; n > 0; n--)
		ai = ai->ai_next;
	return endpoint_from_sockaddr(ai->ai_addr, ai->ai_addrlen, ep) == 0;
}

static void answered(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct question *q = req->data;
	struct resolve *resolve = q->resolve;
	struct link_resolve *state = link_resolve_state(q->link);
	struct endpoint ep;

	state->running = false;
	resolve->running--;
	if (resolve->closing || q->link->removed) {
		/* nobody wants to know any more */
	} else if (status < 0 || !pick(res, state->attempts - 1, &ep)) {
		log_warning("link %s of %s: %s cannot be resolved: %s", q->link->name,
			q->link->portspace->info.name, q->link->endpoint_text,
			status < 0 ? uv_strerror(status) : "no address");
	} else {
		ep.port = q->port;
		link_set_endpoint(q->link, &ep);
	}
	uv_freeaddrinfo(res);
	link_unref(q->link);
	free(q);
	if (!resolve->closing)
		resolve_run(resolve);
	maybe_free(resolve);
}

static void ask(struct resolve *resolve, struct link *link, const char *host, uint16_t port)
{
	struct link_resolve *state = link_resolve_state(link);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct question *q = calloc(1, sizeof(*q));
	uint64_t wait = RESOLVE_RETRY_MS;

	for (unsigned i = 0; i < state->attempts && wait < RESOLVE_RETRY_MAX_MS; i++)
		wait *= 2;
	state->next_ms =
		uv_now(resolve->loop) + (wait < RESOLVE_RETRY_MAX_MS ? wait : RESOLVE_RETRY_MAX_MS);
	if (!q)
		return;
	q->resolve = resolve;
	q->port = port;
	q->req.data = q;
	if (uv_getaddrinfo(resolve->loop, &q->req, answered, host, NULL, &hints) < 0) {
		free(q);
		return;
	}
	q->link = link_ref(link);
	state->running = true;
	state->attempts++;
	resolve->running++;
}

/* Does this link want a (new) address now? */
static void consider(struct resolve *resolve, struct link *link)
{
	struct link_resolve *state = link_resolve_state(link);
	char host[HOSTS_NAME_MAX];
	struct addr numeric;
	uint16_t port;

	if (!link->endpoint_text[0] || state->running)
		return;
	if (link->has_endpoint && link->stats.error == 0) {
		if (link->stats.carriers > 0)
			state->attempts = 0; /* it works: the next trouble is a new one */
		return;
	}
	if (uv_now(resolve->loop) < state->next_ms)
		return;
	if (config_endpoint_split(link->endpoint_text, host, &port) < 0 ||
		addr_parse(host, &numeric) == 0)
		return;
	ask(resolve, link, host, port);
}

void resolve_run(struct resolve *resolve)
{
	struct portspace_priv *p;

	for (p = resolve->core->by_name; p; p = p->hh.next)
		for (struct link *link = p->ps->links; link; link = link->next) {
			if (resolve->running >= RESOLVE_RUNNING_MAX)
				return;
			consider(resolve, link);
		}
}

static void tick(uv_timer_t *timer)
{
	resolve_run(timer->data);
}

int resolve_new(uv_loop_t *loop, struct core *core, struct resolve **resolvep)
{
	struct resolve *resolve = calloc(1, sizeof(*resolve));

	if (!resolve)
		return -ENOMEM;
	resolve->loop = loop;
	resolve->core = core;
	uv_timer_init(loop, &resolve->timer);
	resolve->timer.data = resolve;
	uv_timer_start(&resolve->timer, tick, 0, RESOLVE_TICK_MS);
	*resolvep = resolve;
	return 0;
}

static void timer_closed(uv_handle_t *handle)
{
	struct resolve *resolve = handle->data;

	resolve->closed = true;
	maybe_free(resolve);
}

void resolve_close(struct resolve *resolve)
{
	if (!resolve)
		return;
	resolve->closing = true;
	uv_close((uv_handle_t *)&resolve->timer, timer_closed);
}

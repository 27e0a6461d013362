/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "names"
#include "names.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "core_priv.h"
#include "log.h"
#include "names_cache.h"
#include "names_search.h"

/* A portspace with servers that was asked something. */
struct names_ps {
	struct portspace *ps; /* borrowed: names_portspace_gone() comes before it goes */
	struct dns *dns;
	struct names_cache *cache;
	struct addr servers[DNS_SERVERS_MAX];
	size_t nservers;
	struct names_ps *prev, *next;
};

struct names {
	uv_loop_t *loop;
	struct core *core;
	const struct dns_ops *ops;
	struct names_ps *list;
};

struct names_query {
	struct names *names;
	struct portspace *ps; /* reference */
	struct ask_request req;
	names_fn fn; /* NULL: cancelled */
	void *arg;
	bool starting; /* names_start() has not returned */
	bool done;
	struct names_search search;
};

/* --- servers --- */

static size_t servers_of(const struct config *config, struct addr servers[DNS_SERVERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < config->ndns && n < DNS_SERVERS_MAX; i++)
		if (addr_parse(config->dns[i], &servers[n]) == 0)
			n++;
	return n;
}

static struct names_ps *find(struct names *names, const struct portspace *ps)
{
	struct names_ps *np;

	DL_FOREACH(names->list, np)
	{
		if (np->ps == ps)
			return np;
	}
	return NULL;
}

static void drop(struct names *names, struct names_ps *np)
{
	DL_DELETE(names->list, np);
	dns_close(np->dns);
	names_cache_free(np->cache);
	free(np);
}

static struct names_ps *make(
	struct names *names, struct portspace *ps, const struct addr *servers, size_t nservers)
{
	struct names_ps *np = calloc(1, sizeof(*np));

	if (!np)
		return NULL;
	np->ps = ps;
	memcpy(np->servers, servers, nservers * sizeof(*servers));
	np->nservers = nservers;
	if (names_cache_new(NAMES_CACHE_MAX, &np->cache) < 0 ||
		dns_new(names->loop, names->ops, ps, servers, nservers, &np->dns) < 0) {
		names_cache_free(np->cache);
		free(np);
		return NULL;
	}
	DL_APPEND(names->list, np);
	return np;
}

/* The portspace's resolver, as its configuration is now. NULL: it has no server, or no memory. */
static struct names_ps *get(struct names *names, struct portspace *ps)
{
	struct addr servers[DNS_SERVERS_MAX];
	size_t n = ps->priv ? servers_of(ps->priv->config, servers) : 0;
	struct names_ps *np = find(names, ps);

	if (np && np->nservers == n && memcmp(np->servers, servers, n * sizeof(*servers)) == 0)
		return np;
	if (np)
		drop(names, np);
	return n > 0 ? make(names, ps, servers, n) : NULL;
}

/* --- what is known --- */

bool names_has_op(enum ask_op op)
{
	return op == ASK_NAME || op == ASK_ADDR || op == ASK_DNS;
}

static void set_addrs(struct ask_reply *rep, const struct dns_addrs *addrs)
{
	snprintf(rep->name, sizeof(rep->name), "%s", addrs->name);
	rep->naddr = (uint16_t)addrs->n;
	memcpy(rep->addr, addrs->addr, addrs->n * sizeof(addrs->addr[0]));
}

static bool try_name(struct names *names, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	const struct dns_addrs *known;
	const char *canon = NULL;
	struct names_ps *np;

	pthread_mutex_lock(&names->core->lock);
	rep->naddr = (uint16_t)hosts_lookup(ps->hosts, req->name, rep->addr, ASK_ADDRS_MAX, &canon);
	if (canon)
		snprintf(rep->name, sizeof(rep->name), "%s", canon);
	pthread_mutex_unlock(&names->core->lock);
	if (rep->naddr)
		return true;
	np = get(names, ps);
	if (!np) {
		rep->err = ENOENT;
		return true;
	}
	known = names_cache_get(np->cache, req->name, req->flags, uv_now(names->loop));
	if (known)
		set_addrs(rep, known);
	return known;
}

static bool try_addr(struct names *names, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	const char *name;

	pthread_mutex_lock(&names->core->lock);
	name = hosts_reverse(ps->hosts, &req->local.addr);
	snprintf(rep->name, sizeof(rep->name), "%s", name ? name : "");
	pthread_mutex_unlock(&names->core->lock);
	if (name)
		return true;
	if (get(names, ps))
		return false;
	rep->err = ENOENT;
	return true;
}

bool names_try(struct names *names, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	if (ps->removed) {
		rep->err = ENETDOWN;
		return true;
	}
	switch (req->op) {
	case ASK_NAME:
		return try_name(names, ps, req, rep);
	case ASK_ADDR:
		return try_addr(names, ps, req, rep);
	default:
		if (get(names, ps))
			return false;
		rep->err = EAGAIN;
		return true;
	}
}

/* --- queries --- */

static void query_free(struct names_query *q)
{
	portspace_unref(q->ps);
	free(q);
}

static void finish(struct names_query *q, struct ask_reply *rep, int err)
{
	rep->op = q->req.op;
	rep->err = err == -ECANCELED || err == -ETIMEDOUT ? EAGAIN : -err;
	if (q->fn)
		q->fn(rep, q->arg);
	q->done = true;
	if (!q->starting)
		query_free(q);
}

static void next_candidate(struct names_query *q);

static void got_addrs(int err, const struct dns_addrs *addrs, void *arg)
{
	struct names_query *q = arg;
	struct ask_reply rep = {.op = ASK_NAME};
	struct names_ps *np = find(q->names, q->ps);

	if (err < 0 && q->fn && names_search_failed(&q->search, err)) {
		next_candidate(q);
		return;
	}
	if (err < 0) {
		finish(q, &rep, names_search_verdict(&q->search, err));
		return;
	}
	set_addrs(&rep, addrs);
	if (np && !q->ps->removed)
		names_cache_put(np->cache, q->req.name, q->req.flags, addrs, NAMES_TTL_MAX_S,
			uv_now(q->names->loop));
	finish(q, &rep, 0);
}

static void next_candidate(struct names_query *q)
{
	/* not get(): this may be called from within c-ares, where nothing can be dropped */
	struct names_ps *np = find(q->names, q->ps);
	uint8_t flags = q->req.flags;
	int family = flags == ASK_NAME_V4 ? AF_INET : flags == ASK_NAME_V6 ? AF_INET6 : AF_UNSPEC;
	struct ask_reply rep = {.op = ASK_NAME};
	char name[ASK_NAME_MAX];

	if (!np || !q->ps->priv)
		finish(q, &rep, -EAGAIN);
	else if (!names_search_next(&q->search, q->ps->priv->config, name))
		finish(q, &rep, names_search_verdict(&q->search, -ENOENT));
	else
		dns_query_addrs(np->dns, name, family, got_addrs, q);
}

static void got_name(int err, const char *name, void *arg)
{
	struct ask_reply rep = {.op = ASK_ADDR};

	if (err == 0)
		snprintf(rep.name, sizeof(rep.name), "%s", name);
	finish(arg, &rep, err == -ENODATA ? -ENOENT : err);
}

static void got_raw(int err, const uint8_t *answer, size_t len, void *arg)
{
	struct ask_reply rep = {.op = ASK_DNS};

	if (err == 0) {
		rep.answer = answer;
		rep.nanswer = (uint16_t)len;
	}
	finish(arg, &rep, err);
}

struct names_query *names_start(struct names *names, struct portspace *ps,
	const struct ask_request *req, names_fn fn, void *arg)
{
	struct names_query *q = calloc(1, sizeof(*q));
	struct names_ps *np = get(names, ps);
	struct ask_reply rep = {.op = req->op, .err = ENOMEM};

	if (!q || !np) {
		free(q);
		fn(&rep, arg);
		return NULL;
	}
	*q = (struct names_query){.names = names,
		.ps = portspace_ref(ps),
		.req = *req,
		.fn = fn,
		.arg = arg,
		.starting = true};
	switch (req->op) {
	case ASK_NAME:
		names_search_init(&q->search, req->name);
		next_candidate(q);
		break;
	case ASK_ADDR:
		dns_query_name(np->dns, &req->local.addr, got_name, q);
		break;
	default:
		dns_query_raw(np->dns, req->query, req->nquery, got_raw, q);
		break;
	}
	q->starting = false;
	if (!q->done)
		return q;
	query_free(q);
	return NULL;
}

void names_cancel(struct names_query *query)
{
	if (query)
		query->fn = NULL;
}

/* --- life --- */

int names_new(uv_loop_t *loop, struct core *core, const struct dns_ops *ops, struct names **namesp)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	names->loop = loop;
	names->core = core;
	names->ops = ops;
	*namesp = names;
	return 0;
}

void names_close(struct names *names)
{
	if (!names)
		return;
	while (names->list)
		drop(names, names->list);
	free(names);
}

void names_portspace_gone(struct names *names, struct portspace *ps)
{
	struct names_ps *np = find(names, ps);

	if (np)
		drop(names, np);
}

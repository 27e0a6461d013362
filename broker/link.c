/* SPDX-License-Identifier: MIT */
/* Links: making and removing them, their names, endpoints and interface numbers (core_priv.h).
 *
 * A link keeps its portspace alive; the portspace keeps its links by their own references until
 * they are removed. */
#define LOG_MODULE "link"
#include "core_priv.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linklocal.h"
#include "log.h"

/* What the core keeps of a link beyond what the data path sees. */
struct link_own {
	struct link link; /* first */
	uint32_t ifindex;
	bool shared_psk; /* psk is the core's all-zero one */
	struct link_resolve resolve;
};

static struct link_own *own(struct link *link)
{
	return (struct link_own *)((char *)link - offsetof(struct link_own, link));
}

struct link *link_ref(struct link *link)
{
	atomic_fetch_add_explicit(&link->refs, 1, memory_order_relaxed);
	return link;
}

void link_unref(struct link *link)
{
	if (!link || atomic_fetch_sub_explicit(&link->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (!own(link)->shared_psk)
		key_free(link->psk);
	portspace_unref(link->portspace);
	free(link->allowed);
	free(own(link));
}

uint32_t link_ifindex(const struct link *link)
{
	return ((const struct link_own *)link)->ifindex;
}

struct link_resolve *link_resolve_state(struct link *link)
{
	return &own(link)->resolve;
}

int link_name_peers(struct config *config)
{
	for (size_t i = 0; i < config->npeers; i++) {
		char *name = config->peers[i].name;
		unsigned n = 1;

		if (name[0])
			continue;
		do {
			char candidate[LINK_NAME_MAX];

			if (n > CONFIG_PEERS_MAX)
				return -ENOSPC;
			snprintf(candidate, sizeof(candidate), "link%u", n++);
			if (!config_find_link(config, candidate))
				memcpy(name, candidate, sizeof(candidate));
		} while (!name[0]);
	}
	return 0;
}

/* An endpoint that needs no name service is known at once. */
static void numeric_endpoint(struct link *link)
{
	char host[HOSTS_NAME_MAX];
	uint16_t port;

	if (!link->endpoint_text[0] || config_endpoint_split(link->endpoint_text, host, &port) < 0)
		return;
	if (addr_parse(host, &link->endpoint.addr) < 0)
		return;
	link->endpoint.port = port;
	link->has_endpoint = true;
}

static int set_psk(struct core *core, struct link *link, const struct config_peer *peer)
{
	if (!peer->psk || key_is_zero(peer->psk)) {
		own(link)->shared_psk = true;
		link->psk = core->no_psk;
		return 0;
	}
	link->psk = key_new();
	if (!link->psk)
		return -ENOMEM;
	memcpy(link->psk, peer->psk, sizeof(*link->psk));
	return 0;
}

static int add_routes(struct portspace *ps, struct link *link)
{
	struct rib_route route = {.source = RIB_LINK,
		.via = &link->via,
		.metric = 1,
		.next_hop = addr_any6,
		.since_ms = core_now_ms()};
	int r = 0;

	for (size_t i = 0; i < link->nallowed && r == 0; i++) {
		if (rib_has_source(rib_get(ps->rib, &link->allowed[i]), RIB_LINK))
			r = -EEXIST;
		route.prefix = link->allowed[i];
		if (r == 0)
			r = rib_set(ps->rib, &route);
	}
	if (r < 0)
		rib_clear_via(ps->rib, &link->via, link->nallowed);
	return r;
}

static struct link *make(struct core *core, struct portspace *ps, const struct config_peer *peer)
{
	struct link_own *o = calloc(1, sizeof(*o));
	struct link *link;

	if (!o)
		return NULL;
	link = &o->link;
	atomic_init(&link->refs, 1);
	link->portspace = portspace_ref(ps);
	link->peer = peer->public_key;
	addr_link_local(&link->peer, &link->link_local);
	link->keepalive_s = peer->keepalive_s;
	snprintf(link->name, sizeof(link->name), "%s", peer->name);
	snprintf(link->endpoint_text, sizeof(link->endpoint_text), "%s", peer->endpoint);
	link->allowed = calloc(peer->nallowed ? peer->nallowed : 1, sizeof(link->allowed[0]));
	if (!link->allowed || set_psk(core, link, peer) < 0) {
		link_unref(link);
		return NULL;
	}
	if (peer->nallowed)
		memcpy(link->allowed, peer->allowed, peer->nallowed * sizeof(link->allowed[0]));
	link->nallowed = peer->nallowed;
	numeric_endpoint(link);
	return link;
}

int link_add(struct portspace *ps, const struct config_peer *peer, struct link **linkp)
{
	struct core *core = ps->priv->core;
	struct link *link = make(core, ps, peer);
	struct link **end;
	int r;

	if (!link)
		return -ENOMEM;
	pthread_mutex_lock(&core->lock);
	r = add_routes(ps, link);
	if (r == 0) {
		own(link)->ifindex = ps->priv->next_ifindex++;
		for (end = &ps->links; *end;)
			end = &(*end)->next;
		*end = link;
	}
	pthread_mutex_unlock(&core->lock);
	if (r < 0) {
		link_unref(link);
		return r;
	}
	if (core->hooks.link_changed)
		core->hooks.link_changed(link, core->hooks.arg);
	if (linkp)
		*linkp = link;
	return 0;
}

void link_remove(struct link *link)
{
	struct portspace *ps = link->portspace;
	struct core *core = ps->priv->core;
	struct link **at;

	pthread_mutex_lock(&core->lock);
	link->removed = true;
	for (at = &ps->links; *at && *at != link;)
		at = &(*at)->next;
	if (*at)
		*at = link->next;
	link->next = NULL;
	/* Few at a time, so that nobody waits long; until the last is gone they lead nowhere. */
	while (rib_clear_via(ps->rib, &link->via, CORE_ROUTES_AT_ONCE)) {
		pthread_mutex_unlock(&core->lock);
		pthread_mutex_lock(&core->lock);
	}
	pthread_mutex_unlock(&core->lock);
	if (core->hooks.link_changed)
		core->hooks.link_changed(link, core->hooks.arg);
	link_unref(link);
}

struct link *link_find(struct portspace *ps, const char *text)
{
	struct link *link;
	struct key key;

	for (link = ps->links; link; link = link->next)
		if (strcmp(link->name, text) == 0)
			return link;
	if (key_parse(text, &key) < 0)
		return NULL;
	for (link = ps->links; link; link = link->next)
		if (key_equal(&link->peer, &key))
			return link;
	return NULL;
}

void link_set_endpoint(struct link *link, const struct endpoint *ep)
{
	struct core *core = link->portspace->priv->core;
	bool changed;

	pthread_mutex_lock(&core->lock);
	changed = !link->has_endpoint || !endpoint_equal(&link->endpoint, ep);
	link->endpoint = *ep;
	link->has_endpoint = true;
	pthread_mutex_unlock(&core->lock);
	if (changed && core->hooks.link_changed)
		core->hooks.link_changed(link, core->hooks.arg);
}

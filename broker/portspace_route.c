/* SPDX-License-Identifier: MIT */
/* The routes that a portspace's configuration gives: gateways, static ones, and the settings of RIP
 * (core_priv.h).
 *
 * Model: the configuration says what there should be. After every change of it or of the links all
 * of it is set again under a new number, and what was set before and does not have that number is
 * removed. So a static route via an address moves when the address moves to another link, and is
 * out of the table while no link leads to it. The mutex is held for a few routes at a time. */
#define LOG_MODULE "route"
#include "core_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_net.h"
#include "log.h"

/* A route that was set, to be found again. `via` may be gone: it is compared only. */
struct portspace_route {
	struct prefix prefix;
	enum rib_source source;
	struct rib_via *via;
};

struct set {
	struct portspace *ps;
	struct portspace_route *done;
	size_t ndone;
	unsigned held; /* routes since the mutex was taken */
	int error;     /* the last one */
};

static void breathe(struct set *set)
{
	pthread_mutex_t *lock = &set->ps->priv->core->lock;

	if (++set->held % CORE_ROUTES_AT_ONCE)
		return;
	pthread_mutex_unlock(lock);
	pthread_mutex_lock(lock);
}

/* The link that leads to a next hop: its peer's link-local address, or by AllowedIPs. */
static struct rib_via *via_of(struct portspace *ps, const struct addr *hop)
{
	const struct rib_route *route;

	for (struct link *link = ps->links; link; link = link->next)
		if (addr_equal(&link->link_local, hop))
			return &link->via;
	if (portspace_owns(ps, hop))
		return NULL;
	route = rib_lookup_source(ps->rib, hop, RIB_LINK);
	return route ? route->via : NULL;
}

struct rib_via *portspace_route_via(struct portspace *ps, const struct config_route *route)
{
	struct link *link = ps->links;

	if (!route->link[0])
		return via_of(ps, &route->via);
	while (link && strcmp(link->name, route->link) != 0)
		link = link->next;
	return link ? &link->via : NULL;
}

/* What stays as it was keeps its age. */
static uint64_t since_ms(const struct rib *rib, const struct rib_route *route)
{
	const struct rib_route *old = rib_get(rib, &route->prefix);

	while (old && (old->source != route->source || old->via != route->via))
		old = old->next;
	return old && old->metric == route->metric && addr_equal(&old->next_hop, &route->next_hop)
		       ? old->since_ms
		       : route->since_ms;
}

static void set_one(struct set *set, const struct rib_route *given)
{
	struct rib_route route = *given;
	int r;

	route.since_ms = since_ms(set->ps->rib, given);
	r = rib_set(set->ps->rib, &route);

	if (r < 0) {
		set->error = r;
		return;
	}
	set->done[set->ndone++] = (struct portspace_route){
		.prefix = route.prefix, .source = route.source, .via = route.via};
	breathe(set);
}

static void set_all(struct set *set, const struct config *config, uint16_t number)
{
	struct rib_route route = {.source = RIB_GATEWAY,
		.metric = 1,
		.next_hop = addr_any6,
		.tag = number,
		.since_ms = core_now_ms()};

	for (size_t i = 0; i < config->gateways.n; i++) {
		route.prefix = config->gateways.prefixes[i];
		set_one(set, &route);
	}
	route.source = RIB_STATIC;
	for (size_t i = 0; i < config->nroutes; i++) {
		const struct config_route *given = &config->routes[i];

		route.via = portspace_route_via(set->ps, given);
		if (!route.via)
			continue;
		route.prefix = given->prefix;
		route.metric = given->metric;
		route.next_hop = given->link[0] ? addr_any6 : given->via;
		set_one(set, &route);
	}
}

static void remove_old(struct set *set, uint16_t number)
{
	const struct portspace_priv *priv = set->ps->priv;

	for (size_t i = 0; i < priv->nroutes; i++) {
		const struct portspace_route *old = &priv->routes[i];
		const struct rib_route *now = rib_get(set->ps->rib, &old->prefix);

		while (now && (now->source != old->source || now->via != old->via))
			now = now->next;
		if (now && now->tag != number)
			rib_remove(set->ps->rib, &old->prefix, old->source, old->via);
		breathe(set);
	}
}

static void set_rip(struct portspace *ps, const struct config *config)
{
	struct core_rip_config old, rip = {.on = config->rip,
					    .update_s = config->rip_update_s ? config->rip_update_s
									     : CONFIG_RIP_UPDATE_S};
	const bool given = config->networks.n > 0;
	const struct prefix *from = given ? config->networks.prefixes : config->addresses;
	const size_t n = given ? config->networks.n : config->naddresses;

	if (rip.on)
		rip.networks = calloc(n ? n : 1, sizeof(rip.networks[0]));
	if (rip.on && !rip.networks) {
		log_error("%s: out of memory; RIP is off", ps->info.name);
		rip.on = false;
	}
	for (; rip.on && rip.nnetworks < n; rip.nnetworks++) {
		rip.networks[rip.nnetworks] = from[rip.nnetworks];
		prefix_mask(&rip.networks[rip.nnetworks]);
	}
	pthread_mutex_lock(&ps->priv->core->lock);
	old = ps->rip;
	ps->rip = rip;
	pthread_mutex_unlock(&ps->priv->core->lock);
	free(old.networks);
}

void portspace_build_routes(struct portspace *ps)
{
	struct portspace_priv *priv = ps->priv;
	const struct config *config = priv->config;
	const size_t n = config->gateways.n + config->nroutes;
	const uint16_t number = ++priv->route_number;
	struct set set = {.ps = ps, .done = calloc(n ? n : 1, sizeof(set.done[0]))};

	set_rip(ps, config);
	if (!set.done) {
		log_error("%s: out of memory; its routes stay as they were", ps->info.name);
		return;
	}
	pthread_mutex_lock(&priv->core->lock);
	set_all(&set, config, number);
	remove_old(&set, number);
	pthread_mutex_unlock(&priv->core->lock);
	if (set.error)
		log_error("%s: some routes could not be set: %s", ps->info.name,
			strerror(-set.error));
	free(priv->routes);
	priv->routes = set.done;
	priv->nroutes = set.ndone;
}

/* SPDX-License-Identifier: MIT */
/* Where streams and packets go (core.h), and what RIP may change of it.
 *
 * Model: one decision for both, next_locked(): is the source allowed where it came from, and what
 * does the table of the portspace say of the destination? A source is allowed on a link when the
 * way back to it is that link's by AllowedIPs, as WireGuard has it, or by a static route; when RIP
 * has the way to it, whichever link it is (routes need not be symmetric); and when it is the peer's
 * own link-local address. Link-local addresses are never forwarded (RFC 4291, section 2.5.6). */
#include "core_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inherit.h"
#include "linklocal.h"

static struct link *link_of(const struct rib_route *route)
{
	return (struct link *)((char *)route->via - offsetof(struct link, via));
}

uint64_t core_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct link *core_link_of_prefix(struct portspace *ps, const struct prefix *prefix)
{
	const struct rib_route *route = rib_get(ps->rib, prefix);

	while (route && route->source != RIB_LINK)
		route = route->next;
	return route ? link_of(route) : NULL;
}

bool portspace_owns(const struct portspace *ps, const struct addr *a)
{
	for (unsigned i = 0; i < ps->info.naddr; i++)
		if (addr_equal(&ps->info.addr[i].addr, a))
			return true;
	return addr_equal(&ps->link_local, a);
}

/* Is it the link-local address that the key of a peer gives it? */
static bool is_of_neighbour(const struct portspace *ps, const struct addr *a)
{
	const struct link *link = ps->links;

	while (link && !addr_equal(&link->link_local, a))
		link = link->next;
	return link != NULL;
}

/* May something with this source come in by `from`? */
static bool source_allowed(
	const struct portspace *ps, const struct link *from, const struct addr *src)
{
	const struct rib_route *best, *route;

	if (addr_is_any(src) || addr_is_multicast(src))
		return false;
	if (!from)
		return addr_is_loopback(src) || portspace_owns(ps, src);
	if (addr_is_loopback(src) || portspace_owns(ps, src))
		return false;
	if (addr_equal(src, &from->link_local))
		return true;
	if (addr_is_link_local(src) && is_of_neighbour(ps, src))
		return false;
	best = rib_lookup(ps->rib, src);
	for (route = best; route; route = route->next)
		if (route->source != RIB_RIP && route->via == &from->via)
			return true;
	/* What somebody teaches of a prefix that AllowedIPs give to another makes no difference. */
	return best && best->source == RIB_RIP;
}

static int next_link(struct link *link, const struct addr *via, struct core_next *nextp)
{
	if (link->removed)
		return -ENETUNREACH;
	*nextp = (struct core_next){
		.kind = CORE_NEXT_LINK, .link = link, .plane = link->plane, .via = *via};
	return 0;
}

/* Link-local addresses are derived from keys, so they say which link is meant. */
static int next_link_local(struct portspace *ps, const struct link *from, const struct addr *dst,
	struct core_next *nextp)
{
	struct link *link = from ? NULL : ps->links;

	while (link && !addr_equal(&link->link_local, dst))
		link = link->next;
	return link ? next_link(link, &addr_any6, nextp) : -ENETUNREACH;
}

static int next_locked(struct portspace *ps, const struct link *from, const struct addr *src,
	const struct addr *dst, struct core_next *nextp)
{
	const struct rib_route *route;

	if (ps->removed || (from && (from->removed || from->portspace != ps)))
		return -ENETUNREACH;
	if (!source_allowed(ps, from, src))
		return -EACCES;
	if (addr_is_any(dst) || addr_is_multicast(dst))
		return -ENETUNREACH;
	if (addr_is_loopback(dst) && from)
		return -ENETUNREACH;
	if (addr_is_loopback(dst) || portspace_owns(ps, dst)) {
		*nextp = (struct core_next){.kind = CORE_NEXT_LOCAL, .via = *dst};
		return 0;
	}
	if (addr_is_loopback(src))
		return -ENETUNREACH; /* loopback never leaves */
	if (addr_is_link_local(dst))
		return next_link_local(ps, from, dst, nextp);
	if (from && addr_is_link_local(src))
		return -ENETUNREACH;
	route = rib_lookup(ps->rib, dst);
	if (!route)
		return -ENETUNREACH;
	if (route->via)
		return next_link(link_of(route), &route->next_hop, nextp);
	*nextp = (struct core_next){.kind = CORE_NEXT_GATEWAY, .via = *dst};
	return 0;
}

int core_packet_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct addr *src, const struct addr *dst, struct core_next *nextp)
{
	int r;

	pthread_mutex_lock(&core->lock);
	r = next_locked(ps, from, src, dst, nextp);
	pthread_mutex_unlock(&core->lock);
	return r;
}

/* --- streams --- */

static int hop_locked(struct portspace *ps, const struct link *from, const struct endpoint *src,
	const struct endpoint *dst, struct core_hop *hopp)
{
	struct core_next next;
	int r = next_locked(ps, from, &src->addr, &dst->addr, &next);

	if (r < 0)
		return r;
	switch (next.kind) {
	case CORE_NEXT_LOCAL:
		return inherit_route(ps, src, dst, hopp);
	case CORE_NEXT_GATEWAY:
		return inherit_gateway(ps, src, dst, hopp);
	case CORE_NEXT_LINK:
		break;
	}
	if (next.link == from)
		return -EHOSTUNREACH;
	*hopp = (struct core_hop){.kind = CORE_HOP_LINK, .link = link_ref(next.link)};
	return 0;
}

int core_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct endpoint *src, const struct endpoint *dst, struct core_hop *hopp)
{
	int r;

	pthread_mutex_lock(&core->lock);
	r = hop_locked(ps, from, src, dst, hopp);
	pthread_mutex_unlock(&core->lock);
	return r;
}

/* --- the plane --- */

void core_link_set_plane(struct core *core, struct link *link, void *plane)
{
	pthread_mutex_lock(&core->lock);
	link->plane = plane;
	pthread_mutex_unlock(&core->lock);
}

int core_udp_lookup(struct core *core, struct portspace *ps, const struct endpoint *dst,
	uint32_t hash, uint64_t *inodep)
{
	struct porttab_entry entry;
	int r = -ECONNREFUSED;

	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		r = porttab_lookup_hash(ps->porttab, IPPROTO_UDP, dst, hash, &entry);
	pthread_mutex_unlock(&core->lock);
	if (r == 0)
		*inodep = entry.inode;
	return r;
}

/* --- reading the table --- */

struct reading {
	struct core_route_info *routes;
	size_t n, max;
};

static struct core_route_info info_of(const struct rib_route *route, bool best)
{
	struct core_route_info info = {.prefix = route->prefix,
		.source = route->source,
		.best = best,
		.metric = route->metric,
		.next_hop = route->next_hop,
		.since_ms = route->since_ms};

	if (route->via) {
		const struct link *link = link_of(route);

		memcpy(info.link, link->name, sizeof(info.link));
		info.plane = link->plane;
		info.silent = link->via.silent;
	}
	return info;
}

static int read_prefix(const struct rib_route *best, void *arg)
{
	struct reading *r = arg;
	size_t n = 0;

	for (const struct rib_route *route = best; route; route = route->next)
		n++;
	if (n > r->max - r->n && r->n > 0)
		return 1;
	for (const struct rib_route *route = best; route && r->n < r->max; route = route->next)
		r->routes[r->n++] = info_of(route, route == best);
	return r->n == r->max;
}

size_t core_routes(struct core *core, struct portspace *ps, const struct prefix *after,
	struct core_route_info *routes, size_t max)
{
	struct reading r = {.routes = routes, .max = max};

	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		rib_each(ps->rib, after, read_prefix, &r);
	pthread_mutex_unlock(&core->lock);
	return r.n;
}

/* --- RIP --- */

int core_rip_config(struct core *core, struct portspace *ps, struct core_rip_config *configp)
{
	struct core_rip_config config;
	int r = 0;

	pthread_mutex_lock(&core->lock);
	config = ps->rip;
	config.networks = calloc(config.nnetworks ? config.nnetworks : 1, sizeof(struct prefix));
	if (!config.networks)
		r = -ENOMEM;
	else if (config.nnetworks)
		memcpy(config.networks, ps->rip.networks, config.nnetworks * sizeof(struct prefix));
	pthread_mutex_unlock(&core->lock);
	if (r == 0)
		*configp = config;
	return r;
}

/* The link over which RIP leads to this prefix, or NULL. */
static struct rib_via *rip_via(const struct portspace *ps, const struct prefix *prefix)
{
	const struct rib_route *route = rib_get(ps->rib, prefix);

	while (route && route->source != RIB_RIP)
		route = route->next;
	return route ? route->via : NULL;
}

int core_rip_set(struct core *core, struct link *link, const struct prefix *prefix,
	const struct addr *next_hop, uint8_t metric, uint16_t tag, uint64_t now_ms)
{
	struct portspace *ps = link->portspace;
	const struct rib_route route = {.prefix = *prefix,
		.source = RIB_RIP,
		.via = &link->via,
		.next_hop = *next_hop,
		.metric = metric,
		.tag = tag,
		.since_ms = now_ms};
	int r = -ENETDOWN;

	pthread_mutex_lock(&core->lock);
	if (!ps->removed && !link->removed) {
		struct rib_via *old = rip_via(ps, prefix);

		r = rib_set(ps->rib, &route);
		if (r == 0 && old && old != &link->via)
			rib_remove(ps->rib, prefix, RIB_RIP, old);
	}
	pthread_mutex_unlock(&core->lock);
	return r;
}

void core_rip_remove(struct core *core, struct portspace *ps, const struct prefix *prefix)
{
	struct rib_via *old;

	pthread_mutex_lock(&core->lock);
	old = rip_via(ps, prefix);
	if (old)
		rib_remove(ps->rib, prefix, RIB_RIP, old);
	pthread_mutex_unlock(&core->lock);
}

void core_link_silent(struct core *core, struct link *link, bool silent)
{
	struct portspace *ps = link->portspace;

	pthread_mutex_lock(&core->lock);
	if (link->via.silent != silent) {
		link->via.silent = silent;
		for (size_t i = 0; i < link->nallowed && !link->removed; i++) {
			rib_rerank(ps->rib, &link->allowed[i]);
			if (i % CORE_ROUTES_AT_ONCE == CORE_ROUTES_AT_ONCE - 1) {
				pthread_mutex_unlock(&core->lock);
				pthread_mutex_lock(&core->lock);
			}
		}
	}
	pthread_mutex_unlock(&core->lock);
}

/* SPDX-License-Identifier: MIT */
/* A routing table. See rib.h; the prefixes are in rib_tree.c, lookups in rib_fib.c.
 *
 * Invariants: a prefix has at least one candidate, sorted by rank and metric; each route over a
 * rib_via is in its list. */
#include "rib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "rib_fib.h"
#include "rib_tree.h"

struct rib {
	struct rib_tree tree;
	struct rib_fib fib;
};

const struct rib_route *rib_lookup(const struct rib *rib, const struct addr *addr)
{
	return rib_fib_lookup(&rib->fib, addr);
}

const struct rib_route *rib_get(const struct rib *rib, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	const struct rib_node *e;

	if (masked.len > RIB_BITS)
		return NULL;
	prefix_mask(&masked);
	e = rib_tree_find(&rib->tree, &masked);
	return e ? e->best : NULL;
}

const struct rib_route *rib_lookup_source(
	const struct rib *rib, const struct addr *addr, enum rib_source source)
{
	const int least = addr_is_v4(addr) ? RIB_V4_BITS : 0;

	for (int len = RIB_BITS; len >= least; len--) {
		const struct prefix prefix = {.addr = *addr, .len = (uint8_t)len};

		for (const struct rib_route *r = rib_get(rib, &prefix); r; r = r->next)
			if (r->source == source)
				return r;
	}
	return NULL;
}

/* --- candidates --- */

static uint8_t rank_of(const struct rib_route *r)
{
	return (uint8_t)(r->source == RIB_LINK && r->via && r->via->silent ? RIB_RIP + 1
									   : r->source);
}

/* Puts a route behind those that are as good. */
static void rank_in(struct rib_node *e, struct rib_route *route)
{
	struct rib_route **at = &e->best;

	route->rank = rank_of(route);
	while (*at && ((*at)->rank < route->rank ||
			      ((*at)->rank == route->rank && (*at)->metric <= route->metric)))
		at = &(*at)->next;
	route->next = *at;
	*at = route;
}

static void via_add(struct rib_route *route)
{
	if (!route->via)
		return;
	DL_PREPEND2(route->via->routes, route, via_prev, via_next);
	route->via->nroutes++;
}

static void via_drop(struct rib_route *route)
{
	if (!route->via)
		return;
	DL_DELETE2(route->via->routes, route, via_prev, via_next);
	route->via->nroutes--;
}

/* Where the route of this source and via is linked in; points to NULL when there is none. */
static struct rib_route **candidate(
	struct rib_node *e, enum rib_source source, const struct rib_via *via)
{
	struct rib_route **at = &e->best;

	while (*at && ((*at)->source != source || (*at)->via != via))
		at = &(*at)->next;
	return at;
}

/* Adds a prefix with its first route, which is taken over on success. */
static int set_first(struct rib *rib, struct rib_route *route)
{
	int r;

	route->rank = rank_of(route);
	route->next = NULL;
	r = rib_tree_insert(&rib->tree, route);
	if (r < 0)
		return r;
	r = rib_fib_set(&rib->fib, &rib->tree, &route->prefix);
	if (r < 0)
		rib_tree_remove(&rib->tree, &route->prefix);
	return r;
}

/* The candidates are others, or in another order. It cannot fail: the prefix is there already. */
static void changed(struct rib *rib, const struct prefix *prefix)
{
	(void)rib_fib_set(&rib->fib, &rib->tree, prefix);
}

int rib_set(struct rib *rib, const struct rib_route *given)
{
	struct rib_route *route, **at, *old = NULL;
	struct rib_node *e;
	int r;

	if (given->prefix.len > RIB_BITS)
		return -EINVAL;
	route = malloc(sizeof(*route));
	if (!route)
		return -ENOMEM;
	*route = *given;
	prefix_mask(&route->prefix);
	e = rib_tree_find(&rib->tree, &route->prefix);
	if (e) {
		at = candidate(e, route->source, route->via);
		old = *at;
		if (old) {
			*at = old->next;
			via_drop(old);
			free(old);
		}
		rank_in(e, route);
		changed(rib, &route->prefix);
	} else {
		r = set_first(rib, route);
		if (r < 0) {
			free(route);
			return r;
		}
	}
	via_add(route);
	return 0;
}

static void remove_at(struct rib *rib, struct rib_node *e, struct rib_route **at)
{
	struct rib_route *route = *at;
	const struct prefix prefix = route->prefix;

	*at = route->next;
	via_drop(route);
	free(route);
	if (e->best) {
		changed(rib, &prefix);
	} else {
		rib_tree_remove(&rib->tree, &prefix);
		rib_fib_removed(&rib->fib, &rib->tree, &prefix);
	}
}

int rib_remove(struct rib *rib, const struct prefix *prefix, enum rib_source source,
	const struct rib_via *via)
{
	struct prefix masked = *prefix;
	struct rib_route **at;
	struct rib_node *e;

	if (masked.len > RIB_BITS)
		return -ENOENT;
	prefix_mask(&masked);
	e = rib_tree_find(&rib->tree, &masked);
	if (!e)
		return -ENOENT;
	at = candidate(e, source, via);
	if (!*at)
		return -ENOENT;
	remove_at(rib, e, at);
	return 0;
}

size_t rib_clear_via(struct rib *rib, struct rib_via *via, size_t max)
{
	for (size_t n = 0; n < max && via->routes; n++) {
		const struct rib_route *route = via->routes;
		struct rib_node *e = rib_tree_find(&rib->tree, &route->prefix);

		remove_at(rib, e, candidate(e, route->source, via));
	}
	return via->nroutes;
}

void rib_rerank(struct rib *rib, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	struct rib_route *route, *next;
	struct rib_node *e;

	if (masked.len > RIB_BITS)
		return;
	prefix_mask(&masked);
	e = rib_tree_find(&rib->tree, &masked);
	if (!e)
		return;
	route = e->best;
	for (e->best = NULL; route; route = next) {
		next = route->next;
		rank_in(e, route);
	}
	changed(rib, &masked);
}

bool rib_has_source(const struct rib_route *candidates, enum rib_source source)
{
	while (candidates && candidates->source != source)
		candidates = candidates->next;
	return candidates;
}

int rib_each(const struct rib *rib, const struct prefix *after,
	int (*fn)(const struct rib_route *best, void *arg), void *arg)
{
	return rib_tree_each(&rib->tree, after, fn, arg);
}

size_t rib_count(const struct rib *rib)
{
	return rib->tree.count;
}

int rib_new(struct rib **ribp)
{
	struct rib *rib = calloc(1, sizeof(*rib));

	if (!rib)
		return -ENOMEM;
	*ribp = rib;
	return 0;
}

static void candidates_free(struct rib_route *route)
{
	struct rib_route *next;

	for (; route; route = next) {
		next = route->next;
		via_drop(route);
		free(route);
	}
}

void rib_free(struct rib *rib)
{
	if (!rib)
		return;
	rib_tree_deinit(&rib->tree, candidates_free);
	rib_fib_deinit(&rib->fib);
	free(rib);
}

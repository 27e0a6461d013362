/* SPDX-License-Identifier: MIT */
/* A routing table. See rib.h; the trie is rib_trie.c.
 *
 * Invariants: an entry has at least one candidate, sorted by rank and metric; each route over a
 * rib_via is in its list. */
#include "rib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "rib_trie.h"

enum { BITS = 128, V4_BITS = 96 };

struct rib {
	struct rib_trie trie;
};

const struct rib_route *rib_lookup(const struct rib *rib, const struct addr *addr)
{
	return rib_trie_lookup(&rib->trie, addr);
}

const struct rib_route *rib_get(const struct rib *rib, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	const struct rib_entry *e;

	if (masked.len > BITS)
		return NULL;
	prefix_mask(&masked);
	e = rib_trie_find(&rib->trie, &masked);
	return e ? e->best : NULL;
}

const struct rib_route *rib_lookup_source(
	const struct rib *rib, const struct addr *addr, enum rib_source source)
{
	const int least = addr_is_v4(addr) ? V4_BITS : 0;

	for (int len = BITS; len >= least; len--) {
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
static void rank_in(struct rib_entry *e, struct rib_route *route)
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
	struct rib_entry *e, enum rib_source source, const struct rib_via *via)
{
	struct rib_route **at = &e->best;

	while (*at && ((*at)->source != source || (*at)->via != via))
		at = &(*at)->next;
	return at;
}

/* Adds an entry with its first route, which is taken over on success. */
static int set_first(struct rib *rib, struct rib_route *route)
{
	struct rib_entry *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->prefix = route->prefix;
	rank_in(e, route);
	r = rib_trie_insert(&rib->trie, e);
	if (r < 0)
		free(e);
	return r;
}

int rib_set(struct rib *rib, const struct rib_route *given)
{
	struct rib_route *route, **at, *old = NULL;
	struct rib_entry *e;
	int r;

	if (given->prefix.len > BITS)
		return -EINVAL;
	route = malloc(sizeof(*route));
	if (!route)
		return -ENOMEM;
	*route = *given;
	prefix_mask(&route->prefix);
	e = rib_trie_find(&rib->trie, &route->prefix);
	if (e) {
		at = candidate(e, route->source, route->via);
		old = *at;
		if (old) {
			*at = old->next;
			via_drop(old);
			free(old);
		}
		rank_in(e, route);
		rib_trie_update(&rib->trie, e);
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

static void remove_at(struct rib *rib, struct rib_entry *e, struct rib_route **at)
{
	struct rib_route *route = *at;

	*at = route->next;
	via_drop(route);
	free(route);
	if (!e->best) {
		rib_trie_remove(&rib->trie, e);
		free(e);
	} else {
		rib_trie_update(&rib->trie, e);
	}
}

int rib_remove(struct rib *rib, const struct prefix *prefix, enum rib_source source,
	const struct rib_via *via)
{
	struct prefix masked = *prefix;
	struct rib_route **at;
	struct rib_entry *e;

	if (masked.len > BITS)
		return -ENOENT;
	prefix_mask(&masked);
	e = rib_trie_find(&rib->trie, &masked);
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
		struct rib_entry *e = rib_trie_find(&rib->trie, &route->prefix);

		remove_at(rib, e, candidate(e, route->source, via));
	}
	return via->nroutes;
}

void rib_rerank(struct rib *rib, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	struct rib_route *route, *next;
	struct rib_entry *e;

	if (masked.len > BITS)
		return;
	prefix_mask(&masked);
	e = rib_trie_find(&rib->trie, &masked);
	if (!e)
		return;
	route = e->best;
	for (e->best = NULL; route; route = next) {
		next = route->next;
		rank_in(e, route);
	}
	rib_trie_update(&rib->trie, e);
}

bool rib_has_source(const struct rib_route *candidates, enum rib_source source)
{
	while (candidates && candidates->source != source)
		candidates = candidates->next;
	return candidates;
}

struct each {
	int (*fn)(const struct rib_route *best, void *arg);
	void *arg;
};

static int each_entry(struct rib_entry *e, void *arg)
{
	const struct each *each = arg;

	return each->fn(e->best, each->arg);
}

int rib_each(const struct rib *rib, const struct prefix *after,
	int (*fn)(const struct rib_route *best, void *arg), void *arg)
{
	struct each each = {.fn = fn, .arg = arg};

	return rib_trie_each(&rib->trie, after, each_entry, &each);
}

size_t rib_count(const struct rib *rib)
{
	return rib->trie.count;
}

int rib_new(struct rib **ribp)
{
	struct rib *rib = calloc(1, sizeof(*rib));

	if (!rib)
		return -ENOMEM;
	*ribp = rib;
	return 0;
}

static void entry_free(struct rib_entry *e)
{
	struct rib_route *route, *next;

	for (route = e->best; route; route = next) {
		next = route->next;
		via_drop(route);
		free(route);
	}
	free(e);
}

void rib_free(struct rib *rib)
{
	if (!rib)
		return;
	rib_trie_deinit(&rib->trie, entry_free);
	free(rib);
}

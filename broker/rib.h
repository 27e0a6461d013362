/* SPDX-License-Identifier: MIT */
/* The routing table of one portspace: every route that somebody offers, and the best one for an
 * address.
 *
 * Model: a route is known by its prefix, its source and what it leads over. Those with the same
 * prefix are candidates of each other: the best has the lowest rank, then the lowest metric, then
 * was there first. Ranks: GATEWAY, STATIC, LINK, RIP, and behind them LINK over a neighbour that is
 * silent. A lookup gives the best candidate of the longest prefix that contains the address.
 *
 * Prefixes of IPv4 (::ffff:0:0/96 and longer) and of IPv6 are separate: "::/0" does not cover IPv4.
 * `struct rib_via` is the caller's, one for each link, embedded in it; a route over nothing
 * (GATEWAY) has none.
 *
 * Costs: a lookup among 100,000 prefixes takes some tens of nanoseconds, a change at most a few
 * microseconds; an empty table is 300 bytes. Not thread safe: the caller's lock guards it. */
#ifndef PERSONA_BROKER_RIB_H
#define PERSONA_BROKER_RIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

struct rib;

enum rib_source {
	RIB_GATEWAY, /* our own, leaves by the super-portspace's or the base's network */
	RIB_STATIC,  /* configured */
	RIB_LINK,    /* AllowedIPs of a link */
	RIB_RIP	     /* learned */
};

/* What routes lead over. All zero at first; the caller sets `silent` (see rib_rerank), the rest is
 * the table's. It must be cleared (rib_clear_via) before it goes. */
struct rib_via {
	struct rib_route *routes; /* over it, in no order */
	size_t nroutes;
	bool silent; /* the neighbour has not been heard for RIP's timeout */
};

struct rib_route {
	struct prefix prefix; /* masked */
	enum rib_source source;
	uint8_t metric;
	uint16_t tag;	      /* RIP's route tag */
	struct rib_via *via;  /* NULL: GATEWAY */
	struct addr next_hop; /* addr_any6: the peer of the link */
	uint64_t since_ms;    /* when it was set, on the caller's clock */
	/* the table's */
	uint8_t rank;
	struct rib_route *next; /* the next best candidate */
	struct rib_route *via_prev, *via_next;
};

int rib_new(struct rib **ribp); /* 0 or -ENOMEM */
/* Takes everything out of the rib_vias first. NULL is allowed. */
void rib_free(struct rib *rib);

/* Adds a route, or replaces the one with the same prefix, source and via. Host bits of the prefix
 * are cleared; the table's own fields are not read. 0; -EINVAL (a length over 128); -ENOMEM. */
int rib_set(struct rib *rib, const struct rib_route *route);
/* 0 or -ENOENT. */
int rib_remove(struct rib *rib, const struct prefix *prefix, enum rib_source source,
	const struct rib_via *via);
/* Removes at most `max` routes over it; returns how many are left. */
size_t rib_clear_via(struct rib *rib, struct rib_via *via, size_t max);
/* via->silent changed: orders the candidates of one prefix anew. */
void rib_rerank(struct rib *rib, const struct prefix *prefix);

/* The best route to an address; NULL when there is none. Valid until the next change. */
const struct rib_route *rib_lookup(const struct rib *rib, const struct addr *addr);
/* The route of this source with the longest prefix that contains the address, whether or not it is
 * the best one; the best of its kind when there are several. Slower: up to 129 searches. */
const struct rib_route *rib_lookup_source(
	const struct rib *rib, const struct addr *addr, enum rib_source source);
/* The candidates of exactly this prefix (host bits ignored), best first, or NULL. */
const struct rib_route *rib_get(const struct rib *rib, const struct prefix *prefix);

/* Is one of the candidates of this source? NULL is allowed. */
bool rib_has_source(const struct rib_route *candidates, enum rib_source source);

size_t rib_count(const struct rib *rib); /* prefixes */
/* Calls fn with the best candidate of each prefix until it returns non-zero, and returns that; fn
 * must not change the table. IPv4 first, then sorted by address, shorter prefixes first. `after`:
 * begin behind this prefix (masked; it need not be there), NULL: at the start. So a long table can
 * be read in pieces. */
int rib_each(const struct rib *rib, const struct prefix *after,
	int (*fn)(const struct rib_route *best, void *arg), void *arg);

#endif

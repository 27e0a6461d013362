/* SPDX-License-Identifier: MIT */
/* A routing table: longest-prefix match from struct prefix to a value (a struct link *).
 *
 * IPv4 and IPv6 share one trie, IPv4 below ::ffff:0:0/96. The default route of IPv4 is 0.0.0.0/0
 * (length 96), which does not match IPv6 and the other way round: "::/0" is refused to IPv4
 * addresses by route_lookup(). Not thread safe: the caller's lock guards it. */
#ifndef PERSONA_BROKER_ROUTE_H
#define PERSONA_BROKER_ROUTE_H

#include <stddef.h>

#include "addr.h"

struct route;

int route_new(struct route **routep); /* 0 or -ENOMEM */
void route_free(struct route *route); /* the values are the caller's; NULL is allowed */

/* Adds a prefix (host bits are ignored). `value` is not NULL. 0, also when the prefix has this very
 * value already; -EEXIST when it has another; -EINVAL (length over 128, NULL value); -ENOMEM. */
int route_add(struct route *route, const struct prefix *prefix, void *value);
/* 0 or -ENOENT. */
int route_remove(struct route *route, const struct prefix *prefix);
/* Removes every prefix with this value; returns how many there were. */
size_t route_remove_value(struct route *route, const void *value);

/* The value of the longest prefix that contains the address; NULL when there is none. */
void *route_lookup(const struct route *route, const struct addr *addr);
/* The value of exactly this prefix (host bits ignored), or NULL. */
void *route_get(const struct route *route, const struct prefix *prefix);

size_t route_count(const struct route *route);
/* Calls fn for each prefix, sorted by address, shorter ones first, until fn returns non-zero, and
 * returns that. fn must not change the table. */
int route_each(const struct route *route,
	int (*fn)(const struct prefix *prefix, void *value, void *arg), void *arg);

#endif

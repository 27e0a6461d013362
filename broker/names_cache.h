/* SPDX-License-Identifier: MIT */
/* Addresses that DNS servers told, for as long as they may be remembered (RFC 1035 section 3.2.1).
 *
 * A key is the name as it was asked for (case does not matter) and the families. When the cache is
 * full the one that was used longest ago goes. Time is the caller's, in milliseconds of any clock
 * that does not go back. Not thread safe. */
#ifndef PERSONA_BROKER_NAMES_CACHE_H
#define PERSONA_BROKER_NAMES_CACHE_H

#include "dns.h"

struct names_cache;

int names_cache_new(size_t max, struct names_cache **cachep); /* 0 or -ENOMEM */
void names_cache_free(struct names_cache *cache);	      /* NULL is allowed */
/* Remembers them for addrs->ttl_s, at most ttl_max_s. Nothing when that is 0 or memory is short. */
void names_cache_put(struct names_cache *cache, const char *name, uint8_t families,
	const struct dns_addrs *addrs, uint32_t ttl_max_s, uint64_t now_ms);
/* NULL when it is not known (any more); else valid until the next call. */
const struct dns_addrs *names_cache_get(
	struct names_cache *cache, const char *name, uint8_t families, uint64_t now_ms);
size_t names_cache_count(const struct names_cache *cache);

#endif

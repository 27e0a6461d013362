/* SPDX-License-Identifier: MIT */
#include "names_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* uthash keeps its items in the order they were added: the first one is the oldest. */
struct entry {
	uint64_t until_ms;
	struct dns_addrs *addrs; /* no larger than needed */
	UT_hash_handle hh;
	size_t keylen;
	char key[]; /* families, then the name in lower case */
};

struct names_cache {
	struct entry *entries;
	size_t max;
};

struct cache_key {
	char text[1 + ASK_NAME_MAX];
	size_t len;
};

static bool make_key(const char *name, uint8_t families, struct cache_key *key)
{
	size_t n = strlen(name);

	if (n >= ASK_NAME_MAX)
		return false;
	key->text[0] = (char)families;
	for (size_t i = 0; i < n; i++)
		key->text[1 + i] =
			name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	key->len = 1 + n;
	return true;
}

int names_cache_new(size_t max, struct names_cache **cachep)
{
	struct names_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->max = max;
	*cachep = cache;
	return 0;
}

static void drop(struct names_cache *cache, struct entry *e)
{
	HASH_DEL(cache->entries, e);
	free(e->addrs);
	free(e);
}

void names_cache_free(struct names_cache *cache)
{
	if (!cache)
		return;
	while (cache->entries)
		drop(cache, cache->entries);
	free(cache);
}

static struct entry *new_entry(const struct cache_key *key, const struct dns_addrs *addrs)
{
	size_t size = offsetof(struct dns_addrs, addr) + addrs->n * sizeof(addrs->addr[0]);
	struct entry *e = calloc(1, sizeof(*e) + key->len);
	/* without room for addresses that are not there */
	struct dns_addrs *copy = malloc(size);

	if (!e || !copy) {
		free(e);
		free(copy);
		return NULL;
	}
	memcpy(copy, addrs, size);
	e->addrs = copy;
	e->keylen = key->len;
	memcpy(e->key, key->text, key->len);
	return e;
}

void names_cache_put(struct names_cache *cache, const char *name, uint8_t families,
	const struct dns_addrs *addrs, uint32_t ttl_max_s, uint64_t now_ms)
{
	uint32_t ttl_s = addrs->ttl_s < ttl_max_s ? addrs->ttl_s : ttl_max_s;
	struct entry *e, *old;
	struct cache_key key;

	if (ttl_s == 0 || !make_key(name, families, &key))
		return;
	e = new_entry(&key, addrs);
	if (!e)
		return;
	e->until_ms = now_ms + (uint64_t)ttl_s * 1000;
	HASH_FIND(hh, cache->entries, key.text, key.len, old);
	if (old)
		drop(cache, old);
	else if (HASH_COUNT(cache->entries) >= cache->max)
		drop(cache, cache->entries);
	HASH_ADD_KEYPTR(hh, cache->entries, e->key, e->keylen, e);
	if (!e->hh.tbl) {
		free(e->addrs);
		free(e);
	}
}

const struct dns_addrs *names_cache_get(
	struct names_cache *cache, const char *name, uint8_t families, uint64_t now_ms)
{
	struct entry *e = NULL;
	struct cache_key key;

	if (make_key(name, families, &key))
		HASH_FIND(hh, cache->entries, key.text, key.len, e);
	if (!e)
		return NULL;
	if (now_ms >= e->until_ms) {
		drop(cache, e);
		return NULL;
	}
	/* the last one used is the last one to go */
	HASH_DEL(cache->entries, e);
	HASH_ADD_KEYPTR(hh, cache->entries, e->key, e->keylen, e);
	if (!e->hh.tbl) { /* out of memory: it is not in the table any more */
		free(e->addrs);
		free(e);
		return NULL;
	}
	return e->addrs;
}

size_t names_cache_count(const struct names_cache *cache)
{
	return HASH_COUNT(cache->entries);
}

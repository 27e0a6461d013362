/* SPDX-License-Identifier: MIT */
/* Token buckets in thousandths of a token: a rate of n tokens a second is n thousandths a
 * millisecond, so all arithmetic is exact in integers.
 *
 * Model: a source is hashed with a secret key, so nobody outside can choose addresses that share a
 * bucket with a victim. The bucket of all sources is charged only for what a source's own bucket
 * let through; so one source alone can take no more of it than its own rate. */
#include "ratelimit.h"

#include <errno.h>
#include <sodium/crypto_shorthash.h>
#include <sodium/randombytes.h>
#include <stddef.h>
#include <stdlib.h>

enum { RATELIMIT_SLOTS = 4096, TOKEN = 1000 };

struct bucket {
	uint64_t last_ms;
	uint64_t level; /* thousandths of a token */
};

struct ratelimit {
	struct ratelimit_config config;
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct bucket total;
	struct bucket slot[RATELIMIT_SLOTS];
};

int ratelimit_new(const struct ratelimit_config *config, struct ratelimit **rp)
{
	struct ratelimit *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->config = *config;
	randombytes_buf(r->key, sizeof(r->key));
	r->total.level = (uint64_t)config->total_s * TOKEN;
	for (size_t i = 0; i < RATELIMIT_SLOTS; i++)
		r->slot[i].level = (uint64_t)config->burst * TOKEN;
	*rp = r;
	return 0;
}

void ratelimit_free(struct ratelimit *r)
{
	free(r);
}

static struct bucket *find(struct ratelimit *r, const struct addr *source)
{
	uint8_t hash[crypto_shorthash_BYTES];
	size_t len = addr_is_v4(source) ? 16 : 8;

	crypto_shorthash(hash, source->b, len, r->key);
	return &r->slot[(hash[0] | (size_t)hash[1] << 8) % RATELIMIT_SLOTS];
}

/* Brings the level up to date; a clock that stands or goes back adds nothing. */
static void refill(struct bucket *b, uint64_t rate_s, uint64_t max_tokens, uint64_t now_ms)
{
	uint64_t max = max_tokens * TOKEN;

	if (now_ms <= b->last_ms)
		return;
	/* Compare before multiplying: the time may be arbitrarily long. */
	if (rate_s > 0 && now_ms - b->last_ms > (max - b->level) / rate_s)
		b->level = max;
	else
		b->level += (now_ms - b->last_ms) * rate_s;
	b->last_ms = now_ms;
}

bool ratelimit_take(struct ratelimit *r, const struct addr *source, uint64_t now_ms)
{
	struct bucket *own = find(r, source);

	refill(own, r->config.per_source_s, r->config.burst, now_ms);
	refill(&r->total, r->config.total_s, r->config.total_s, now_ms);
	if (own->level < TOKEN || r->total.level < TOKEN)
		return false;
	own->level -= TOKEN;
	r->total.level -= TOKEN;
	return true;
}

static void give(struct bucket *b, uint64_t max_tokens)
{
	if (b->level <= (max_tokens - 1) * TOKEN)
		b->level += TOKEN;
}

void ratelimit_refund(struct ratelimit *r, const struct addr *source)
{
	give(find(r, source), r->config.burst);
	give(&r->total, r->config.total_s);
}

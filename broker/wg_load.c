/* SPDX-License-Identifier: MIT */
/* Are strangers keeping us too busy? And the secret that cookies are made with.
 *
 * Model: leaky buckets, filled in nanoseconds of credit. Messages that passed MAC1 fill `load`;
 * when it is full we are under load, and stay so for a second after the last that did not fit. */
#include <sodium/crypto_shorthash.h>

#include "wg_priv.h"

/* Adds to the bucket what fits. False: it did not. */
static bool fill(struct wg_bucket *bucket, uint64_t now_ns, uint64_t cost, uint64_t size)
{
	uint64_t passed = now_ns > bucket->last_ns ? now_ns - bucket->last_ns : 0;

	bucket->used = passed < bucket->used ? bucket->used - passed : 0;
	bucket->last_ns = now_ns;
	if (bucket->used + cost > size)
		return false;
	bucket->used += cost;
	return true;
}

bool wg_load_scan(struct wg *wg, size_t cost)
{
	uint64_t ns = cost < WG_SCAN_RATE ? cost * (WG_S / WG_SCAN_RATE) : WG_S;

	return fill(&wg->scan, wg->now_ns, ns, WG_S);
}

struct wg_local **wg_load_hint(struct wg *wg, const struct endpoint *from)
{
	uint8_t hash[crypto_shorthash_BYTES];

	crypto_shorthash(hash, from->addr.b, sizeof(from->addr.b), wg->hint_key);
	return &wg->hint[wg_get32(hash) % WG_HINTS];
}

void wg_load_forget(struct wg *wg, const struct wg_local *local)
{
	for (size_t i = 0; i < WG_HINTS; i++)
		if (wg->hint[i] == local)
			wg->hint[i] = NULL;
}

void wg_load_add(struct wg *wg)
{
	const uint64_t each = WG_S / WG_LOAD_RATE;

	if (!fill(&wg->load, wg->now_ns, each, WG_LOAD_BURST * each))
		wg->loaded_until_ns = wg->now_ns + WG_LOAD_HOLD_NS;
}

bool wg_load_high(const struct wg *wg)
{
	return wg->now_ns < wg->loaded_until_ns;
}

void wg_load_cookie(struct wg *wg, const struct endpoint *from, uint8_t cookie[WG_COOKIE_LEN])
{
	if (wg->cookie_secret_ns == 0 || wg->now_ns - wg->cookie_secret_ns >= WG_COOKIE_AGE_NS) {
		wg_random(wg, wg->cookie_secret, sizeof(wg->cookie_secret));
		wg->cookie_secret_ns = wg->now_ns;
	}
	wg_cookie_make(wg->cookie_secret, from, cookie);
}

/* SPDX-License-Identifier: MIT */
/* Token buckets per source address: bounds the work a flood of handshakes can cause.
 *
 * A fixed table (no allocation per source): an IPv4 address or an IPv6 /64 hashes (SipHash with a
 * secret key) into one of RATELIMIT_SLOTS; colliding sources share a bucket. One more bucket bounds
 * all sources together. Not thread safe: each worker has its own. */
#ifndef PERSONA_BROKER_RATELIMIT_H
#define PERSONA_BROKER_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

struct ratelimit;

struct ratelimit_config {
	uint32_t per_source_s; /* tokens a second for one source */
	uint32_t burst;	       /* tokens a source can save up */
	uint32_t total_s;      /* tokens a second for all */
};

int ratelimit_new(const struct ratelimit_config *config, struct ratelimit **rp); /* 0, -ENOMEM */
void ratelimit_free(struct ratelimit *r);
/* Takes one token. False: drop without further work. now_ms is a monotonic clock. */
bool ratelimit_take(struct ratelimit *r, const struct addr *source, uint64_t now_ms);

/* Gives the token back: the handshake was a known peer's, fresh and authenticated. So the limit
 * meets strangers and replays only, and a peer may open as many carriers at once as it needs. */
void ratelimit_refund(struct ratelimit *r, const struct addr *source);

#endif

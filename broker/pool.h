/* SPDX-License-Identifier: MIT */
/* The carriers of a link that wait to be opened by us: one pool for each link and worker.
 *
 * Model: a request takes an idle carrier at once, or waits while one is dialed. As many carriers
 * stay idle as were lately busy together (at least one in worker 0, so that the link's state is
 * known), up to POOL_IDLE_MAX. A failed dial fails all who wait with EHOSTUNREACH; requests within
 * POOL_FAIL_FAST_MS of a failure fail at once; worker 0 keeps dialing with a growing pause, so a
 * link recovers by itself. A link without endpoint cannot dial: it asks the peer (WANT) over any
 * carrier that the peer made. */
#ifndef PERSONA_BROKER_POOL_H
#define PERSONA_BROKER_POOL_H

#include "carrier.h"

enum {
	POOL_IDLE_MAX = 64,
	POOL_DIALING_MAX = 64,
	POOL_DIAL_MS = 5000, /* from the TCP connect to the end of the handshake */
	POOL_FAIL_FAST_MS = 1000,
	POOL_BACKOFF_MAX_MS = 8000,
	POOL_CARRIER_AGE_MS = 600000, /* idle ones older than this are replaced: fresh keys */
	POOL_DRAIN_MS = 30000,
	POOL_WANT_MS = 500,	 /* carriers that were asked for come within, or not at all */
	POOL_WANT_RATE = 256,	 /* dials for each worker and second that a peer may ask for */
	POOL_REVERSE_MAX = 1024, /* idle carriers of its asking that a worker keeps */
	POOL_PASSIVE_MAX = 4096, /* idle carriers of a link, all together, before we refuse more */
	POOL_WANT_MAX = 16	 /* reverse carriers that one WANT may ask for */
};

struct pool_wait {
	struct pool_wait *prev, *next;
	struct pool *pool; /* NULL while not waiting */
	uint64_t deadline_ms;
	/* err is 0 and c an idle carrier, or a positive errno. May be called before pool_request()
	 * returns. */
	void (*ready)(struct pool_wait *wait, struct carrier *c, int err);
};

void pool_request(struct worker *w, struct link *link, struct pool_wait *wait);
void pool_cancel(struct pool_wait *wait); /* harmless when it does not wait */

/* From the carriers' events. */
void pool_keyed(struct carrier *c);	   /* also for idle again, when c->opener */
void pool_passive_busy(struct carrier *c); /* the peer opened a stream on it */
/* c left the pool's lists or never became usable. */
void pool_lost(struct carrier *c, int err);
void pool_want(struct worker *w, struct link *link, uint16_t tag, uint16_t count);
void pool_tick(struct worker *w);
/* The link is new, has another endpoint, or was removed (everything of it goes). */
void pool_link_changed(struct worker *w, struct link *link);
void pool_deinit_all(struct worker *w);

#endif

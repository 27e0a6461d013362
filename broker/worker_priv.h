/* SPDX-License-Identifier: MIT */
/* Inside of the data path: what worker.c, carrier.c, pool.c, app.c and stream.c share. One worker's
 * members are touched by its own thread only, except `inbox`. */
#ifndef PERSONA_BROKER_WORKER_PRIV_H
#define PERSONA_BROKER_WORKER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "aead.h"
#include "carrier.h"
#include "chunk.h"
#include "netspace.h"
#include "poller.h"
#include "ratelimit.h"
#include "worker.h"

enum {
	WORKER_UNAUTH_MAX = 1024, /* connections without a finished handshake */
	WORKER_TICK_MS = 1000
};

struct pool;
struct stream;
struct app;
struct worker_msg;

struct worker_listener {
	struct watch watch; /* first: the struct is found by it */
	struct worker *worker;
	struct portspace *via; /* underlay: in whose network; NULL: the base network */
	int fd;
};

struct worker {
	struct workers *all;
	struct core *core;
	unsigned index;
	pthread_t thread;
	struct poller poller;
	struct watch wake;	      /* an eventfd: there is something in the inbox */
	uint64_t tick_ms;	      /* loop time of the next tick: deadlines, pools */
	struct worker_listener local; /* stream.N */
	uint64_t local_empty_ms;      /* loop time when nobody waited there; 0 never yet */
	struct worker_listener *underlay;
	size_t nunderlay;
	struct aead *aead;
	struct ratelimit *ratelimit;
	struct chunk_pool chunks;
	const struct netspace *netspace; /* the base network */
	struct worker_nest *nests;	 /* worker_nest.c */
	const struct carrier_events *events;
	struct pool *pools;	/* by link (uthash) */
	struct carrier *unauth; /* before the end of the handshake, oldest first */
	size_t nunauth;
	struct carrier *passive;   /* keyed, idle, the peer opens */
	struct carrier *scheduled; /* carrier_schedule() */
	struct carrier *holding;   /* a FIN back, oldest first */
	struct carrier *draining;  /* after a reset, until the peer has answered */
	struct app *waiting;	   /* clients whose request is not here yet, oldest first */
	unsigned nwaiting;
	struct stream *streams;	 /* all */
	struct stream *retrying; /* waiting for a server's backlog */
	bool stopping;
	pthread_mutex_t inbox_lock;
	struct worker_msg *inbox; /* newest first */
};

struct workers {
	struct core *core;
	struct nest *nests; /* control loop only (worker_nest.c) */
	unsigned n;
	char *runtime_dir;
	struct endpoint *listening;
	size_t nlistening;
	struct worker worker[];
};

/* Runs fn in the other worker's thread. On -ENOMEM nothing happens. Owner of what arg points to
 * becomes fn. Thread safe. */
int worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);

/* Starts to accept carriers on l->fd. 0 or negative errno. */
int worker_listen_underlay(struct worker *w, struct worker_listener *l);
void worker_nest_rearm(struct worker *w); /* listeners that rested, once a second */
void worker_nest_deinit(struct worker *w);
void workers_nest_free(struct workers *all); /* control loop, no worker runs */

/* Parts of carrier_events and timers that concern the worker as a whole. */
void worker_carrier_keyed(struct carrier *c);
void worker_carrier_want(struct carrier *c, uint16_t tag, uint16_t count);
void worker_carrier_closing(struct carrier *c);
void worker_unauth_remove(struct carrier *c); /* harmless when it is not in the list */

static inline uint64_t worker_now_ms(const struct worker *w)
{
	return w->poller.now_ms;
}

#endif

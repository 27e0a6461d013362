/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "pool"
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "log.h"
#include "worker_priv.h"

struct pool {
	struct link *link; /* reference, and the hash key */
	struct worker *worker;
	struct carrier *idle; /* most recently used first */
	struct carrier *dialing;
	struct pool_wait *waiting; /* oldest first */
	unsigned nidle, ndialing, nwaiting;
	unsigned nforward;   /* of the dialing: those that our own streams wait for */
	unsigned nreverse;   /* keyed idle ones that we dialed because the peer asked */
	unsigned want_left;  /* dials that the peer may still ask for before the next tick */
	unsigned asked;	     /* carriers that we asked the peer for and did not get yet */
	unsigned busy, peak; /* handed out now, and the most lately */
	uint64_t retry_ms;   /* loop time of the next dial after a failure */
	uint64_t failed_ms;  /* loop time of the last failure, 0 none */
	uint64_t want_ms;    /* loop time of the last WANT */
	unsigned backoff_ms;
	UT_hash_handle hh;
};

static void dial(struct pool *pool);

static struct pool *pool_find(struct worker *w, struct link *link)
{
	struct pool *pool;

	HASH_FIND_PTR(w->pools, &link, pool);
	return pool;
}

static struct pool *pool_get(struct worker *w, struct link *link)
{
	struct pool *pool = pool_find(w, link);

	if (pool)
		return pool;
	/* Nothing would ever end a pool that is made after the link's end. */
	if (atomic_load(&link->removed))
		return NULL;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pool->link = link_ref(link);
	pool->worker = w;
	pool->want_left = POOL_WANT_RATE;
	HASH_ADD_PTR(w->pools, link, pool);
	return pool;
}

static void finish_wait(struct pool_wait *wait, struct carrier *c, int err)
{
	struct pool *pool = wait->pool;

	DL_DELETE(pool->waiting, wait);
	pool->nwaiting--;
	wait->pool = NULL;
	wait->ready(wait, c, err);
}

static void fail_all(struct pool *pool, int err)
{
	while (pool->waiting)
		finish_wait(pool->waiting, NULL, err);
}

static void leave_idle(struct pool *pool, struct carrier *c)
{
	DL_DELETE(pool->idle, c);
	c->listed = false;
	pool->nidle--;
}

static void take_idle(struct pool *pool, struct carrier *c)
{
	leave_idle(pool, c);
	c->taken = true;
	pool->busy++;
	if (pool->busy > pool->peak)
		pool->peak = pool->busy;
}

static void give_back(struct pool *pool, struct carrier *c)
{
	if (c->taken)
		pool->busy--;
	c->taken = false;
}

/* ---- asking the peer for carriers, when only the peer can dial ---- */

struct want {
	struct link *link; /* reference */
	uint16_t tag, count;
	unsigned hops;
};

/* Sends WANT over a passive carrier of this worker, else hands the question to the next worker. */
static void want_here(struct worker *w, void *arg)
{
	struct want *want = arg;
	struct carrier *c;

	DL_FOREACH(w->passive, c)
	{
		if (c->link == want->link && !c->error)
			break;
	}
	if (c && !w->stopping) {
		(void)carrier_send_want(c, want->tag, want->count);
	} else if (!w->stopping && ++want->hops < w->all->n) {
		struct worker *next = &w->all->worker[(w->index + 1) % w->all->n];

		if (worker_post(next, want_here, want) == 0)
			return;
	}
	link_unref(want->link);
	free(want);
}

static void ask_peer(struct pool *pool)
{
	struct want *want;
	uint64_t now = worker_now_ms(pool->worker);

	if (now - pool->want_ms >= POOL_WANT_MS)
		pool->asked = 0; /* what did not come by now will not */
	if (pool->asked >= pool->nwaiting)
		return;
	want = calloc(1, sizeof(*want));
	if (!want)
		return;
	pool->want_ms = now;
	want->link = link_ref(pool->link);
	want->tag = (uint16_t)pool->worker->index;
	want->count = (uint16_t)(pool->nwaiting - pool->asked);
	if (want->count > POOL_WANT_MAX)
		want->count = POOL_WANT_MAX;
	pool->asked += want->count;
	want_here(pool->worker, want);
}

/* ---- dialing ---- */

/* A peer that is there, by its datagrams, and takes no carriers speaks only WireGuard: that is a
 * refusal, not a broken path. */
static int failed_errno(const struct pool *pool, int err)
{
	const bool there = atomic_load(&pool->link->stats.wg_session);

	return err == ECONNREFUSED && there ? ECONNREFUSED : EHOSTUNREACH;
}

static void dial_failed(struct pool *pool, int err)
{
	pool->failed_ms = worker_now_ms(pool->worker);
	pool->backoff_ms = pool->backoff_ms ? pool->backoff_ms * 2 : 500;
	if (pool->backoff_ms > POOL_BACKOFF_MAX_MS)
		pool->backoff_ms = POOL_BACKOFF_MAX_MS;
	pool->retry_ms = pool->failed_ms + pool->backoff_ms;
	if (atomic_exchange(&pool->link->stats.error, err) != err)
		log_info("link %s of %s is down: %s", pool->link->name,
			pool->link->portspace->info.name, strerror(err));
	if (pool->nforward == 0)
		fail_all(pool, failed_errno(pool, err));
}

static int dial_one(struct pool *pool, enum handshake_role role, uint16_t tag)
{
	struct worker *w = pool->worker;
	struct endpoint to;
	struct carrier *c;
	int r;

	if (!core_link_endpoint(w->core, pool->link, &to))
		return -EDESTADDRREQ;
	r = carrier_dial(w, pool->link, &to, role, tag, &c);
	if (r < 0)
		return r;
	c->reverse_tag = tag;
	c->listed = true;
	DL_APPEND(pool->dialing, c);
	pool->ndialing++;
	if (c->opener)
		pool->nforward++;
	return 0;
}

/* As many dials as there are waiters and no dial for. */
static void dial(struct pool *pool)
{
	while (pool->nforward < pool->nwaiting && pool->nforward < POOL_DIALING_MAX) {
		int r = dial_one(pool, HANDSHAKE_FORWARD, 0);

		if (r == -EDESTADDRREQ) {
			ask_peer(pool);
			return;
		}
		if (r < 0) {
			dial_failed(pool, -r);
			return;
		}
	}
}

void pool_request(struct worker *w, struct link *link, struct pool_wait *wait)
{
	struct pool *pool = pool_get(w, link);
	uint64_t now = worker_now_ms(w);
	struct carrier *c;

	wait->pool = NULL;
	if (!pool || atomic_load(&link->removed)) {
		wait->ready(wait, NULL, atomic_load(&link->removed) ? ENETUNREACH : ENOBUFS);
		return;
	}
	c = pool->idle;
	if (c) {
		take_idle(pool, c);
		wait->ready(wait, c, 0);
		return;
	}
	/* After a dial that timed out, the next ones need not wait as long; one that was refused is
	 * cheap to try again, and the peer may have learned of us since. */
	if (pool->failed_ms && now - pool->failed_ms < POOL_FAIL_FAST_MS && !pool->nforward &&
		atomic_load(&link->stats.error) == ETIMEDOUT) {
		wait->ready(wait, NULL, EHOSTUNREACH);
		return;
	}
	wait->pool = pool;
	wait->deadline_ms = now + POOL_DIAL_MS;
	DL_APPEND(pool->waiting, wait);
	pool->nwaiting++;
	dial(pool);
}

void pool_cancel(struct pool_wait *wait)
{
	if (!wait->pool)
		return;
	DL_DELETE(wait->pool->waiting, wait);
	wait->pool->nwaiting--;
	wait->pool = NULL;
}

/* ---- carriers come and go ---- */

/* Is it in the dialing list? Dialed ones are listed and were made by us. */
static bool leave_dialing(struct pool *pool, struct carrier *c)
{
	if (!c->listed)
		return false;
	DL_DELETE(pool->dialing, c);
	c->listed = false;
	pool->ndialing--;
	if (c->opener)
		pool->nforward--;
	return true;
}

static void works(struct pool *pool)
{
	pool->failed_ms = 0;
	pool->retry_ms = 0;
	pool->backoff_ms = 0;
	if (atomic_exchange(&pool->link->stats.error, 0) != 0)
		log_info("link %s of %s is up again", pool->link->name,
			pool->link->portspace->info.name);
}

void pool_keyed(struct carrier *c)
{
	struct pool *pool = pool_get(c->worker, c->link);

	if (pool && c->initiator && c->listed)
		leave_dialing(pool, c);
	if (!pool || atomic_load(&c->link->removed)) {
		if (pool)
			give_back(pool, c);
		carrier_close(c);
		return;
	}
	if (c->opener && !c->initiator && !c->taken && pool->asked > 0)
		pool->asked--; /* a new one */
	give_back(pool, c);
	works(pool);
	if (!c->opener) {
		DL_APPEND(c->worker->passive, c);
		c->listed = true;
		if (c->initiator)
			pool->nreverse++;
		return;
	}
	DL_PREPEND(pool->idle, c);
	c->listed = true;
	pool->nidle++;
	if (pool->waiting) {
		take_idle(pool, c);
		finish_wait(pool->waiting, c, 0);
	}
}

void pool_passive_busy(struct carrier *c)
{
	struct pool *pool;

	if (!c->listed)
		return;
	DL_DELETE(c->worker->passive, c);
	c->listed = false;
	pool = c->initiator ? pool_find(c->worker, c->link) : NULL;
	if (pool)
		pool->nreverse--;
}

void pool_lost(struct carrier *c, int err)
{
	struct pool *pool = c->link ? pool_find(c->worker, c->link) : NULL;

	if (!pool)
		return;
	if (c->state < CARRIER_IDLE) {
		if (c->initiator && leave_dialing(pool, c))
			dial_failed(pool, err ? err : ECONNRESET);
	} else if (!c->opener) {
		pool_passive_busy(c);
	} else {
		if (c->listed)
			leave_idle(pool, c);
		give_back(pool, c);
	}
}

void pool_want(struct worker *w, struct link *link, uint16_t tag, uint16_t count)
{
	struct pool *pool = pool_get(w, link);

	if (!pool)
		return;
	if (count > POOL_WANT_MAX)
		count = POOL_WANT_MAX;
	while (count-- > 0 && pool->ndialing - pool->nforward < POOL_DIALING_MAX &&
		pool->nreverse < POOL_REVERSE_MAX && pool->want_left > 0) {
		pool->want_left--;
		if (dial_one(pool, HANDSHAKE_REVERSE, tag) < 0)
			return;
	}
}

/* ---- once a second ---- */

static void close_idle(struct pool *pool, struct carrier *c)
{
	leave_idle(pool, c);
	carrier_close(c);
}

static void trim(struct pool *pool, uint64_t now)
{
	unsigned keep = pool->peak > pool->busy ? pool->peak - pool->busy : 0;
	struct carrier *c, *tmp;

	if (pool->worker->index == 0 && keep < 1)
		keep = 1;
	if (keep > POOL_IDLE_MAX)
		keep = POOL_IDLE_MAX;
	DL_FOREACH_SAFE(pool->idle, c, tmp)
	{
		if (pool->nidle > keep || now - c->born_ms > POOL_CARRIER_AGE_MS) {
			if (!carrier_blocked(c))
				close_idle(pool, c);
		}
	}
	/* The peak is forgotten slowly: an eighth in a second. */
	if (pool->peak > pool->busy)
		pool->peak -= (pool->peak - pool->busy + 7) / 8;
}

static void expire(struct pool *pool, uint64_t now)
{
	struct pool_wait *wait, *wait_tmp;
	struct carrier *c, *tmp;

	DL_FOREACH_SAFE(pool->dialing, c, tmp)
	{
		if (now - c->born_ms > POOL_DIAL_MS) {
			leave_dialing(pool, c);
			carrier_close(c);
			dial_failed(pool, ETIMEDOUT);
		}
	}
	DL_FOREACH_SAFE(pool->waiting, wait, wait_tmp)
	{
		if (now > wait->deadline_ms)
			finish_wait(wait, NULL, EHOSTUNREACH);
	}
}

void pool_tick(struct worker *w)
{
	uint64_t now = worker_now_ms(w);
	struct pool *pool, *tmp;

	HASH_ITER(hh, w->pools, pool, tmp)
	{
		pool->want_left = POOL_WANT_RATE;
		expire(pool, now);
		trim(pool, now);
		if (pool->waiting && pool->nforward == 0)
			dial(pool);
		if (w->index == 0 && pool->nidle + pool->busy + pool->ndialing == 0 &&
			now >= pool->retry_ms) {
			int r = dial_one(pool, HANDSHAKE_FORWARD, 0);

			if (r < 0 && r != -EDESTADDRREQ)
				dial_failed(pool, -r);
		}
	}
}

static void pool_free(struct pool *pool)
{
	struct worker *w = pool->worker;
	struct carrier *c, *tmp;

	DL_FOREACH_SAFE(pool->idle, c, tmp)
	carrier_close(c);
	DL_FOREACH_SAFE(pool->dialing, c, tmp)
	carrier_close(c);
	pool->idle = pool->dialing = NULL;
	fail_all(pool, ENETUNREACH);
	HASH_DEL(w->pools, pool);
	link_unref(pool->link);
	free(pool);
}

void pool_link_changed(struct worker *w, struct link *link)
{
	struct pool *pool = pool_find(w, link);
	struct carrier *c, *tmp;

	if (!atomic_load(&link->removed)) {
		pool = pool_get(w, link);
		if (pool) {
			pool->retry_ms = pool->failed_ms = 0;
			pool->backoff_ms = 0;
			pool_tick(w);
		}
		return;
	}
	DL_FOREACH_SAFE(w->passive, c, tmp)
	{
		if (c->link == link) {
			DL_DELETE(w->passive, c);
			carrier_close(c);
		}
	}
	DL_FOREACH_SAFE(w->draining, c, tmp)
	{
		if (c->link == link)
			carrier_close(c);
	}
	if (pool)
		pool_free(pool);
}

void pool_deinit_all(struct worker *w)
{
	struct pool *pool, *tmp;
	struct carrier *c, *ctmp;

	HASH_ITER(hh, w->pools, pool, tmp)
	pool_free(pool);
	DL_FOREACH_SAFE(w->passive, c, ctmp)
	carrier_close(c);
	w->passive = NULL;
	DL_FOREACH_SAFE(w->draining, c, ctmp)
	carrier_close(c);
}

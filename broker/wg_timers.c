/* SPDX-License-Identifier: MIT */
/* When a peer must act by itself (whitepaper sections 6.1 to 6.5). */
#include "wg_priv.h"

enum { ATTEMPTS = WG_REKEY_ATTEMPT_NS / WG_REKEY_TIMEOUT_NS };

/* Below WG_JITTER_NS: so that two sides which lost the same messages do not go on colliding.
 * Marsaglia's xorshift: it need not be secret and must not cost a system call. */
static uint64_t jitter(struct wg *wg)
{
	wg->jitter ^= wg->jitter << 13;
	wg->jitter ^= wg->jitter >> 7;
	wg->jitter ^= wg->jitter << 17;
	return wg->jitter % WG_JITTER_NS;
}

void wg_timer_set(struct wg_peer *peer, enum wg_timer timer, uint64_t at_ns)
{
	peer->timer[timer] = at_ns;
	if (at_ns < peer->due_ns) {
		peer->due_ns = at_ns;
		wg_heap_fix(peer->local->wg, peer);
	}
}

static bool is_set(const struct wg_peer *peer, enum wg_timer timer)
{
	return peer->timer[timer] != WG_NEVER;
}

static void set_in(struct wg_peer *peer, enum wg_timer timer, uint64_t ns)
{
	wg_timer_set(peer, timer, peer->local->wg->now_ns + ns);
}

void wg_timers_data_sent(struct wg_peer *peer)
{
	if (!is_set(peer, WG_T_SILENCE))
		set_in(peer, WG_T_SILENCE,
			WG_KEEPALIVE_NS + WG_REKEY_TIMEOUT_NS + jitter(peer->local->wg));
}

void wg_timers_data_received(struct wg_peer *peer)
{
	if (is_set(peer, WG_T_KEEPALIVE))
		peer->keepalive_again = true;
	else
		set_in(peer, WG_T_KEEPALIVE, WG_KEEPALIVE_NS);
}

static void set_persistent(struct wg_peer *peer)
{
	if (peer->keepalive_s > 0)
		set_in(peer, WG_T_PERSISTENT, peer->keepalive_s * WG_S);
}

void wg_timers_sent(struct wg_peer *peer)
{
	wg_timer_clear(peer, WG_T_KEEPALIVE);
	set_persistent(peer);
}

void wg_timers_received(struct wg_peer *peer)
{
	wg_timer_clear(peer, WG_T_SILENCE);
	set_persistent(peer);
}

void wg_timers_initiated(struct wg_peer *peer)
{
	wg_timer_set(peer, WG_T_RETRANSMIT,
		peer->handshake_ns + WG_REKEY_TIMEOUT_NS + jitter(peer->local->wg));
}

void wg_timers_session(struct wg_peer *peer)
{
	set_in(peer, WG_T_ZERO, 3 * WG_REJECT_AFTER_NS);
}

void wg_timers_complete(struct wg_peer *peer)
{
	wg_timer_clear(peer, WG_T_RETRANSMIT);
	peer->attempts = 0;
	peer->last_minute = false;
	peer->handshake_wall_ns = peer->local->wg->wall_ns;
}

static void expire_retransmit(struct wg_peer *peer)
{
	if (peer->attempts < ATTEMPTS) {
		peer->attempts++;
		wg_initiate(peer, true);
		return;
	}
	/* Nobody is there. New data begins anew. */
	wg_staged_drop(peer);
	wg_begun_drop(peer);
	if (!is_set(peer, WG_T_ZERO))
		wg_timers_session(peer);
}

static void expire_keepalive(struct wg_peer *peer)
{
	wg_send_staged_or_keepalive(peer);
	if (peer->keepalive_again) {
		peer->keepalive_again = false;
		set_in(peer, WG_T_KEEPALIVE, WG_KEEPALIVE_NS);
	}
}

static void expire_zero(struct wg_peer *peer)
{
	wg_begun_drop(peer);
	wg_keypair_drop_all(peer);
	wg_changed(peer);
}

static void expire_persistent(struct wg_peer *peer)
{
	if (!peer->has_endpoint)
		return; /* set again by the first message that comes */
	wg_send_staged_or_keepalive(peer);
	set_persistent(peer);
}

static void run(struct wg_peer *peer)
{
	struct wg *wg = peer->local->wg;
	uint64_t earliest = WG_NEVER;

	for (int t = 0; t < WG_TIMERS; t++) {
		if (peer->timer[t] > wg->now_ns)
			continue;
		wg_timer_clear(peer, t);
		switch ((enum wg_timer)t) {
		case WG_T_RETRANSMIT:
			expire_retransmit(peer);
			break;
		case WG_T_KEEPALIVE:
			expire_keepalive(peer);
			break;
		case WG_T_SILENCE:
			wg_initiate(peer, false);
			break;
		case WG_T_ZERO:
			expire_zero(peer);
			break;
		case WG_T_PERSISTENT:
			expire_persistent(peer);
			break;
		case WG_TIMERS:
			break;
		}
	}
	for (int t = 0; t < WG_TIMERS; t++)
		if (peer->timer[t] < earliest)
			earliest = peer->timer[t];
	peer->due_ns = earliest;
	wg_heap_fix(wg, peer);
}

uint64_t wg_tick(struct wg *wg, uint64_t now_ns, uint64_t wall_ns)
{
	wg->now_ns = now_ns;
	wg->wall_ns = wall_ns;
	/* What expires sets timers into the future only, so this ends. */
	while (wg->nheap > 0 && wg->heap[0]->due_ns <= now_ns)
		run(wg->heap[0]);
	return wg_deadline(wg);
}

uint64_t wg_deadline(const struct wg *wg)
{
	return wg->nheap > 0 ? wg->heap[0]->due_ns : WG_NEVER;
}

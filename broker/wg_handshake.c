/* SPDX-License-Identifier: MIT */
/* The handshake (whitepaper sections 5.4.2 and 5.4.3): Noise_IKpsk2 with the whitepaper's
 * identifier as its prologue and a TAI64N timestamp as the payload of the first message.
 *
 * Model: what a stranger sends is looked at in the order of its cost: form, MAC1 (one hash, or one
 * for each identity), under load MAC2 and a rate for each source, and only then Diffie-Hellman.
 * Invariant: nothing of a peer changes before a message of it was authenticated and its timestamp
 * found to be newer than all before. */
#include <errno.h>
#include <sodium/utils.h>
#include <string.h>
#include <utlist.h>

#include "handshake.h"
#include "wg_priv.h"

static const char identifier[34 + 1] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

static void begin(struct noise *noise, bool initiator, const struct wg_local *local,
	const struct key *responder)
{
	noise_init(noise, initiator, identifier, sizeof(identifier) - 1, local->private_key,
		&local->public_key, responder);
}

static void fresh_ephemeral(struct wg *wg, struct noise *noise)
{
	struct key e;

	wg_random(wg, e.b, KEY_LEN);
	e.b[0] &= 248;
	e.b[31] = (e.b[31] & 127) | 64;
	noise_set_ephemeral(noise, &e);
	sodium_memzero(&e, sizeof(e));
}

void wg_begun_drop(struct wg_peer *peer)
{
	struct wg_begun *begun = &peer->begun;

	if (begun->used)
		wg_index_remove(peer->local->wg, &begun->index);
	sodium_memzero(begun, sizeof(*begun));
}

/* Later than the last one even when the clock was set back, and in steps of 2^24 ns (17 ms) so that
 * it tells little of our clock. */
static void timestamp(struct wg_peer *peer, uint8_t out[WG_TAI64N])
{
	const uint64_t step = 1ULL << 24;
	uint64_t wall_ns = peer->local->wg->wall_ns / step * step;

	if (wall_ns <= peer->sent_wall_ns)
		wall_ns = peer->sent_wall_ns + step;
	peer->sent_wall_ns = wall_ns;
	handshake_timestamp(wall_ns, out);
}

static int write_initiation(struct wg_peer *peer, uint8_t *msg)
{
	struct wg_begun *begun = &peer->begun;
	struct wg *wg = peer->local->wg;
	uint8_t stamp[WG_TAI64N];
	int r;

	wg_begun_drop(peer);
	begun->index.peer = peer;
	begin(&begun->noise, true, peer->local, &peer->public_key);
	fresh_ephemeral(wg, &begun->noise);
	timestamp(peer, stamp);
	r = noise_write1(&begun->noise, stamp, sizeof(stamp), msg + WG_INITIATION_NOISE);
	if (r == 0)
		r = wg_index_add(wg, &begun->index);
	if (r < 0) {
		wg_begun_drop(peer);
		return r;
	}
	begun->used = true;
	wg_msg_put_type(msg, WG_INITIATION);
	wg_put32(msg + WG_INITIATION_SENDER, begun->index.number);
	return 0;
}

void wg_initiate(struct wg_peer *peer, bool retry)
{
	uint8_t buf[WG_ROOM_BEFORE + WG_INITIATION_LEN + WG_ROOM_BEHIND];
	uint8_t *msg = buf + WG_ROOM_BEFORE;

	if (!retry)
		peer->attempts = 0;
	if (!peer->has_endpoint)
		return;
	if (peer->handshake_ns != 0 &&
		peer->local->wg->now_ns - peer->handshake_ns < WG_REKEY_TIMEOUT_NS) {
		if (peer->timer[WG_T_RETRANSMIT] == WG_NEVER)
			wg_timers_initiated(peer);
		return;
	}
	if (write_initiation(peer, msg) < 0) {
		/* Out of memory: the timer tries again. */
		peer->handshake_ns = peer->local->wg->now_ns;
		wg_timers_initiated(peer);
		return;
	}
	wg_send_handshake(peer, msg, WG_INITIATION_LEN);
	wg_timers_initiated(peer);
}

static void reply_cookie(struct wg *wg, const struct wg_local *local, const struct endpoint *from,
	const uint8_t *msg, size_t len)
{
	uint8_t buf[WG_ROOM_BEFORE + WG_COOKIE_REPLY_LEN + WG_ROOM_BEHIND];
	uint8_t cookie[WG_COOKIE_LEN], nonce[WG_NONCE_LEN];

	wg_load_cookie(wg, from, cookie);
	wg_random(wg, nonce, sizeof(nonce));
	/* Both handshake messages have their sender's index at the same place. */
	wg_cookie_reply_seal(&local->cookie_keys, nonce, wg_get32(msg + WG_INITIATION_SENDER),
		cookie, wg_cookie_mac1(msg, len), buf + WG_ROOM_BEFORE);
	sodium_memzero(cookie, sizeof(cookie));
	wg->stats.cookies++;
	wg->ops.reply(wg->ops.arg, from, buf + WG_ROOM_BEFORE, WG_COOKIE_REPLY_LEN);
}

/* Has the sender shown that it receives at its address? */
static bool has_cookie(struct wg *wg, const struct endpoint *from, const uint8_t *msg, size_t len)
{
	uint8_t cookie[WG_COOKIE_LEN];
	bool ok;

	wg_load_cookie(wg, from, cookie);
	ok = wg_cookie_check_mac2(cookie, msg, len);
	sodium_memzero(cookie, sizeof(cookie));
	return ok;
}

/* Under load: 1, the sender has shown its address and keeps to its rate; -EAGAIN, it does not. 0:
 * it has shown nothing, or need not. */
static int prove(struct wg *wg, const struct endpoint *from, const uint8_t *msg, size_t len)
{
	if (!wg_load_high(wg) || !has_cookie(wg, from, msg, len))
		return 0;
	if (ratelimit_take(wg->sources, &from->addr, wg->now_ns / WG_MS))
		return 1;
	wg_load_add(wg);
	wg->stats.limited++;
	return -EAGAIN;
}

/* MAC1 was right. May Diffie-Hellman follow? 0 or -EAGAIN. */
static int admit(struct wg *wg, const struct wg_local *local, bool proved,
	const struct endpoint *from, const uint8_t *msg, size_t len)
{
	wg_load_add(wg);
	if (wg_load_high(wg) && !proved) {
		reply_cookie(wg, local, from, msg, len);
		return -EAGAIN;
	}
	wg->stats.computed++;
	return 0;
}

static bool is_for(const struct wg_local *local, const uint8_t *msg, size_t len)
{
	return wg_wanted(local) && wg_cookie_check_mac1(&local->cookie_keys, msg, len);
}

/* Whom an initiation is for. First tried is who had the last handshake with its source: that costs
 * one hash, so a peer that stays where it is gets through while strangers use up the budget for
 * trying all. 0, -ENOENT, -EAGAIN. */
static int find_local(struct wg *wg, bool proved, const struct endpoint *from, const uint8_t *msg,
	size_t len, struct wg_local **localp)
{
	struct wg_local *local = *wg_load_hint(wg, from);

	if (local && is_for(local, msg, len)) {
		*localp = local;
		return 0;
	}
	if (!proved && !wg_load_scan(wg, wg->nlocals)) {
		wg->stats.limited++;
		return -EAGAIN;
	}
	wg->stats.scans++;
	DL_FOREACH(wg->locals, local)
	{
		if (is_for(local, msg, len)) {
			*localp = local;
			return 0;
		}
	}
	return -ENOENT;
}

/* A handshake message of the peer was authentic. */
static void heard(struct wg_peer *peer, const struct endpoint *from, size_t len)
{
	*wg_load_hint(peer->local->wg, from) = peer->local;
	wg_heard(peer, from, len);
}

static void respond(struct wg_peer *peer, struct noise *noise, uint32_t remote)
{
	uint8_t buf[WG_ROOM_BEFORE + WG_RESPONSE_LEN + WG_ROOM_BEHIND];
	uint8_t *msg = buf + WG_ROOM_BEFORE;
	struct wg_keypair *keypair;

	fresh_ephemeral(peer->local->wg, noise);
	if (noise_write2(noise, &peer->psk, NULL, 0, msg + WG_RESPONSE_NOISE) < 0)
		return;
	keypair = wg_keypair_begin(peer, noise, remote);
	if (!keypair)
		return;
	wg_msg_put_type(msg, WG_RESPONSE);
	wg_put32(msg + WG_RESPONSE_SENDER, keypair->index.number);
	wg_put32(msg + WG_RESPONSE_RECEIVER, remote);
	wg_timers_session(peer);
	wg_send_handshake(peer, msg, WG_RESPONSE_LEN);
}

/* The initiation is authentic. Is it also fresh? */
static int accept_timestamp(struct wg_peer *peer, const uint8_t stamp[WG_TAI64N])
{
	struct wg *wg = peer->local->wg;

	if (memcmp(stamp, peer->greatest, WG_TAI64N) <= 0) {
		peer->rejected++;
		return -EALREADY;
	}
	if (peer->initiation_ns != 0 && wg->now_ns - peer->initiation_ns < WG_INITIATION_GAP_NS) {
		wg->stats.limited++;
		return -EAGAIN;
	}
	memcpy(peer->greatest, stamp, WG_TAI64N);
	peer->initiation_ns = wg->now_ns;
	return 0;
}

static int input_initiation(struct wg *wg, const struct endpoint *from, const uint8_t *msg,
	size_t len, struct wg_peer **peerp)
{
	const int proved = prove(wg, from, msg, len);
	uint8_t stamp[WG_TAI64N];
	struct wg_local *local;
	struct wg_peer *peer;
	struct noise noise;
	int r = proved < 0 ? proved : find_local(wg, proved, from, msg, len, &local);

	if (r == 0)
		r = admit(wg, local, proved, from, msg, len);
	if (r < 0)
		return r;
	begin(&noise, false, local, NULL);
	r = noise_read1(&noise, msg + WG_INITIATION_NOISE, WG_INITIATION_NOISE_LEN, stamp);
	if (r == 0) {
		peer = wg_peer_find(local, &noise.rs);
		r = peer ? accept_timestamp(peer, stamp) : -ENOENT;
		if (r == 0) {
			*peerp = peer;
			heard(peer, from, len);
			respond(peer, &noise, wg_get32(msg + WG_INITIATION_SENDER));
		}
	}
	noise_wipe(&noise);
	return r;
}

static int input_response(struct wg *wg, const struct endpoint *from, const uint8_t *msg,
	size_t len, struct wg_peer **peerp)
{
	struct wg_index *index = wg_index_find(wg, wg_get32(msg + WG_RESPONSE_RECEIVER));
	struct wg_peer *peer;
	int r;

	if (!index || index->keypair || !wg_wanted(index->peer->local))
		return -ENOENT;
	peer = index->peer;
	if (!wg_cookie_check_mac1(&peer->local->cookie_keys, msg, len)) {
		peer->rejected++;
		return -EBADMSG;
	}
	r = prove(wg, from, msg, len);
	if (r >= 0)
		r = admit(wg, peer->local, r, from, msg, len);
	if (r < 0)
		return r;
	r = noise_read2(&peer->begun.noise, &peer->psk, msg + WG_RESPONSE_NOISE,
		WG_RESPONSE_NOISE_LEN, NULL);
	if (r < 0) {
		peer->rejected++;
		return r;
	}
	if (!wg_keypair_begin(peer, &peer->begun.noise, wg_get32(msg + WG_RESPONSE_SENDER)))
		return 0; /* out of memory: a lost message */
	*peerp = peer;
	heard(peer, from, len);
	wg_timers_session(peer);
	wg_timers_complete(peer);
	wg_changed(peer);
	/* Confirms the keys to the responder. */
	wg_send_staged_or_keepalive(peer);
	return 0;
}

static int input_cookie_reply(struct wg *wg, const uint8_t *msg, size_t len)
{
	struct wg_index *index = wg_index_find(wg, wg_get32(msg + WG_COOKIE_REPLY_RECEIVER));
	struct wg_peer *peer;

	if (!index || !wg_wanted(index->peer->local))
		return -ENOENT;
	peer = index->peer;
	if (!peer->has_mac1 ||
		wg_cookie_reply_open(&peer->cookie_keys, peer->last_mac1, msg, peer->cookie) < 0) {
		peer->rejected++;
		return -EBADMSG;
	}
	peer->cookie_ns = wg->now_ns;
	peer->has_mac1 = false; /* one message has one answer */
	peer->rx_bytes += len;
	return 0;
}

int wg_handshake_input(struct wg *wg, const struct endpoint *from, uint8_t *msg, size_t len,
	struct wg_peer **peerp)
{
	switch (wg_msg_type(msg, len)) {
	case WG_INITIATION:
		return input_initiation(wg, from, msg, len, peerp);
	case WG_RESPONSE:
		return input_response(wg, from, msg, len, peerp);
	case WG_COOKIE_REPLY:
		return input_cookie_reply(wg, msg, len);
	default:
		return -EPROTO;
	}
}

/* SPDX-License-Identifier: MIT */
/* What goes out: packets, staged packets, keepalives, and the sending of handshake messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wg_priv.h"

static void hand_over(struct wg_peer *peer, uint8_t *msg, size_t len)
{
	struct wg *wg = peer->local->wg;

	peer->tx_bytes += len;
	wg_timers_sent(peer);
	wg->ops.send(wg->ops.arg, peer, &peer->endpoint, msg, len);
}

void wg_send_handshake(struct wg_peer *peer, uint8_t *msg, size_t len)
{
	struct wg *wg = peer->local->wg;
	const uint8_t *cookie = NULL;

	if (peer->cookie_ns != 0 &&
		wg->now_ns - peer->cookie_ns < WG_COOKIE_AGE_NS - WG_COOKIE_LATENCY_NS)
		cookie = peer->cookie;
	wg_cookie_put_macs(&peer->cookie_keys, cookie, msg, len);
	memcpy(peer->last_mac1, wg_cookie_mac1(msg, len), WG_MAC_LEN);
	peer->has_mac1 = true;
	peer->handshake_ns = wg->now_ns;
	hand_over(peer, msg, len);
}

/* Zeroes behind the packet so that its length tells less; but never beyond the MTU. */
static size_t pad(const struct wg_peer *peer, uint8_t *packet, size_t len)
{
	size_t padded = (len + WG_PAD - 1) / WG_PAD * WG_PAD;

	if (peer->mtu && len <= peer->mtu && padded > peer->mtu)
		padded = peer->mtu;
	if (padded > WG_MESSAGE_MAX - WG_OVERHEAD)
		padded = WG_MESSAGE_MAX - WG_OVERHEAD;
	memset(packet + len, 0, padded - len);
	return padded;
}

/* Rekeys when the session gets old: after so many messages, or as its initiator after so long. */
static void refresh(struct wg_peer *peer, const struct wg_keypair *keypair)
{
	if (keypair->send.counter > WG_REKEY_AFTER_MESSAGES ||
		(keypair->initiator &&
			peer->local->wg->now_ns - keypair->born_ns >= WG_REKEY_AFTER_NS))
		wg_initiate(peer, false);
}

void wg_refresh_on_receive(struct wg_peer *peer)
{
	const struct wg_keypair *keypair = peer->cur;

	if (peer->last_minute || !keypair || !keypair->initiator)
		return;
	if (peer->local->wg->now_ns - keypair->born_ns <
		WG_REJECT_AFTER_NS - WG_KEEPALIVE_NS - WG_REKEY_TIMEOUT_NS)
		return;
	peer->last_minute = true;
	wg_initiate(peer, false);
}

static int seal(struct wg_peer *peer, struct wg_keypair *keypair, uint8_t *packet, size_t len)
{
	uint8_t *msg = packet - WG_HEADROOM;
	size_t padded = pad(peer, packet, len);
	uint64_t counter = keypair->send.counter++;
	int r;

	wg_msg_put_type(msg, WG_DATA);
	wg_put32(msg + WG_DATA_RECEIVER, keypair->remote);
	wg_put64(msg + WG_DATA_COUNTER, counter);
	r = aead_seal_at(peer->local->wg->aead, &keypair->send, counter, NULL, 0, packet, padded);
	if (r < 0)
		return r;
	if (len > 0) {
		peer->tx_packets++;
		wg_timers_data_sent(peer);
	}
	hand_over(peer, msg, WG_OVERHEAD + padded);
	refresh(peer, keypair);
	return 0;
}

static void stage(struct wg_peer *peer, const uint8_t *packet, size_t len)
{
	struct wg_staged *staged = malloc(sizeof(*staged) + WG_ROOM_BEFORE + WG_HEADROOM + len +
					  WG_ROOM_BEHIND + WG_TAILROOM);

	if (!staged)
		return; /* lost, as on any network */
	if (peer->nstaged == WG_STAGED_MAX) {
		struct wg_staged *oldest = peer->staged;

		peer->staged = oldest->next;
		peer->nstaged--;
		free(oldest);
	}
	staged->next = NULL;
	staged->len = len;
	memcpy(staged->buf + WG_ROOM_BEFORE + WG_HEADROOM, packet, len);
	if (!peer->staged)
		peer->staged_end = &peer->staged;
	*peer->staged_end = staged;
	peer->staged_end = &staged->next;
	peer->nstaged++;
}

void wg_staged_drop(struct wg_peer *peer)
{
	struct wg_staged *staged;

	while ((staged = peer->staged)) {
		peer->staged = staged->next;
		free(staged);
	}
	peer->nstaged = 0;
}

void wg_send_staged(struct wg_peer *peer)
{
	while (peer->staged) {
		struct wg_keypair *keypair = wg_keypair_current(peer);
		struct wg_staged *staged = peer->staged;

		if (!keypair) {
			wg_initiate(peer, false);
			return;
		}
		peer->staged = staged->next;
		peer->nstaged--;
		seal(peer, keypair, staged->buf + WG_ROOM_BEFORE + WG_HEADROOM, staged->len);
		free(staged);
	}
}

void wg_send_staged_or_keepalive(struct wg_peer *peer)
{
	uint8_t buf[WG_ROOM_BEFORE + WG_HEADROOM + WG_TAILROOM + WG_ROOM_BEHIND];
	struct wg_keypair *keypair = wg_keypair_current(peer);

	if (!keypair)
		wg_initiate(peer, false);
	else if (peer->staged)
		wg_send_staged(peer);
	else
		seal(peer, keypair, buf + WG_ROOM_BEFORE + WG_HEADROOM, 0);
}

int wg_output(struct wg_peer *peer, uint64_t now_ns, uint64_t wall_ns, uint8_t *packet, size_t len)
{
	struct wg *wg = peer->local->wg;
	struct wg_keypair *keypair;

	wg->now_ns = now_ns;
	wg->wall_ns = wall_ns;
	if (len == 0 || len > WG_MESSAGE_MAX - WG_OVERHEAD)
		return -EMSGSIZE;
	if (!peer->has_endpoint)
		return -EDESTADDRREQ;
	keypair = wg_keypair_current(peer);
	if (keypair)
		return seal(peer, keypair, packet, len);
	stage(peer, packet, len);
	wg_initiate(peer, false);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Identities and peers: how they come and go, and what they know of themselves. */
#include <errno.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "wg_priv.h"

int wg_local_add(struct wg *wg, const struct key *private_key, void *user, struct wg_local **localp)
{
	struct wg_local *local, *other;
	struct key public_key;
	int r = key_public(private_key, &public_key);

	if (r < 0)
		return r;
	DL_FOREACH(wg->locals, other)
	{
		if (key_equal(&other->public_key, &public_key))
			return -EEXIST;
	}
	local = calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	local->private_key = key_new();
	if (!local->private_key) {
		free(local);
		return -ENOMEM;
	}
	*local->private_key = *private_key;
	local->public_key = public_key;
	local->wg = wg;
	local->user = user;
	wg_cookie_keys(&public_key, &local->cookie_keys);
	DL_APPEND(wg->locals, local);
	wg->nlocals++;
	*localp = local;
	return 0;
}

void wg_local_free(struct wg_local *local)
{
	struct wg_peer *peer, *tmp;

	if (!local)
		return;
	HASH_ITER(hh, local->peers, peer, tmp)
	{
		wg_peer_free(peer);
	}
	wg_load_forget(local->wg, local);
	DL_DELETE(local->wg->locals, local);
	local->wg->nlocals--;
	key_free(local->private_key);
	free(local);
}

void *wg_local_user(const struct wg_local *local)
{
	return local->user;
}

struct wg_peer *wg_peer_find(struct wg_local *local, const struct key *public_key)
{
	struct wg_peer *peer;

	HASH_FIND(hh, local->peers, public_key, sizeof(*public_key), peer);
	return peer;
}

/* Would a handshake with this key have a secret at all? */
static bool is_weak(const struct wg_local *local, const struct key *public_key)
{
	struct key shared;
	bool weak =
		crypto_scalarmult_curve25519(shared.b, local->private_key->b, public_key->b) != 0 ||
		key_is_zero(&shared);

	sodium_memzero(&shared, sizeof(shared));
	return weak || key_equal(public_key, &local->public_key);
}

static const struct key no_psk;

static const struct key *psk_of(const struct wg_peer_config *config)
{
	return config->psk ? config->psk : &no_psk;
}

/* What may change without harm to the sessions. */
static void configure(struct wg_peer *peer, const struct wg_peer_config *config, uint64_t now_ns)
{
	bool keepalive_on = config->keepalive_s > 0 && config->keepalive_s != peer->keepalive_s;

	peer->user = config->user;
	peer->mtu = config->mtu;
	peer->keepalive_s = config->keepalive_s;
	if (config->has_endpoint) {
		keepalive_on |= config->keepalive_s > 0 && !peer->has_endpoint;
		peer->has_endpoint = true;
		peer->endpoint = config->endpoint;
	}
	if (keepalive_on)
		wg_timer_set(peer, WG_T_PERSISTENT, now_ns);
	else if (config->keepalive_s == 0)
		wg_timer_clear(peer, WG_T_PERSISTENT);
}

static int set_key(struct wg_peer *peer, const struct key *public_key)
{
	peer->public_key = *public_key;
	wg_cookie_keys(public_key, &peer->cookie_keys);
	HASH_ADD(hh, peer->local->peers, public_key, sizeof(peer->public_key), peer);
	return peer->hh.tbl ? 0 : -ENOMEM;
}

int wg_peer_add(struct wg_local *local, const struct wg_peer_config *config, uint64_t now_ns,
	struct wg_peer **peerp)
{
	struct wg *wg = local->wg;
	struct wg_peer *peer;

	if (wg_peer_find(local, &config->public_key))
		return -EEXIST;
	if (is_weak(local, &config->public_key))
		return -EINVAL;
	if (wg_heap_reserve(wg, wg->nheap + 1) < 0)
		return -ENOMEM;
	peer = sodium_malloc(sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	memset(peer, 0, sizeof(*peer));
	peer->local = local;
	if (set_key(peer, &config->public_key) < 0) {
		sodium_free(peer);
		return -ENOMEM;
	}
	peer->psk = *psk_of(config);
	for (int t = 0; t < WG_TIMERS; t++)
		wg_timer_clear(peer, t);
	peer->due_ns = WG_NEVER;
	wg_heap_add(wg, peer);
	configure(peer, config, now_ns);
	*peerp = peer;
	return 0;
}

/* Sessions and whatever leads to one. */
static void forget(struct wg_peer *peer)
{
	wg_begun_drop(peer);
	wg_keypair_drop_all(peer);
	wg_timer_clear(peer, WG_T_RETRANSMIT);
	wg_timer_clear(peer, WG_T_KEEPALIVE);
	wg_timer_clear(peer, WG_T_SILENCE);
	wg_timer_clear(peer, WG_T_ZERO);
	peer->handshake_ns = 0;
	peer->attempts = 0;
}

int wg_peer_update(struct wg_peer *peer, const struct wg_peer_config *config, uint64_t now_ns)
{
	struct wg_local *local = peer->local;
	bool other_key = !key_equal(&peer->public_key, &config->public_key);

	if (other_key) {
		struct key old = peer->public_key;

		if (wg_peer_find(local, &config->public_key))
			return -EEXIST;
		if (is_weak(local, &config->public_key))
			return -EINVAL;
		HASH_DELETE(hh, local->peers, peer);
		if (set_key(peer, &config->public_key) < 0) {
			/* The table may have been freed with its last entry. */
			if (set_key(peer, &old) < 0)
				memset(&peer->hh, 0, sizeof(peer->hh));
			return -ENOMEM;
		}
		memset(peer->greatest, 0, sizeof(peer->greatest));
		peer->initiation_ns = 0;
		peer->cookie_ns = 0;
		peer->has_mac1 = false;
		wg_staged_drop(peer);
	}
	if (other_key || !key_equal(&peer->psk, psk_of(config))) {
		forget(peer);
		peer->psk = *psk_of(config);
		wg_changed(peer);
	}
	configure(peer, config, now_ns);
	return 0;
}

void wg_peer_free(struct wg_peer *peer)
{
	struct wg_local *local;

	if (!peer)
		return;
	local = peer->local;
	forget(peer);
	wg_staged_drop(peer);
	wg_heap_remove(local->wg, peer);
	if (peer->hh.tbl)
		HASH_DELETE(hh, local->peers, peer);
	sodium_free(peer); /* wipes */
}

void *wg_peer_user(const struct wg_peer *peer)
{
	return peer->user;
}

void wg_peer_status(const struct wg_peer *peer, struct wg_peer_status *statusp)
{
	*statusp = (struct wg_peer_status){
		.has_endpoint = peer->has_endpoint,
		.endpoint = peer->endpoint,
		.session = wg_keypair_current(peer) != NULL,
		.handshake_wall_ns = peer->handshake_wall_ns,
		.rx_bytes = peer->rx_bytes,
		.tx_bytes = peer->tx_bytes,
		.rx_packets = peer->rx_packets,
		.tx_packets = peer->tx_packets,
		.heard_ns = peer->heard_ns,
		.rejected = peer->rejected,
	};
}

/* SPDX-License-Identifier: MIT */
/* The sessions of a peer: at most three, in three roles (wg_priv.h). */
#include <assert.h>
#include <sodium/utils.h>

#include "wg_priv.h"

static void drop(struct wg_peer *peer, struct wg_keypair **role)
{
	struct wg_keypair *keypair = *role;

	if (!keypair)
		return;
	wg_index_remove(peer->local->wg, &keypair->index);
	aead_forget(peer->local->wg->aead, &keypair->send);
	aead_forget(peer->local->wg->aead, &keypair->recv);
	sodium_memzero(keypair, sizeof(*keypair));
	*role = NULL;
}

void wg_keypair_drop_all(struct wg_peer *peer)
{
	drop(peer, &peer->prev);
	drop(peer, &peer->cur);
	drop(peer, &peer->next);
}

/* The initiator may use its new session at once: what took part in the answer has proved itself. */
static void rotate_initiator(struct wg_peer *peer, struct wg_keypair *keypair)
{
	drop(peer, &peer->prev);
	if (peer->next) {
		/* It was never used, but may be on its way; it is newer than the current one. */
		drop(peer, &peer->cur);
		peer->prev = peer->next;
		peer->next = NULL;
	} else {
		peer->prev = peer->cur;
	}
	peer->cur = keypair;
}

static void rotate_responder(struct wg_peer *peer, struct wg_keypair *keypair)
{
	drop(peer, &peer->next);
	drop(peer, &peer->prev);
	peer->next = keypair;
}

/* At most two roles are taken between calls: prev and cur, or cur and next. */
static struct wg_keypair *take_slot(struct wg_peer *peer)
{
	struct wg_keypair *keypair = peer->slot;

	while (keypair->used)
		keypair++;
	assert(keypair < peer->slot + sizeof(peer->slot) / sizeof(peer->slot[0]));
	return keypair;
}

struct wg_keypair *wg_keypair_begin(struct wg_peer *peer, struct noise *noise, uint32_t remote)
{
	struct wg *wg = peer->local->wg;
	struct wg_keypair *keypair = take_slot(peer);
	bool initiator = noise->initiator;
	uint8_t k[2][AEAD_KEY];
	int r;

	keypair->index.peer = peer;
	keypair->index.keypair = keypair;
	if (initiator) {
		r = wg_index_move(wg, &peer->begun.index, &keypair->index);
		peer->begun.used = false;
	} else {
		r = wg_index_add(wg, &keypair->index);
	}
	noise_split(noise, k[0], k[1]);
	if (r == 0) {
		keypair->used = true;
		keypair->initiator = initiator;
		keypair->remote = remote;
		keypair->born_ns = wg->now_ns;
		aead_key_init(&keypair->send, AEAD_CHACHA20POLY1305, k[!initiator]);
		aead_key_init(&keypair->recv, AEAD_CHACHA20POLY1305, k[initiator]);
		wg_replay_init(&keypair->replay);
		if (initiator)
			rotate_initiator(peer, keypair);
		else
			rotate_responder(peer, keypair);
	}
	sodium_memzero(k, sizeof(k));
	return r == 0 ? keypair : NULL;
}

bool wg_keypair_confirm(struct wg_peer *peer, struct wg_keypair *keypair)
{
	if (keypair != peer->next)
		return false;
	drop(peer, &peer->prev);
	peer->prev = peer->cur;
	peer->cur = keypair;
	peer->next = NULL;
	return true;
}

struct wg_keypair *wg_keypair_current(const struct wg_peer *peer)
{
	struct wg_keypair *keypair = peer->cur;

	if (!keypair || keypair->send.counter >= WG_REJECT_AFTER_MESSAGES ||
		peer->local->wg->now_ns - keypair->born_ns >= WG_REJECT_AFTER_NS)
		return NULL;
	return keypair;
}

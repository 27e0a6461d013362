/* SPDX-License-Identifier: MIT */
/* The object of a broker, and what comes in. */
#include "wg.h"

#include <assert.h>
#include <errno.h>
#include <sodium/randombytes.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

#include "wg_priv.h"

int wg_new(const struct wg_ops *ops, uint64_t now_ns, struct wg **wgp)
{
	const struct ratelimit_config limits = {
		.per_source_s = WG_SOURCE_RATE,
		.burst = WG_SOURCE_BURST,
		.total_s = WG_TOTAL_RATE,
	};
	struct wg *wg = calloc(1, sizeof(*wg));

	if (!wg)
		return -ENOMEM;
	wg->ops = *ops;
	wg->now_ns = now_ns;
	if (aead_new(&wg->aead) < 0 || ratelimit_new(&limits, &wg->sources) < 0) {
		wg_free(wg);
		return -ENOMEM;
	}
	wg_random(wg, wg->hint_key, sizeof(wg->hint_key));
	wg_random(wg, &wg->jitter, sizeof(wg->jitter));
	wg->jitter |= 1;
	*wgp = wg;
	return 0;
}

void wg_free(struct wg *wg)
{
	if (!wg)
		return;
	assert(!wg->locals);
	aead_free(wg->aead);
	ratelimit_free(wg->sources);
	free(wg->heap);
	sodium_memzero(wg, sizeof(*wg));
	free(wg);
}

void wg_random(struct wg *wg, void *buf, size_t len)
{
	if (wg->ops.random)
		wg->ops.random(wg->ops.arg, buf, len);
	else
		randombytes_buf(buf, len);
}

void wg_changed(struct wg_peer *peer)
{
	struct wg *wg = peer->local->wg;

	if (wg->ops.changed)
		wg->ops.changed(wg->ops.arg, peer);
}

void wg_stats(const struct wg *wg, struct wg_stats *statsp)
{
	*statsp = wg->stats;
	statsp->under_load = wg_load_high(wg);
}

void wg_heard(struct wg_peer *peer, const struct endpoint *from, size_t len)
{
	peer->rx_bytes += len;
	peer->heard_ns = peer->local->wg->now_ns;
	wg_timers_received(peer);
	if (peer->has_endpoint && endpoint_equal(&peer->endpoint, from))
		return;
	peer->endpoint = *from;
	peer->has_endpoint = true;
	wg_changed(peer);
}

static int reject(struct wg_peer *peer, int error)
{
	peer->rejected++;
	return error;
}

static int input_data(struct wg *wg, const struct endpoint *from, uint8_t *msg, size_t len,
	uint8_t **packetp, struct wg_peer **peerp)
{
	struct wg_index *index = wg_index_find(wg, wg_get32(msg + WG_DATA_RECEIVER));
	uint64_t counter = wg_get64(msg + WG_DATA_COUNTER);
	uint8_t *text = msg + WG_DATA_TEXT;
	struct wg_keypair *keypair;
	struct wg_peer *peer;
	int r;

	if (!index || !index->keypair || !wg_wanted(index->peer->local))
		return -ENOENT;
	keypair = index->keypair;
	peer = index->peer;
	if (wg->now_ns - keypair->born_ns >= WG_REJECT_AFTER_NS)
		return reject(peer, -ENOENT);
	if (counter >= WG_REJECT_AFTER_MESSAGES || wg_replay_seen(&keypair->replay, counter))
		return reject(peer, -EALREADY);
	r = aead_open_at(wg->aead, &keypair->recv, counter, NULL, 0, text, len - WG_DATA_TEXT);
	if (r < 0)
		return reject(peer, -EBADMSG);
	wg_replay_mark(&keypair->replay, counter);
	wg_heard(peer, from, len);
	if (r > 0)
		wg_timers_data_received(peer);
	if (wg_keypair_confirm(peer, keypair)) {
		wg_timers_complete(peer);
		wg_changed(peer);
		wg_send_staged(peer);
	}
	wg_refresh_on_receive(peer);
	r = wg_msg_packet_length(text, (size_t)r);
	if (r < 0)
		return reject(peer, r);
	*peerp = peer;
	if (r > 0) {
		peer->rx_packets++;
		*packetp = text;
	}
	return r;
}

int wg_input(struct wg *wg, uint64_t now_ns, uint64_t wall_ns, const struct endpoint *from,
	uint8_t *msg, size_t len, uint8_t **packetp, struct wg_peer **peerp)
{
	int type = wg_msg_type(msg, len);

	wg->now_ns = now_ns;
	wg->wall_ns = wall_ns;
	*peerp = NULL;
	if (type < 0)
		return type;
	if (type == WG_DATA)
		return input_data(wg, from, msg, len, packetp, peerp);
	return wg_handshake_input(wg, from, msg, len, peerp);
}

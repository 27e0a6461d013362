/* SPDX-License-Identifier: MIT */
/* Which counters of a session have been received (RFC 6479): a ring of bits that slides with the
 * greatest one.
 *
 * Model: the ring is made of words. When the greatest counter moves into another word, the words
 * passed over are cleared, one at a time; so the window is always at least WG_REPLAY_WINDOW
 * counters and nothing is ever shifted. Ask with wg_replay_seen() before the costly authentication,
 * and mark with wg_replay_mark() after it: a forged counter must not move the window. */
#ifndef PERSONA_BROKER_WG_REPLAY_H
#define PERSONA_BROKER_WG_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WG_REPLAY_BITS = 4096, /* a power of two */
	WG_REPLAY_WORD = 64,
	WG_REPLAY_WINDOW = WG_REPLAY_BITS - WG_REPLAY_WORD
};

struct wg_replay {
	uint64_t next; /* the greatest counter + 1; 0: none */
	uint64_t ring[WG_REPLAY_BITS / WG_REPLAY_WORD];
};

void wg_replay_init(struct wg_replay *replay);
/* Received before, or too old to tell? */
bool wg_replay_seen(const struct wg_replay *replay, uint64_t counter);
/* counter was not seen and is below UINT64_MAX. */
void wg_replay_mark(struct wg_replay *replay, uint64_t counter);

#endif

/* SPDX-License-Identifier: MIT */
#include "wg_replay.h"

#include <string.h>

enum { WORDS = WG_REPLAY_BITS / WG_REPLAY_WORD };

void wg_replay_init(struct wg_replay *replay)
{
	memset(replay, 0, sizeof(*replay));
}

bool wg_replay_seen(const struct wg_replay *replay, uint64_t counter)
{
	if (counter >= replay->next)
		return false;
	if (replay->next - counter > WG_REPLAY_WINDOW)
		return true;
	return replay->ring[counter / WG_REPLAY_WORD % WORDS] >> counter % WG_REPLAY_WORD & 1;
}

void wg_replay_mark(struct wg_replay *replay, uint64_t counter)
{
	uint64_t word = counter / WG_REPLAY_WORD;

	if (counter >= replay->next) {
		/* A fresh ring is all zero, so that word 0 counts as entered from the start. */
		uint64_t last = replay->next ? (replay->next - 1) / WG_REPLAY_WORD : 0;
		uint64_t passed = word - last;

		for (uint64_t i = 1; i <= passed && i <= WORDS; i++)
			replay->ring[(last + i) % WORDS] = 0;
		replay->next = counter + 1;
	}
	replay->ring[word % WORDS] |= 1ULL << counter % WG_REPLAY_WORD;
}

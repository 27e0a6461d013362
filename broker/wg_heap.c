/* SPDX-License-Identifier: MIT */
/* A binary heap of peers; each knows its place, so that a changed one is moved in O(log n). */
#include <errno.h>
#include <stdlib.h>

#include "wg_priv.h"

int wg_heap_reserve(struct wg *wg, size_t npeers)
{
	struct wg_peer **heap;
	size_t cap = wg->heap_cap ? wg->heap_cap : 16;

	while (cap < npeers)
		cap *= 2;
	if (cap == wg->heap_cap)
		return 0;
	heap = reallocarray(wg->heap, cap, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	wg->heap = heap;
	wg->heap_cap = cap;
	return 0;
}

static void put(struct wg *wg, size_t at, struct wg_peer *peer)
{
	wg->heap[at] = peer;
	peer->heap_at = at;
}

void wg_heap_fix(struct wg *wg, struct wg_peer *peer)
{
	size_t at = peer->heap_at;

	while (at > 0 && wg->heap[(at - 1) / 2]->due_ns > peer->due_ns) {
		put(wg, at, wg->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < wg->nheap && wg->heap[child + 1]->due_ns < wg->heap[child]->due_ns)
			child++;
		if (child >= wg->nheap || wg->heap[child]->due_ns >= peer->due_ns)
			break;
		put(wg, at, wg->heap[child]);
		at = child;
	}
	put(wg, at, peer);
}

void wg_heap_add(struct wg *wg, struct wg_peer *peer)
{
	put(wg, wg->nheap++, peer);
	wg_heap_fix(wg, peer);
}

void wg_heap_remove(struct wg *wg, struct wg_peer *peer)
{
	struct wg_peer *last = wg->heap[--wg->nheap];

	if (last == peer)
		return;
	put(wg, peer->heap_at, last);
	wg_heap_fix(wg, last);
}

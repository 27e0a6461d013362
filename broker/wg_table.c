/* SPDX-License-Identifier: MIT */
/* Receiver indices: random numbers that nobody else can guess or choose, so they need no hashing.
 */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = *(const uint32_t *)(keyptr))
#include <errno.h>

#include "wg_priv.h"

struct wg_index *wg_index_find(struct wg *wg, uint32_t number)
{
	struct wg_index *index;

	HASH_FIND(hh, wg->indices, &number, sizeof(number), index);
	return index;
}

static int add(struct wg *wg, struct wg_index *index)
{
	HASH_ADD(hh, wg->indices, number, sizeof(index->number), index);
	return index->hh.tbl ? 0 : -ENOMEM;
}

int wg_index_add(struct wg *wg, struct wg_index *index)
{
	do {
		wg_random(wg, &index->number, sizeof(index->number));
	} while (wg_index_find(wg, index->number));
	return add(wg, index);
}

int wg_index_move(struct wg *wg, struct wg_index *from, struct wg_index *to)
{
	HASH_DELETE(hh, wg->indices, from);
	to->number = from->number;
	return add(wg, to);
}

void wg_index_remove(struct wg *wg, struct wg_index *index)
{
	HASH_DELETE(hh, wg->indices, index);
}

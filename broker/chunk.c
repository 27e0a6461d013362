/* SPDX-License-Identifier: MIT */
#include "chunk.h"

#include <sodium.h>
#include <stdlib.h>

struct chunk *chunk_get(struct chunk_pool *pool)
{
	struct chunk *chunk = pool->free;

	if (chunk) {
		pool->free = chunk->next;
		pool->nfree--;
	} else {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
	}
	chunk->next = NULL;
	chunk->off = chunk->len = 0;
	return chunk;
}

void chunk_put(struct chunk_pool *pool, struct chunk *chunk)
{
	if (!chunk)
		return;
	if (pool->nfree >= CHUNK_KEEP) {
		free(chunk);
		return;
	}
	chunk->next = pool->free;
	pool->free = chunk;
	pool->nfree++;
}

void chunk_pool_deinit(struct chunk_pool *pool)
{
	while (pool->free) {
		struct chunk *chunk = pool->free;

		pool->free = chunk->next;
		sodium_memzero(chunk->data, sizeof(chunk->data));
		free(chunk);
	}
	pool->nfree = 0;
}

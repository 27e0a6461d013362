/* SPDX-License-Identifier: MIT */
/* Payload buffers of a worker: a few large chunks that are reused, so an idle stream owns none.
 * Not thread safe: each worker has its own pool. */
#ifndef PERSONA_BROKER_CHUNK_H
#define PERSONA_BROKER_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

enum {
	CHUNK_RECORDS = 4,			 /* full records that fit */
	CHUNK_SIZE = CHUNK_RECORDS * RECORD_MAX, /* bytes */
	CHUNK_SLACK = 4096, /* for control records behind a full chunk that waits */
	CHUNK_KEEP = 16	    /* free chunks a pool keeps */
};

struct chunk {
	struct chunk *next; /* in the free list */
	size_t off;	    /* first used byte */
	size_t len;	    /* used bytes from off */
	uint8_t data[CHUNK_SIZE + CHUNK_SLACK];
};

struct chunk_pool {
	struct chunk *free;
	size_t nfree;
};

struct chunk *chunk_get(struct chunk_pool *pool); /* NULL when out of memory; off = len = 0 */
void chunk_put(struct chunk_pool *pool, struct chunk *chunk); /* NULL is allowed */
void chunk_pool_deinit(struct chunk_pool *pool);

#endif

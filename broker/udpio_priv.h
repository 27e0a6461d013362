/* SPDX-License-Identifier: MIT */
/* What the parts of udpio.h share. */
#ifndef PERSONA_BROKER_UDPIO_PRIV_H
#define PERSONA_BROKER_UDPIO_PRIV_H

#include <sys/socket.h>

#define HASH_NONFATAL_OOM 1
/* Every function that touches the table has `io` in scope. */
#define HASH_FUNCTION(ptr, len, hashv) ((hashv) = udpio_hash(io, ptr, len))
#include <sodium/crypto_shorthash.h>
#include <string.h>
#include <uthash.h>

#include "udpio.h"

enum {
	UDPIO_SLOTS = 16,	/* datagrams, or groups of segments, of one recvmmsg(2) */
	UDPIO_SLOT_MAX = 65536, /* the longest of them */
	UDPIO_GROUPS = 64,	/* of one sendmmsg(2) */
	UDPIO_SEGMENTS = 64,	/* of a group: what every kernel with UDP_SEGMENT takes */
	UDPIO_QUEUE = 512 * 1024,
	UDPIO_SOURCES = 4096,
	UDPIO_SOCKBUF = 8 * 1024 * 1024
};

/* Which own address a peer speaks to. */
struct udpio_source {
	struct endpoint peer;
	struct addr local;
	UT_hash_handle hh; /* in the order of their making */
};

/* Messages that leave in one go. */
struct udpio_group {
	struct endpoint to;
	struct addr local;
	bool has_local;
	size_t start, len; /* in the queue */
	size_t segment;	   /* size of each message but the last */
	unsigned count;
};

struct udpio {
	struct udpio_config config;
	int fd;
	int family;
	bool wildcard;
	struct udpio_stats stats;

	struct udpio_source *sources;
	uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* SipHash: peers choose their addresses */
	struct udpio_source *last_source;	     /* the one that was kept last */
	/* While input is called: */
	bool answering;
	struct endpoint from;
	struct addr local;

	uint8_t *slots;
	uint8_t *queue;
	size_t queued; /* bytes */
	struct udpio_group group[UDPIO_GROUPS];
	size_t first, ngroups; /* those before first have been sent */
};

static inline unsigned udpio_hash(const struct udpio *io, const void *p, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned v;

	crypto_shorthash(out, p, len, io->hash_key);
	memcpy(&v, out, sizeof(v));
	return v;
}

/* The own address to send to this peer from; NULL: let the kernel choose. */
const struct addr *udpio_source_find(struct udpio *io, const struct endpoint *to);
void udpio_source_keep(struct udpio *io, const struct endpoint *peer, const struct addr *local);
void udpio_source_forget(struct udpio *io, const struct endpoint *peer);

#endif

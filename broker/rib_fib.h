/* SPDX-License-Identifier: MIT */
/* Longest-prefix match, made from the tree of a routing table. For rib.c, for no one else. */
#ifndef PERSONA_BROKER_RIB_FIB_H
#define PERSONA_BROKER_RIB_FIB_H

#include "rib_tree.h"

enum { RIB_FIB_CLASSES = 24 };

/* See rib_fib.c. */
struct rib_cell {
	union {
		struct {
			uint64_t children, runs; /* INNER: bitmaps */
		};
		uint64_t key[2]; /* LEAF, SKIP */
	};
	union {
		const struct rib_route *route; /* LEAF */
		struct rib_cell *cells;	       /* INNER, SKIP */
	};
	uint8_t kind;
	uint8_t depth; /* bits; LEAF: the prefix's length */
	uint8_t room;  /* INNER, SKIP: what `cells` has room for, in cells */
};

_Static_assert(sizeof(struct rib_cell) == 32, "two in a cache line");

struct rib_chunk;

/* All zero: empty. */
struct rib_fib {
	struct rib_cell root[RIB_FAMILIES];
	const struct rib_route *whole[RIB_FAMILIES]; /* 0.0.0.0/0 and ::/0 */
	struct rib_chunk *chunks;
	struct rib_cell *unused[RIB_FIB_CLASSES]; /* free blocks by size */
};

const struct rib_route *rib_fib_lookup(const struct rib_fib *fib, const struct addr *addr);
/* The tree has a new prefix, or another best route for one. 0 or -ENOMEM; only a new prefix can
 * fail, and then nothing changed. */
int rib_fib_set(struct rib_fib *fib, const struct rib_tree *tree, const struct prefix *prefix);
/* The tree has lost a prefix. */
void rib_fib_removed(struct rib_fib *fib, const struct rib_tree *tree, const struct prefix *prefix);
void rib_fib_deinit(struct rib_fib *fib);

#endif

/* SPDX-License-Identifier: MIT */
/* The prefixes of a routing table, sorted. For rib.c and rib_fib.c, for no one else.
 *
 * Model: a path-compressed binary trie (Morrison's PATRICIA) for each family. Keys are addresses as
 * two numbers, most significant bit first; of IPv4 only its own 32 bits, on the left, so that both
 * families look alike. A node stands for a prefix; its children are longer prefixes inside it, told
 * apart by the first bit behind its own length. One without candidates is only a fork.
 *
 * Invariants: a child's prefix is longer than its parent's and contained in it; a node has
 * candidates or two children; so there are fewer than twice as many nodes as prefixes, and no path
 * is longer than 129 nodes. */
#ifndef PERSONA_BROKER_RIB_TREE_H
#define PERSONA_BROKER_RIB_TREE_H

#include <endian.h>
#include <string.h>

#include "rib.h"

enum {
	RIB_V4,
	RIB_V6,
	RIB_FAMILIES,
	RIB_BITS = 128,
	RIB_V4_BITS = 96 /* before an IPv4 address in its 16-byte form */
};

struct rib_node {
	struct rib_node *child[2];
	uint64_t key[2];	/* masked */
	struct rib_route *best; /* candidates, best first; NULL: a fork */
	uint8_t len;
};

/* All zero: empty. */
struct rib_tree {
	struct rib_node *root[RIB_FAMILIES];
	size_t count; /* prefixes */
};

/* The key of an address; returns its family. */
static inline int rib_key(const struct addr *addr, uint64_t key[2])
{
	uint64_t be[2];

	memcpy(be, addr->b, sizeof(be));
	key[0] = be64toh(be[0]);
	key[1] = be64toh(be[1]);
	if (key[0] != 0 || key[1] >> 32 != 0xffff)
		return RIB_V6;
	key[0] = key[1] << 32;
	key[1] = 0;
	return RIB_V4;
}

/* The same for a masked prefix, with its length in bits of the key. */
int rib_prefix_key(const struct prefix *prefix, uint64_t key[2], unsigned *lenp);
/* How many leading bits are equal, at most 128. */
unsigned rib_common(const uint64_t a[2], const uint64_t b[2]);

/* The node of exactly this masked prefix that has candidates, or NULL. */
struct rib_node *rib_tree_find(const struct rib_tree *tree, const struct prefix *prefix);
/* Adds a prefix that is not there with its first route. 0 or -ENOMEM. */
int rib_tree_insert(struct rib_tree *tree, struct rib_route *first);
/* Takes out the prefix, which has no candidates any more. */
void rib_tree_remove(struct rib_tree *tree, const struct prefix *prefix);
/* As rib_each(). */
int rib_tree_each(const struct rib_tree *tree, const struct prefix *after,
	int (*fn)(const struct rib_route *best, void *arg), void *arg);
/* Frees the nodes and calls fn for the candidates of each. */
void rib_tree_deinit(struct rib_tree *tree, void (*fn)(struct rib_route *candidates));

#endif

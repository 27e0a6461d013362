/* SPDX-License-Identifier: MIT */
/* A routing table. See route.h.
 *
 * Model: a path-compressed binary trie (Morrison's PATRICIA, as in BSD and in WireGuard's
 * allowedips). A node stands for a prefix; its children are longer prefixes inside it, told apart
 * by the first bit behind its own length. A node without a value has two children. Addresses are
 * held as two 64-bit numbers, so comparing a prefix is two xors.
 *
 * Invariants: a child's prefix is longer than its parent's and contained in it; a node has a value
 * or two children; so there are fewer than twice as many nodes as prefixes, and no path is longer
 * than 129 nodes. */
#include "route.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 128, V4_BITS = 96, DEPTH_MAX = BITS + 1 };

/* 128 bits of an address, most significant first. */
struct bits {
	uint64_t hi, lo;
};

struct node {
	struct bits bits; /* masked */
	void *value;	  /* NULL: only a fork */
	struct node *child[2];
	uint8_t len;
};

struct route {
	struct node *root;
	size_t count; /* nodes with a value */
};

static struct bits bits_of(const struct addr *addr)
{
	uint64_t be[2];

	memcpy(be, addr->b, sizeof(be));
	return (struct bits){be64toh(be[0]), be64toh(be[1])};
}

static struct addr addr_of(struct bits bits)
{
	const uint64_t be[2] = {htobe64(bits.hi), htobe64(bits.lo)};
	struct addr addr;

	memcpy(addr.b, be, sizeof(addr.b));
	return addr;
}

static struct bits bits_mask(struct bits bits, unsigned len)
{
	if (len < 64) {
		bits.hi &= len ? UINT64_MAX << (64 - len) : 0;
		bits.lo = 0;
	} else if (len < BITS) {
		bits.lo &= len > 64 ? UINT64_MAX << (BITS - len) : 0;
	}
	return bits;
}

/* How many leading bits are equal, at most 128. */
static unsigned bits_common(struct bits a, struct bits b)
{
	if (a.hi != b.hi)
		return (unsigned)__builtin_clzll(a.hi ^ b.hi);
	if (a.lo != b.lo)
		return 64 + (unsigned)__builtin_clzll(a.lo ^ b.lo);
	return BITS;
}

/* Bit `i` from the left, i < 128. */
static unsigned bits_at(struct bits bits, unsigned i)
{
	return i < 64 ? bits.hi >> (63 - i) & 1 : bits.lo >> (127 - i) & 1;
}

int route_new(struct route **routep)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return -ENOMEM;
	*routep = route;
	return 0;
}

/* Pre-order walk without recursion. `stack` has room for DEPTH_MAX nodes: on a path each node adds
 * at most its one waiting sibling. */
struct walk {
	struct node *stack[DEPTH_MAX + 1];
	size_t n;
};

static void walk_init(struct walk *walk, struct node *root)
{
	walk->n = 0;
	if (root)
		walk->stack[walk->n++] = root;
}

/* The next node in order, NULL at the end. The node may be freed after its children were pushed. */
static struct node *walk_next(struct walk *walk)
{
	struct node *node;

	if (!walk->n)
		return NULL;
	node = walk->stack[--walk->n];
	if (node->child[1])
		walk->stack[walk->n++] = node->child[1];
	if (node->child[0])
		walk->stack[walk->n++] = node->child[0];
	return node;
}

void route_free(struct route *route)
{
	struct walk walk;
	struct node *node;

	if (!route)
		return;
	walk_init(&walk, route->root);
	while ((node = walk_next(&walk)))
		free(node);
	free(route);
}

static struct node *node_new(struct bits bits, unsigned len, void *value)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node) {
		node->bits = bits_mask(bits, len);
		node->len = (uint8_t)len;
		node->value = value;
	}
	return node;
}

int route_add(struct route *route, const struct prefix *prefix, void *value)
{
	struct node **at = &route->root, *node, *fork;
	struct bits bits;
	unsigned len = prefix->len, common = 0;

	if (len > BITS || !value)
		return -EINVAL;
	bits = bits_mask(bits_of(&prefix->addr), len);
	while ((node = *at)) {
		common = bits_common(node->bits, bits);
		if (common < node->len || len <= node->len)
			break;
		at = &node->child[bits_at(bits, node->len)];
	}
	if (node && node->len == len && common >= len) {
		if (node->value)
			return node->value == value ? 0 : -EEXIST;
		node->value = value;
		route->count++;
		return 0;
	}
	fork = node_new(bits, len, value);
	if (!fork)
		return -ENOMEM;
	if (node && common >= len) {
		/* The new prefix contains the node. */
		fork->child[bits_at(node->bits, len)] = node;
		*at = fork;
	} else if (node) {
		/* They part at bit `common`. */
		struct node *leaf = fork;

		fork = node_new(bits, common, NULL);
		if (!fork) {
			free(leaf);
			return -ENOMEM;
		}
		fork->child[bits_at(bits, common)] = leaf;
		fork->child[bits_at(node->bits, common)] = node;
		*at = fork;
	} else {
		*at = fork;
	}
	route->count++;
	return 0;
}

/* Restores the invariant for a node without a value: takes it out unless it has two children.
 * Returns true when *at changed to something that may violate it in turn (the parent). */
static bool node_trim(struct node **at)
{
	struct node *node = *at;

	if (!node || node->value || (node->child[0] && node->child[1]))
		return false;
	*at = node->child[0] ? node->child[0] : node->child[1];
	free(node);
	return true;
}

/* The node of exactly this prefix, or NULL. *upp and *atp (NULL allowed) are the links that point
 * to its parent and to itself. */
static struct node *find(
	struct route *route, const struct prefix *prefix, struct node ***upp, struct node ***atp)
{
	struct node **up = NULL, **at = &route->root, *node;
	struct bits bits;

	if (prefix->len > BITS)
		return NULL;
	bits = bits_mask(bits_of(&prefix->addr), prefix->len);
	while ((node = *at)) {
		if (bits_common(node->bits, bits) < node->len || node->len > prefix->len)
			return NULL;
		if (node->len == prefix->len)
			break;
		up = at;
		at = &node->child[bits_at(bits, node->len)];
	}
	*upp = up;
	*atp = at;
	return node;
}

int route_remove(struct route *route, const struct prefix *prefix)
{
	struct node **up = NULL, **at = NULL, *node = find(route, prefix, &up, &at);

	if (!node || !node->value)
		return -ENOENT;
	node->value = NULL;
	route->count--;
	if (node_trim(at) && up)
		node_trim(up);
	return 0;
}

/* Recursion is at most DEPTH_MAX deep. Returns how many were removed. */
static size_t remove_value(struct node **at, const void *value)
{
	struct node *node = *at;
	size_t n = 0;

	if (!node)
		return 0;
	n += remove_value(&node->child[0], value);
	n += remove_value(&node->child[1], value);
	if (node->value == value) {
		node->value = NULL;
		n++;
	}
	node_trim(at);
	return n;
}

size_t route_remove_value(struct route *route, const void *value)
{
	size_t n = value ? remove_value(&route->root, value) : 0;

	route->count -= n;
	return n;
}

void *route_lookup(const struct route *route, const struct addr *addr)
{
	const struct bits bits = bits_of(addr);
	const struct node *node = route->root;
	const unsigned least = addr_is_v4(addr) ? V4_BITS : 0;
	void *best = NULL;

	while (node && bits_common(node->bits, bits) >= node->len) {
		if (node->value && node->len >= least)
			best = node->value;
		if (node->len == BITS)
			break;
		node = node->child[bits_at(bits, node->len)];
	}
	return best;
}

void *route_get(const struct route *route, const struct prefix *prefix)
{
	struct node **up = NULL, **at = NULL;
	/* find() changes nothing. */
	const struct node *node = find((struct route *)route, prefix, &up, &at);

	return node ? node->value : NULL;
}

size_t route_count(const struct route *route)
{
	return route->count;
}

int route_each(const struct route *route,
	int (*fn)(const struct prefix *prefix, void *value, void *arg), void *arg)
{
	struct walk walk;
	const struct node *node;

	walk_init(&walk, route->root);
	while ((node = walk_next(&walk))) {
		struct prefix prefix = {.addr = addr_of(node->bits), .len = node->len};
		int r = node->value ? fn(&prefix, node->value, arg) : 0;

		if (r)
			return r;
	}
	return 0;
}

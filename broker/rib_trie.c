/* SPDX-License-Identifier: MIT */
/* The trie of a routing table. See rib_trie.h.
 *
 * Model: a trie with a stride of one byte and path compression, one for IPv4 and one for IPv6. A
 * node at depth d (bytes) holds the prefixes of 8*d+1 to 8*d+8 bits and is indexed by byte d of an
 * address. As in tree bitmaps (Eatherton, Varghese, Dittia: "Tree Bitmap", 2004) and Poptrie (Asai,
 * Ohara, 2015) children and results are dense arrays addressed by counting bits: `child_map` has a
 * bit for each byte with a child; `leaf_map` a bit where the result differs from that of the byte
 * before it. Prefixes are spread over the bytes they cover inside their own node only, so a change
 * repaints one node. A lookup keeps the last result that it saw on the way down.
 *
 * Invariants: a child is deeper than its parent and its key begins with its parent's; a node has
 * prefixes of its own or at least two children; so there are fewer than twice as many nodes as
 * prefixes. The prefixes of length 0 (IPv6) and 96 (IPv4) are `whole`. A removal
 * needs no memory, so it cannot fail. */
#include "rib_trie.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 128, V4_BITS = 96, BYTES = 16, SLOTS = 256, WORDS = SLOTS / 64, LINE = 64 };

struct rib_trie_node {
	_Alignas(LINE) uint64_t child_map[WORDS];
	uint64_t leaf_map[WORDS];
	struct rib_trie_node *children; /* as many as child_map has bits */
	void **slots;		   /* leaves, then entries (see slots_size), NULL without entries */
	uint64_t key[2];	   /* host order, most significant first; zero behind depth */
	uint8_t child_rank[WORDS]; /* bits in the words before; at most 192 */
	uint8_t leaf_rank[WORDS];
	uint16_t nchildren;
	uint16_t nentries;
	uint16_t room; /* for entries; a power of two or 0 */
	uint8_t depth; /* 0..15 */
};

/* Masks of the first n bytes of a key. */
static const uint64_t first[BYTES + 1][2] = {{0, 0}, {UINT64_MAX << 56, 0}, {UINT64_MAX << 48, 0},
	{UINT64_MAX << 40, 0}, {UINT64_MAX << 32, 0}, {UINT64_MAX << 24, 0}, {UINT64_MAX << 16, 0},
	{UINT64_MAX << 8, 0}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX << 56},
	{UINT64_MAX, UINT64_MAX << 48}, {UINT64_MAX, UINT64_MAX << 40},
	{UINT64_MAX, UINT64_MAX << 32}, {UINT64_MAX, UINT64_MAX << 24},
	{UINT64_MAX, UINT64_MAX << 16}, {UINT64_MAX, UINT64_MAX << 8}, {UINT64_MAX, UINT64_MAX}};

static void key_of(const struct addr *addr, uint64_t key[2])
{
	uint64_t be[2];

	memcpy(be, addr->b, sizeof(be));
	key[0] = be64toh(be[0]);
	key[1] = be64toh(be[1]);
}

static int family(const struct prefix *prefix)
{
	return prefix->len >= V4_BITS && addr_is_v4(&prefix->addr) ? RIB_V4 : RIB_V6;
}

/* IPv4 first, then by address, shorter first. */
static int compare(const struct prefix *a, const struct prefix *b)
{
	int r = family(a) - family(b);

	if (!r)
		r = memcmp(a->addr.b, b->addr.b, BYTES);
	return r ? r : (int)a->len - (int)b->len;
}

/* The node that a prefix belongs to; -1 for the whole address space of its family. */
static int depth_of(const struct prefix *prefix)
{
	return prefix->len == (family(prefix) == RIB_V4 ? V4_BITS : 0) ? -1 : (prefix->len - 1) / 8;
}

/* --- a node's arrays --- */

static size_t capacity(size_t n)
{
	size_t c = n ? 1 : 0;

	while (c < n)
		c *= 2;
	return c;
}

/* n prefixes give at most 2n + 1 runs of equal results. */
static size_t leaves_max(size_t n)
{
	return 2 * n + 1 < SLOTS ? 2 * n + 1 : SLOTS;
}

static struct rib_entry **entries(const struct rib_trie_node *node)
{
	return (struct rib_entry **)(node->slots + leaves_max(node->room));
}

/* Room for n entries; the leaves are not kept. -ENOMEM when it cannot grow; when it cannot shrink
 * it stays as it is, which is no error. */
static int resize_slots(struct rib_trie_node *node, size_t n)
{
	const size_t room = capacity(n);
	void **slots = NULL;

	if (room == node->room)
		return 0;
	if (room) {
		slots = calloc(leaves_max(room) + room, sizeof(slots[0]));
		if (!slots)
			return room > node->room ? -ENOMEM : 0;
		if (node->room)
			memcpy(slots + leaves_max(room), entries(node),
				sizeof(slots[0]) * (n < node->nentries ? n : node->nentries));
	}
	free(node->slots);
	node->slots = slots;
	node->room = (uint16_t)room;
	return 0;
}

static unsigned rank_below(const uint64_t map[WORDS], unsigned byte)
{
	unsigned n = 0;

	for (unsigned w = 0; w < byte / 64; w++)
		n += (unsigned)__builtin_popcountll(map[w]);
	return n + (unsigned)__builtin_popcountll(map[byte / 64] & ((1ULL << byte % 64) - 1));
}

static void set_ranks(const uint64_t map[WORDS], uint8_t rank[WORDS])
{
	for (unsigned w = 0; w < WORDS; w++)
		rank[w] = (uint8_t)rank_below(map, w * 64);
}

/* Computes the leaves from the entries. */
static void paint(struct rib_trie_node *node)
{
	struct rib_route *leaf[SLOTS] = {NULL};
	size_t n = 0;

	memset(node->leaf_map, 0, sizeof(node->leaf_map));
	/* Sorted: a prefix inside another one comes behind it. */
	for (unsigned i = 0; i < node->nentries; i++) {
		const struct rib_entry *e = entries(node)[i];
		const unsigned from = e->prefix.addr.b[node->depth];
		const unsigned covers = 1U << (8 * (node->depth + 1U) - e->prefix.len);

		for (unsigned slot = from; slot < from + covers; slot++)
			leaf[slot] = e->best;
	}
	for (unsigned slot = 0; node->nentries && slot < SLOTS; slot++) {
		if (slot && leaf[slot] == leaf[slot - 1])
			continue;
		node->leaf_map[slot / 64] |= 1ULL << slot % 64;
		node->slots[n++] = leaf[slot];
	}
	set_ranks(node->leaf_map, node->leaf_rank);
}

static struct rib_trie_node *nodes_new(size_t n)
{
	struct rib_trie_node *nodes = aligned_alloc(LINE, n * sizeof(*nodes));

	if (nodes)
		memset(nodes, 0, n * sizeof(*nodes));
	return nodes;
}

static bool has_child(const struct rib_trie_node *node, unsigned byte)
{
	return node->child_map[byte / 64] >> byte % 64 & 1;
}

static struct rib_trie_node *child_at(const struct rib_trie_node *node, unsigned byte)
{
	return &node->children[rank_below(node->child_map, byte)];
}

/* Takes the child over by value. 0 or -ENOMEM. */
static int child_add(struct rib_trie_node *node, unsigned byte, const struct rib_trie_node *child)
{
	const unsigned at = rank_below(node->child_map, byte);
	struct rib_trie_node *to = node->children;

	if (capacity(node->nchildren + 1U) != capacity(node->nchildren)) {
		to = nodes_new(capacity(node->nchildren + 1U));
		if (!to)
			return -ENOMEM;
		if (at)
			memcpy(to, node->children, at * sizeof(*to));
	}
	if (node->nchildren > at)
		memmove(&to[at + 1], &node->children[at], (node->nchildren - at) * sizeof(*to));
	if (to != node->children) {
		free(node->children);
		node->children = to;
	}
	to[at] = *child;
	node->nchildren++;
	node->child_map[byte / 64] |= 1ULL << byte % 64;
	set_ranks(node->child_map, node->child_rank);
	return 0;
}

static void child_drop(struct rib_trie_node *node, unsigned byte)
{
	const unsigned at = rank_below(node->child_map, byte), rest = node->nchildren - at - 1;
	struct rib_trie_node *to = node->children;

	node->nchildren--;
	node->child_map[byte / 64] &= ~(1ULL << byte % 64);
	set_ranks(node->child_map, node->child_rank);
	if (rest)
		memmove(&to[at], &to[at + 1], rest * sizeof(*to));
	if (!node->nchildren) {
		free(to);
		node->children = NULL;
	} else if (capacity(node->nchildren) != capacity(node->nchildren + 1U)) {
		to = nodes_new(capacity(node->nchildren));
		if (!to)
			return; /* the larger one stays */
		memcpy(to, node->children, node->nchildren * sizeof(*to));
		free(node->children);
		node->children = to;
	}
}

/* --- finding --- */

static unsigned byte_at(const uint64_t key[2], unsigned i)
{
	return key[i / 8] >> (56 - i % 8 * 8) & 0xff;
}

/* How many leading bytes are equal, at most `max`. */
static unsigned common_bytes(const uint64_t a[2], const uint64_t b[2], unsigned max)
{
	unsigned n = 0;

	while (n < max && !((a[0] ^ b[0]) & first[n + 1][0]) && !((a[1] ^ b[1]) & first[n + 1][1]))
		n++;
	return n;
}

/* Where the prefix is among the node's entries, or belongs. */
static bool entry_index(
	const struct rib_trie_node *node, const struct prefix *prefix, unsigned *indexp)
{
	unsigned low = 0, high = node->nentries;

	while (low < high) {
		const unsigned middle = (low + high) / 2;
		const int r = compare(&entries(node)[middle]->prefix, prefix);

		if (r == 0) {
			*indexp = middle;
			return true;
		}
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*indexp = low;
	return false;
}

/* The node of exactly this depth and key, and its parent; NULL when there is none. */
static struct rib_trie_node *find_node(const struct rib_trie *trie, const struct prefix *prefix,
	unsigned depth, struct rib_trie_node **parentp)
{
	struct rib_trie_node *node = trie->root[family(prefix)], *parent = NULL;
	uint64_t key[2];

	key_of(&prefix->addr, key);
	while (node) {
		const unsigned byte = byte_at(key, node->depth);

		if (node->depth > depth || common_bytes(key, node->key, node->depth) < node->depth)
			return NULL;
		if (node->depth == depth)
			break;
		parent = node;
		node = has_child(node, byte) ? child_at(node, byte) : NULL;
	}
	*parentp = parent;
	return node;
}

struct rib_entry *rib_trie_find(const struct rib_trie *trie, const struct prefix *prefix)
{
	const int depth = depth_of(prefix);
	struct rib_trie_node *node, *parent;
	unsigned i;

	if (depth < 0)
		return trie->whole[family(prefix)];
	node = find_node(trie, prefix, (unsigned)depth, &parent);
	return node && entry_index(node, prefix, &i) ? entries(node)[i] : NULL;
}

void rib_trie_update(struct rib_trie *trie, struct rib_entry *e)
{
	const int depth = depth_of(&e->prefix);
	struct rib_trie_node *parent;

	if (depth >= 0)
		paint(find_node(trie, &e->prefix, (unsigned)depth, &parent));
}

/* Without -mpopcnt the compiler counts bits by a call; every x86-64 of the last fifteen years has
 * the instruction. (The choice is made before a thread sanitizer could run.) */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__POPCNT__) && \
	!defined(__SANITIZE_THREAD__)
__attribute__((target_clones("popcnt", "default")))
#endif
const struct rib_route *
rib_trie_lookup(const struct rib_trie *trie, const struct addr *addr)
{
	const struct rib_route *best;
	const struct rib_trie_node *node;
	uint64_t key[2];
	int f;

	key_of(addr, key);
	f = key[0] == 0 && key[1] >> 32 == 0xffff ? RIB_V4 : RIB_V6;
	best = trie->whole[f] ? trie->whole[f]->best : NULL;
	for (node = trie->root[f]; node;) {
		const unsigned byte = byte_at(key, node->depth), w = byte / 64;
		const uint64_t bit = 1ULL << byte % 64, below = bit - 1;

		if (((key[0] ^ node->key[0]) & first[node->depth][0]) |
			((key[1] ^ node->key[1]) & first[node->depth][1]))
			break;
		if (node->slots) {
			const uint64_t runs = node->leaf_map[w] & (below | bit);
			const struct rib_route *leaf =
				node->slots[node->leaf_rank[w] +
					    (unsigned)__builtin_popcountll(runs) - 1];

			best = leaf ? leaf : best;
		}
		if (!(node->child_map[w] & bit))
			break;
		node = &node->children[node->child_rank[w] +
				       (unsigned)__builtin_popcountll(node->child_map[w] & below)];
	}
	return best;
}

/* --- changing --- */

/* Puts an empty node of this depth and key where `at` is, above what `at` was. */
static int split(struct rib_trie_node *at, unsigned depth)
{
	struct rib_trie_node above = {.depth = (uint8_t)depth,
		.key = {at->key[0] & first[depth][0], at->key[1] & first[depth][1]}};
	int r = child_add(&above, byte_at(at->key, depth), at);

	if (r == 0)
		*at = above;
	return r;
}

/* Finds or makes the node of a prefix. On failure nodes may be left that tidy() takes away. */
static int make_node(struct rib_trie *trie, const struct prefix *prefix, unsigned depth,
	struct rib_trie_node **nodep)
{
	struct rib_trie_node **root = &trie->root[family(prefix)], *at = *root,
			     fresh = {.depth = (uint8_t)depth};
	uint64_t key[2];
	int r;

	key_of(&prefix->addr, key);
	fresh.key[0] = key[0] & first[depth][0];
	fresh.key[1] = key[1] & first[depth][1];
	if (!at) {
		at = *root = nodes_new(1);
		if (!at)
			return -ENOMEM;
		*at = fresh;
	}
	for (;;) {
		const unsigned reach = at->depth < depth ? at->depth : depth;
		const unsigned common = common_bytes(key, at->key, reach);

		if (common < at->depth) {
			r = split(at, common);
			if (r < 0)
				return r;
		}
		if (at->depth == depth)
			break;
		if (!has_child(at, byte_at(key, at->depth))) {
			r = child_add(at, byte_at(key, at->depth), &fresh);
			if (r < 0)
				return r;
		}
		at = child_at(at, byte_at(key, at->depth));
	}
	*nodep = at;
	return 0;
}

/* Restores the invariant for a node and its parent. */
static void trim(
	struct rib_trie *trie, int f, struct rib_trie_node *node, struct rib_trie_node *parent)
{
	if (node->nentries || node->nchildren > 1)
		return;
	if (node->nchildren == 1) {
		struct rib_trie_node *only = node->children;

		*node = *only;
		free(only);
	} else if (!parent) {
		free(node);
		trie->root[f] = NULL;
	} else {
		child_drop(parent, byte_at(node->key, parent->depth));
		if (parent->nchildren == 1 && !parent->nentries)
			trim(trie, f, parent, NULL);
	}
}

/* A failed change may have left nodes without entries and with fewer than two children. */
static void tidy(struct rib_trie *trie, const struct prefix *prefix)
{
	struct rib_trie_node *node, *parent;

	for (int depth = BYTES - 1; depth >= 0; depth--) {
		node = find_node(trie, prefix, (unsigned)depth, &parent);
		if (node)
			trim(trie, family(prefix), node, parent);
	}
}

int rib_trie_insert(struct rib_trie *trie, struct rib_entry *e)
{
	const int depth = depth_of(&e->prefix);
	struct rib_trie_node *node;
	unsigned i;
	int r;

	if (depth < 0) {
		trie->whole[family(&e->prefix)] = e;
		trie->count++;
		return 0;
	}
	r = make_node(trie, &e->prefix, (unsigned)depth, &node);
	if (r == 0)
		r = resize_slots(node, node->nentries + 1U);
	if (r < 0) {
		tidy(trie, &e->prefix);
		return r;
	}
	entry_index(node, &e->prefix, &i);
	node->nentries++;
	memmove(entries(node) + i + 1, entries(node) + i,
		(node->nentries - 1U - i) * sizeof(node->slots[0]));
	entries(node)[i] = e;
	paint(node);
	trie->count++;
	return 0;
}

void rib_trie_remove(struct rib_trie *trie, struct rib_entry *e)
{
	const int depth = depth_of(&e->prefix), f = family(&e->prefix);
	struct rib_trie_node *node, *parent = NULL;
	unsigned i;

	trie->count--;
	if (depth < 0) {
		trie->whole[f] = NULL;
		return;
	}
	node = find_node(trie, &e->prefix, (unsigned)depth, &parent);
	entry_index(node, &e->prefix, &i);
	memmove(entries(node) + i, entries(node) + i + 1,
		(node->nentries - 1U - i) * sizeof(node->slots[0]));
	node->nentries--;
	resize_slots(node, node->nentries); /* cannot fail: it does not grow */
	paint(node);
	trim(trie, f, node, parent);
}

/* --- the whole table --- */

struct each {
	const struct prefix *after; /* NULL: the start */
	int (*fn)(struct rib_entry *entry, void *arg);
	void *arg;
};

static int visit(const struct each *each, struct rib_entry *e)
{
	return each->after && compare(&e->prefix, each->after) <= 0 ? 0 : each->fn(e, each->arg);
}

/* Does everything below the node come before `after`? */
static bool before(const struct rib_trie_node *node, const struct prefix *after)
{
	uint64_t key[2];

	if (!after)
		return false;
	key_of(&after->addr, key);
	for (int i = 0; i < 2; i++) {
		const uint64_t last = node->key[i] | ~first[node->depth][i];

		if (last != key[i])
			return last < key[i];
	}
	return false;
}

/* At most 16 deep. */
static int walk(const struct rib_trie_node *node, const struct each *each)
{
	unsigned i = 0;
	int r = 0;

	if (before(node, each->after))
		return 0;
	for (unsigned byte = 0; !r && byte < SLOTS; byte++) {
		for (; !r && i < node->nentries &&
			entries(node)[i]->prefix.addr.b[node->depth] == byte;
			i++)
			r = visit(each, entries(node)[i]);
		if (!r && has_child(node, byte))
			r = walk(child_at(node, byte), each);
	}
	return r;
}

int rib_trie_each(const struct rib_trie *trie, const struct prefix *after,
	int (*fn)(struct rib_entry *entry, void *arg), void *arg)
{
	struct each each = {.after = after, .fn = fn, .arg = arg};
	int r = 0;

	for (int f = after ? family(after) : RIB_V4; !r && f < RIB_FAMILIES; f++) {
		if (after && f != family(after))
			each.after = NULL;
		if (trie->whole[f])
			r = visit(&each, trie->whole[f]);
		if (!r && trie->root[f])
			r = walk(trie->root[f], &each);
	}
	return r;
}

static void node_deinit(struct rib_trie_node *node, void (*fn)(struct rib_entry *entry))
{
	for (unsigned i = 0; i < node->nentries; i++)
		fn(entries(node)[i]);
	for (unsigned i = 0; i < node->nchildren; i++)
		node_deinit(&node->children[i], fn);
	free(node->slots);
	free(node->children);
}

void rib_trie_deinit(struct rib_trie *trie, void (*fn)(struct rib_entry *entry))
{
	for (int f = 0; f < RIB_FAMILIES; f++) {
		if (trie->whole[f])
			fn(trie->whole[f]);
		if (trie->root[f])
			node_deinit(trie->root[f], fn);
		free(trie->root[f]);
	}
}

/* SPDX-License-Identifier: MIT */
/* Longest-prefix match. See rib_fib.h.
 *
 * Model: a trie with a stride of 6 bits made of cells of 32 bytes. The region of a cell is what
 * begins with the bits above it, `depth` of them; it stands for the prefixes longer than that:
 *
 *   EMPTY  none
 *   LEAF   exactly one, compared at once however long it is
 *   INNER  several; `depth` bits are equal in all and the next 6 tell them apart. Prefixes of up to
 *          6 more bits are spread over the 64 values and kept as runs of equal results (`runs` has
 *          a bit where a run begins), longer ones are in the cells of their values (`children` has
 *          their bits). Both are dense arrays in one block, addressed by counting bits, as in tree
 *          bitmaps (Eatherton, Varghese, Dittia, 2004) and Poptrie (Asai, Ohara, 2015).
 *   SKIP   leads to an INNER that is deeper than the region: the bits between are compared
 *
 * A lookup keeps the last result that it saw on its way. What matters for its time is how few
 * cache lines and pages it touches: so cells are small, lie in chunks of their own, and a lone
 * prefix needs no nodes. A change rebuilds the one cell whose shape it changes and takes over what
 * is below; no prefix is spread further than one cell, so no change is large. */
#include "rib_fib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY, LEAF, INNER, SKIP };

enum {
	STRIDE = 6,
	SLOTS = 64,
	RUNS_PER_CELL = sizeof(struct rib_cell) / sizeof(void *),
	ROOM_MAX = SLOTS + SLOTS / RUNS_PER_CELL,
	CHUNK_MIN = 8, /* cells; each chunk is as large as all before it, up to: */
	CHUNK_MAX = 2048
};

/* --- blocks of cells --- */

struct rib_chunk {
	struct rib_chunk *next;
	size_t size, used; /* cells */
	size_t unused;
	struct rib_cell cells[];
};

_Static_assert(sizeof(struct rib_chunk) == sizeof(struct rib_cell), "cells stay aligned");

/* Sizes of blocks, in cells. */
static const uint8_t sizes[RIB_FIB_CLASSES] = {
	1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 72, 80};

_Static_assert(ROOM_MAX == 80, "the largest block");

static unsigned class_of(unsigned n)
{
	unsigned c = 0;

	while (sizes[c] < n)
		c++;
	return c;
}

/* Free blocks are linked by their first cell. */
static void block_free(struct rib_fib *fib, struct rib_cell *block, unsigned room)
{
	const unsigned c = class_of(room);

	if (!room)
		return;
	block->cells = fib->unused[c];
	fib->unused[c] = block;
}

static struct rib_chunk *chunk_new(struct rib_fib *fib, size_t least)
{
	size_t n = CHUNK_MIN;
	struct rib_chunk *chunk;

	for (chunk = fib->chunks; chunk && n < CHUNK_MAX; chunk = chunk->next)
		n += chunk->size;
	n = n < CHUNK_MAX ? n : CHUNK_MAX;
	n = n < least ? least : n;
	/* With the head, which is as large as a cell, whole cache lines. */
	n |= 1;
	chunk = aligned_alloc(2 * sizeof(struct rib_cell), (n + 1) * sizeof(struct rib_cell));
	if (!chunk)
		return NULL;
	chunk->size = n;
	chunk->used = 0;
	chunk->next = fib->chunks;
	fib->chunks = chunk;
	return chunk;
}

/* What is left of the newest chunk becomes free blocks. */
static void chunk_recycle(struct rib_fib *fib)
{
	struct rib_chunk *chunk = fib->chunks;

	for (unsigned c = RIB_FIB_CLASSES; chunk && c > 0; c--)
		while (chunk->size - chunk->used >= sizes[c - 1]) {
			block_free(fib, &chunk->cells[chunk->used], sizes[c - 1]);
			chunk->used += sizes[c - 1];
		}
}

/* A block with room for n cells, n > 0. */
static struct rib_cell *block_new(struct rib_fib *fib, unsigned n, uint8_t *roomp)
{
	const unsigned c = class_of(n);
	struct rib_cell *block = fib->unused[c];
	struct rib_chunk *chunk = fib->chunks;

	*roomp = sizes[c];
	if (block) {
		fib->unused[c] = block->cells;
		return block;
	}
	if (!chunk || chunk->size - chunk->used < sizes[c]) {
		chunk_recycle(fib);
		chunk = chunk_new(fib, sizes[c]);
		if (!chunk)
			return NULL;
	}
	block = &chunk->cells[chunk->used];
	chunk->used += sizes[c];
	return block;
}

/* --- cells --- */

static unsigned count(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

/* Bits `depth` to `depth` + 5 of a key, with zeroes behind its end. */
static inline unsigned six(const uint64_t key[2], unsigned depth)
{
	if (depth <= 64 - STRIDE)
		return key[0] >> (64 - STRIDE - depth) & (SLOTS - 1);
	if (depth >= 64)
		return (unsigned)(key[1] << (depth - 64) >> (64 - STRIDE));
	return (unsigned)((key[0] << depth | key[1] >> (64 - depth)) >> (64 - STRIDE));
}

/* Are the first `len` bits equal, 0 < len <= 128? */
static inline bool match(const uint64_t a[2], const uint64_t b[2], unsigned len)
{
	if (len <= 64)
		return (a[0] ^ b[0]) >> (64 - len) == 0;
	return a[0] == b[0] && (a[1] ^ b[1]) >> (RIB_BITS - len) == 0;
}

static const struct rib_route **runs_of(const struct rib_cell *inner)
{
	return (const struct rib_route **)(void *)(inner->cells + count(inner->children));
}

static unsigned room_for(unsigned children, unsigned runs)
{
	return children + (runs + RUNS_PER_CELL - 1) / RUNS_PER_CELL;
}

/* Every x86-64 of the last fifteen years counts bits by an instruction, but compilers have to be
 * told. clang 14 does not define a function of another file that way, and what chooses between the
 * two runs before the thread sanitizer is ready. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__POPCNT__) && \
	!defined(__clang__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("popcnt", "default")))
#endif
const struct rib_route *
rib_fib_lookup(const struct rib_fib *fib, const struct addr *addr)
{
	const struct rib_route *best;
	const struct rib_cell *cell;
	uint64_t key[2], bit;
	int f;

	f = rib_key(addr, key);
	best = fib->whole[f];
	for (cell = &fib->root[f];;) {
		if (cell->kind == INNER) {
			bit = 1ULL << six(key, cell->depth);
			if (cell->runs) {
				const struct rib_route *run = runs_of(
					cell)[__builtin_popcountll(cell->runs & (bit | (bit - 1))) -
					      1];

				best = run ? run : best;
			}
			if (!(cell->children & bit))
				return best;
			cell = &cell->cells[__builtin_popcountll(cell->children & (bit - 1))];
		} else if (cell->kind == LEAF) {
			return match(key, cell->key, cell->depth) ? cell->route : best;
		} else if (cell->kind == SKIP && match(key, cell->key, cell->depth)) {
			cell = cell->cells;
		} else {
			return best;
		}
	}
}

/* Frees what is below a cell, except the block `keep`. */
static void clear(struct rib_fib *fib, struct rib_cell *cell, const struct rib_cell *keep)
{
	if (cell->kind == SKIP) {
		clear(fib, cell->cells, keep);
		block_free(fib, cell->cells, cell->room);
	} else if (cell->kind == INNER && cell->cells != keep) {
		for (unsigned i = 0; i < count(cell->children); i++)
			clear(fib, &cell->cells[i], keep);
		block_free(fib, cell->cells, cell->room);
	}
	cell->kind = EMPTY;
}

/* Gives an INNER a block for so many cells, with its children copied; its runs are lost. 0 or
 * -ENOMEM. */
static int move_block(struct rib_fib *fib, struct rib_cell *inner, unsigned need)
{
	struct rib_cell *old = inner->cells;
	const uint8_t had = inner->room;
	uint8_t room;
	struct rib_cell *block = block_new(fib, need, &room);

	if (!block)
		return -ENOMEM;
	if (inner->children)
		memcpy(block, old, count(inner->children) * sizeof(*block));
	inner->cells = block;
	inner->room = room;
	block_free(fib, old, had);
	return 0;
}

/* The results of 64 values as runs. Returns how many. */
static unsigned compress(const struct rib_route *const slot[SLOTS], uint64_t *runsp,
	const struct rib_route *run[SLOTS])
{
	unsigned n = 0;

	*runsp = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		if (i == 0 || slot[i] != slot[i - 1]) {
			*runsp |= 1ULL << i;
			run[n++] = slot[i];
		}
	if (n == 1 && !run[0])
		*runsp = n = 0;
	return n;
}

static int set_runs(
	struct rib_fib *fib, struct rib_cell *inner, const struct rib_route *const slot[SLOTS])
{
	const struct rib_route *run[SLOTS];
	uint64_t runs;
	const unsigned n = compress(slot, &runs, run), need = room_for(count(inner->children), n);

	if (need > inner->room && move_block(fib, inner, need) < 0)
		return -ENOMEM;
	inner->runs = runs;
	if (n)
		memcpy(runs_of(inner), run, n * sizeof(run[0]));
	return 0;
}

static int child_put(
	struct rib_fib *fib, struct rib_cell *inner, unsigned slot, const struct rib_cell *child)
{
	const unsigned children = count(inner->children), runs = count(inner->runs);
	const unsigned at = count(inner->children & ((1ULL << slot) - 1));
	const struct rib_route *run[SLOTS];
	const unsigned need = room_for(children + 1, runs);

	if (runs)
		memcpy(run, runs_of(inner), runs * sizeof(run[0]));
	if (need > inner->room && move_block(fib, inner, need) < 0)
		return -ENOMEM;
	memmove(&inner->cells[at + 1], &inner->cells[at], (children - at) * sizeof(*child));
	inner->cells[at] = *child;
	inner->children |= 1ULL << slot;
	if (runs)
		memcpy(runs_of(inner), run, runs * sizeof(run[0]));
	return 0;
}

static void child_drop(struct rib_fib *fib, struct rib_cell *inner, unsigned slot)
{
	const unsigned children = count(inner->children), runs = count(inner->runs);
	const unsigned at = count(inner->children & ((1ULL << slot) - 1));
	const struct rib_route *run[SLOTS];
	const unsigned need = room_for(children - 1, runs);

	if (runs)
		memcpy(run, runs_of(inner), runs * sizeof(run[0]));
	memmove(&inner->cells[at], &inner->cells[at + 1],
		(children - at - 1) * sizeof(inner->cells[0]));
	inner->children &= ~(1ULL << slot);
	/* Half empty: a smaller block, when there is one. */
	if (need && need <= inner->room / 2)
		(void)move_block(fib, inner, need);
	if (runs)
		memcpy(runs_of(inner), run, runs * sizeof(run[0]));
}

/* --- from the tree --- */

/* The tree's node at the top of a region: what is below it, and itself when it is longer than
 * `depth`, is what the region has. NULL: nothing. */
static const struct rib_node *top(
	const struct rib_node *node, const uint64_t key[2], unsigned depth)
{
	while (node && node->len < depth) {
		if (rib_common(node->key, key) < node->len)
			return NULL;
		node = node->child[key[node->len / 64] >> (63 - node->len % 64) & 1];
	}
	if (!node || rib_common(node->key, key) < depth)
		return NULL;
	if (node->len == depth && !(node->child[0] && node->child[1]))
		return node->child[0] ? node->child[0] : node->child[1];
	return node;
}

/* What kind of cell a region wants; *depthp of an INNER. */
static int kind_of(const struct rib_node *node, unsigned region, unsigned *depthp)
{
	if (!node)
		return EMPTY;
	if (!node->child[0] && !node->child[1])
		return LEAF;
	*depthp = node->best && node->len > region ? node->len - 1U : node->len;
	*depthp -= *depthp % STRIDE;
	return INNER;
}

static struct rib_cell leaf_cell(const struct rib_node *node)
{
	return (struct rib_cell){.kind = LEAF,
		.key = {node->key[0], node->key[1]},
		.depth = node->len,
		.route = node->best};
}

/* Spreads the prefixes of an INNER over their values; those inside others come later. */
static void paint(const struct rib_node *node, unsigned depth, const struct rib_route *slot[SLOTS])
{
	if (!node || node->len > depth + STRIDE)
		return;
	if (node->best && node->len > depth) {
		const unsigned from = six(node->key, depth);
		const unsigned covers = 1U << (depth + STRIDE - node->len);

		for (unsigned i = from; i < from + covers; i++)
			slot[i] = node->best;
	}
	paint(node->child[0], depth, slot);
	paint(node->child[1], depth, slot);
}

/* An INNER that is the same before and after. */
struct reuse {
	struct rib_cell inner; /* kind EMPTY: none */
	uint64_t key[2];       /* of its region */
	bool used;
};

struct build {
	struct rib_fib *fib;
	struct reuse *reuse;
	unsigned depth; /* of the INNER being built */
	uint64_t children;
	struct rib_cell child[SLOTS];
	unsigned n;
};

static int build(struct rib_fib *fib, const struct rib_node *node, unsigned region,
	struct reuse *reuse, struct rib_cell *cell);

static int build_children(struct build *b, const struct rib_node *node)
{
	const struct rib_node *child;
	int r;

	if (!node)
		return 0;
	if (node->len < b->depth + STRIDE) {
		r = build_children(b, node->child[0]);
		return r < 0 ? r : build_children(b, node->child[1]);
	}
	child = top(node, node->key, b->depth + STRIDE);
	if (!child)
		return 0;
	r = build(b->fib, child, b->depth + STRIDE, b->reuse, &b->child[b->n]);
	if (r < 0)
		return r;
	b->n++;
	b->children |= 1ULL << six(node->key, b->depth);
	return 0;
}

static int build_inner(struct rib_fib *fib, const struct rib_node *node, unsigned depth,
	struct reuse *reuse, struct rib_cell *inner)
{
	struct build b = {.fib = fib, .reuse = reuse, .depth = depth};
	const struct rib_route *slot[SLOTS] = {NULL};
	int r = build_children(&b, node);

	*inner = (struct rib_cell){.kind = INNER, .depth = (uint8_t)depth};
	if (r == 0 && b.n)
		r = move_block(fib, inner, b.n);
	if (r == 0) {
		if (b.n)
			memcpy(inner->cells, b.child, b.n * sizeof(b.child[0]));
		inner->children = b.children;
		paint(node, depth, slot);
		r = set_runs(fib, inner, slot);
	}
	if (r < 0) {
		for (unsigned i = 0; i < b.n; i++)
			clear(fib, &b.child[i], reuse->used ? reuse->inner.cells : NULL);
		block_free(fib, inner->cells, inner->room);
	}
	return r;
}

/* Builds the cell of a region from the tree, with everything below. 0 or -ENOMEM. */
static int build(struct rib_fib *fib, const struct rib_node *node, unsigned region,
	struct reuse *reuse, struct rib_cell *cell)
{
	struct rib_cell inner, skip = {.kind = SKIP};
	unsigned depth = region;
	int r = 0;

	if (kind_of(node, region, &depth) == LEAF) {
		*cell = leaf_cell(node);
		return 0;
	}
	if (reuse->inner.kind == INNER && reuse->inner.depth == depth &&
		rib_common(reuse->key, node->key) >= depth) {
		inner = reuse->inner;
		reuse->used = true;
	} else {
		r = build_inner(fib, node, depth, reuse, &inner);
	}
	if (r < 0)
		return r;
	if (depth == region) {
		*cell = inner;
		return 0;
	}
	skip.cells = block_new(fib, 1, &skip.room);
	if (!skip.cells) {
		clear(fib, &inner, reuse->used ? reuse->inner.cells : NULL);
		return -ENOMEM;
	}
	skip.depth = (uint8_t)depth;
	memcpy(skip.key, node->key, sizeof(skip.key));
	*skip.cells = inner;
	*cell = skip;
	return 0;
}

/* --- changes --- */

struct change {
	struct rib_fib *fib;
	uint64_t key[2]; /* of the prefix that changed */
	unsigned len;
};

static int fix(
	struct change *ch, struct rib_cell *cell, const struct rib_node *node, unsigned region);

/* The cell keeps its shape. Only a new prefix can fail: nothing else needs more runs or cells. */
static int fix_inner(struct change *ch, struct rib_cell *inner, const struct rib_node *node)
{
	const unsigned below = inner->depth + STRIDE, slot = six(ch->key, inner->depth);
	const struct rib_route *slots[SLOTS] = {NULL};
	struct rib_cell fresh = {.kind = EMPTY}, *child = &fresh;
	int r;

	if (ch->len <= below) {
		paint(node, inner->depth, slots);
		return set_runs(ch->fib, inner, slots);
	}
	if (inner->children >> slot & 1)
		child = &inner->cells[count(inner->children & ((1ULL << slot) - 1))];
	r = fix(ch, child, top(node, ch->key, below), below);
	if (r < 0)
		return r;
	if (child == &fresh && fresh.kind != EMPTY) {
		r = child_put(ch->fib, inner, slot, &fresh);
		if (r < 0)
			clear(ch->fib, &fresh, NULL);
	} else if (child != &fresh && child->kind == EMPTY) {
		child_drop(ch->fib, inner, slot);
	}
	return r;
}

/* What of the old cell stays as it is: its INNER when the new one is above it, or the only one
 * below it when that comes up. Not when the change is inside of it, which it can be when an earlier
 * one had no memory. */
static struct reuse reuse_of(const struct change *ch, const struct rib_cell *cell,
	const struct rib_cell *inner, unsigned depth, const struct rib_node *node)
{
	struct reuse reuse = {.inner = {.kind = EMPTY}};
	const struct rib_cell *only = NULL;

	if (inner && inner->depth > depth) {
		only = inner;
		memcpy(reuse.key, cell->key, sizeof(reuse.key));
	} else if (inner && count(inner->children) == 1) {
		only = inner->cells->kind == SKIP ? inner->cells->cells : inner->cells;
		memcpy(reuse.key, node->key, sizeof(reuse.key));
	}
	if (only && only->kind == INNER && only->depth >= depth &&
		(ch->len <= only->depth || rib_common(ch->key, reuse.key) < only->depth))
		reuse.inner = *only;
	return reuse;
}

/* Makes the cell of a region what the tree has there now. */
static int fix(
	struct change *ch, struct rib_cell *cell, const struct rib_node *node, unsigned region)
{
	struct rib_cell *inner = cell->kind == SKIP    ? cell->cells
				 : cell->kind == INNER ? cell
						       : NULL;
	unsigned depth = 0;
	const int kind = kind_of(node, region, &depth);
	struct rib_cell fresh = {.kind = EMPTY};
	struct reuse reuse;
	int r = 0;

	if (kind == INNER && inner && inner->depth == depth)
		return fix_inner(ch, inner, node);
	reuse = reuse_of(ch, cell, kind == INNER ? inner : NULL, depth, node);
	if (kind != EMPTY)
		r = build(ch->fib, node, region, &reuse, &fresh);
	if (r < 0) /* it can stay as it is: an INNER with less in it than one needs */
		return inner && inner->depth <= depth ? fix_inner(ch, inner, node) : r;
	clear(ch->fib, cell, reuse.used ? reuse.inner.cells : NULL);
	*cell = fresh;
	return 0;
}

static int change(struct rib_fib *fib, const struct rib_tree *tree, const struct prefix *prefix,
	const struct rib_route *best)
{
	struct change ch = {.fib = fib};
	const int f = rib_prefix_key(prefix, ch.key, &ch.len);

	if (ch.len == 0) {
		fib->whole[f] = best;
		return 0;
	}
	return fix(&ch, &fib->root[f], top(tree->root[f], ch.key, 0), 0);
}

int rib_fib_set(struct rib_fib *fib, const struct rib_tree *tree, const struct prefix *prefix)
{
	return change(fib, tree, prefix, rib_tree_find(tree, prefix)->best);
}

void rib_fib_removed(struct rib_fib *fib, const struct rib_tree *tree, const struct prefix *prefix)
{
	(void)change(fib, tree, prefix, NULL);
}

void rib_fib_deinit(struct rib_fib *fib)
{
	while (fib->chunks) {
		struct rib_chunk *chunk = fib->chunks;

		fib->chunks = chunk->next;
		free(chunk);
	}
}

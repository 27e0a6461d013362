/* SPDX-License-Identifier: MIT */
/* The prefixes of a routing table, sorted. See rib_tree.h. */
#include "rib_tree.h"

#include <errno.h>
#include <stdlib.h>

int rib_prefix_key(const struct prefix *prefix, uint64_t key[2], unsigned *lenp)
{
	uint64_t be[2];

	*lenp = prefix->len;
	if (prefix->len >= RIB_V4_BITS && rib_key(&prefix->addr, key) == RIB_V4) {
		*lenp -= RIB_V4_BITS;
		return RIB_V4;
	}
	/* A short prefix that begins like IPv4 addresses do is still one of IPv6. */
	memcpy(be, prefix->addr.b, sizeof(be));
	key[0] = be64toh(be[0]);
	key[1] = be64toh(be[1]);
	return RIB_V6;
}

unsigned rib_common(const uint64_t a[2], const uint64_t b[2])
{
	if (a[0] != b[0])
		return (unsigned)__builtin_clzll(a[0] ^ b[0]);
	if (a[1] != b[1])
		return 64 + (unsigned)__builtin_clzll(a[1] ^ b[1]);
	return RIB_BITS;
}

/* Bit `i` from the left, i < 128. */
static unsigned bit_at(const uint64_t key[2], unsigned i)
{
	return key[i / 64] >> (63 - i % 64) & 1;
}

static void mask(uint64_t key[2], unsigned len)
{
	if (len < 64) {
		key[0] &= len ? UINT64_MAX << (64 - len) : 0;
		key[1] = 0;
	} else if (len < RIB_BITS) {
		key[1] &= len > 64 ? UINT64_MAX << (RIB_BITS - len) : 0;
	}
}

static struct rib_node *node_new(const uint64_t key[2], unsigned len, struct rib_route *best)
{
	struct rib_node *node = calloc(1, sizeof(*node));

	if (node) {
		memcpy(node->key, key, sizeof(node->key));
		mask(node->key, len);
		node->len = (uint8_t)len;
		node->best = best;
	}
	return node;
}

/* Where the node of a prefix is linked in, and its parent (NULL: none); NULL when there is none. */
static struct rib_node **find(
	struct rib_tree *tree, const struct prefix *prefix, struct rib_node ***parentp)
{
	struct rib_node **at, **parent = NULL;
	uint64_t key[2];
	unsigned len;

	at = &tree->root[rib_prefix_key(prefix, key, &len)];
	while (*at && (*at)->len < len && rib_common((*at)->key, key) >= (*at)->len) {
		parent = at;
		at = &(*at)->child[bit_at(key, (*at)->len)];
	}
	if (!*at || (*at)->len != len || rib_common((*at)->key, key) < len)
		return NULL;
	*parentp = parent;
	return at;
}

struct rib_node *rib_tree_find(const struct rib_tree *tree, const struct prefix *prefix)
{
	struct rib_node **parent;
	/* find() changes nothing. */
	struct rib_node **at = find((struct rib_tree *)tree, prefix, &parent);

	return at && (*at)->best ? *at : NULL;
}

int rib_tree_insert(struct rib_tree *tree, struct rib_route *first)
{
	struct rib_node **at, *node, *fresh, *fork;
	unsigned common = 0, len;
	uint64_t key[2];

	at = &tree->root[rib_prefix_key(&first->prefix, key, &len)];
	while ((node = *at)) {
		common = rib_common(node->key, key);
		if (common < node->len || len <= node->len)
			break;
		at = &node->child[bit_at(key, node->len)];
	}
	if (node && node->len == len && common >= len) {
		node->best = first; /* it was a fork */
		tree->count++;
		return 0;
	}
	fresh = node_new(key, len, first);
	if (!fresh)
		return -ENOMEM;
	if (!node) {
		*at = fresh;
	} else if (common >= len) {
		/* The new prefix contains the node. */
		fresh->child[bit_at(node->key, len)] = node;
		*at = fresh;
	} else {
		/* They part at bit `common`. */
		fork = node_new(key, common, NULL);
		if (!fork) {
			free(fresh);
			return -ENOMEM;
		}
		fork->child[bit_at(key, common)] = fresh;
		fork->child[bit_at(node->key, common)] = node;
		*at = fork;
	}
	tree->count++;
	return 0;
}

/* Takes a node out that has neither candidates nor two children. */
static void trim(struct rib_node **at)
{
	struct rib_node *node = *at;

	if (node->best || (node->child[0] && node->child[1]))
		return;
	*at = node->child[0] ? node->child[0] : node->child[1];
	free(node);
}

void rib_tree_remove(struct rib_tree *tree, const struct prefix *prefix)
{
	struct rib_node **parent, **at = find(tree, prefix, &parent);

	(*at)->best = NULL;
	tree->count--;
	trim(at);
	if (parent)
		trim(parent);
}

/* --- the whole tree --- */

struct each {
	const uint64_t *after; /* NULL: everything */
	unsigned after_len;
	int (*fn)(const struct rib_route *best, void *arg);
	void *arg;
};

/* Is everything below the node, and itself, before or at `after`? */
static bool is_before(const struct rib_node *node, const struct each *each)
{
	unsigned common;

	if (!each->after)
		return false;
	common = rib_common(node->key, each->after);
	return common < node->len && common < RIB_BITS &&
	       bit_at(node->key, common) < bit_at(each->after, common);
}

/* Is the node's own prefix behind `after`? */
static bool is_behind(const struct rib_node *node, const struct each *each)
{
	if (!each->after)
		return true;
	if (node->key[0] != each->after[0])
		return node->key[0] > each->after[0];
	if (node->key[1] != each->after[1])
		return node->key[1] > each->after[1];
	return node->len > each->after_len;
}

/* At most 129 deep. */
static int walk(const struct rib_node *node, const struct each *each)
{
	int r = 0;

	if (!node || is_before(node, each))
		return 0;
	if (node->best && is_behind(node, each))
		r = each->fn(node->best, each->arg);
	for (int i = 0; i < 2 && !r; i++)
		r = walk(node->child[i], each);
	return r;
}

int rib_tree_each(const struct rib_tree *tree, const struct prefix *after,
	int (*fn)(const struct rib_route *best, void *arg), void *arg)
{
	struct each each = {.fn = fn, .arg = arg};
	uint64_t key[2];
	int r = 0, f = RIB_V4;

	if (after) {
		f = rib_prefix_key(after, key, &each.after_len);
		each.after = key;
	}
	for (; !r && f < RIB_FAMILIES; f++) {
		r = walk(tree->root[f], &each);
		each.after = NULL;
	}
	return r;
}

/* At most 129 deep. */
static void free_below(struct rib_node *node, void (*fn)(struct rib_route *candidates))
{
	if (!node)
		return;
	free_below(node->child[0], fn);
	free_below(node->child[1], fn);
	if (node->best)
		fn(node->best);
	free(node);
}

void rib_tree_deinit(struct rib_tree *tree, void (*fn)(struct rib_route *candidates))
{
	for (int f = 0; f < RIB_FAMILIES; f++)
		free_below(tree->root[f], fn);
}

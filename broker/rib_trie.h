/* SPDX-License-Identifier: MIT */
/* The trie of a routing table: prefixes and longest-prefix match. For rib.c, for no one else. */
#ifndef PERSONA_BROKER_RIB_TRIE_H
#define PERSONA_BROKER_RIB_TRIE_H

#include "rib.h"

/* One prefix and its candidates. */
struct rib_entry {
	struct prefix prefix; /* masked */
	struct rib_route *best;
};

struct rib_trie_node;

enum { RIB_V4, RIB_V6, RIB_FAMILIES };

/* All zero: empty. */
struct rib_trie {
	struct rib_trie_node *root[RIB_FAMILIES];
	struct rib_entry *whole[RIB_FAMILIES]; /* 0.0.0.0/0 and ::/0 */
	size_t count;
};

/* The best route of the longest prefix that contains the address, or NULL. */
const struct rib_route *rib_trie_lookup(const struct rib_trie *trie, const struct addr *addr);
/* The entry of exactly this masked prefix, or NULL. */
struct rib_entry *rib_trie_find(const struct rib_trie *trie, const struct prefix *prefix);
/* Adds an entry with its first route; its prefix must not be there. 0 or -ENOMEM. */
int rib_trie_insert(struct rib_trie *trie, struct rib_entry *entry);
/* Takes it out; it is the caller's to free. Cannot fail. */
void rib_trie_remove(struct rib_trie *trie, struct rib_entry *entry);
/* entry->best changed. */
void rib_trie_update(struct rib_trie *trie, struct rib_entry *entry);
/* As rib_each(). */
int rib_trie_each(const struct rib_trie *trie, const struct prefix *after,
	int (*fn)(struct rib_entry *entry, void *arg), void *arg);
/* Frees the nodes and calls fn for each entry. */
void rib_trie_deinit(struct rib_trie *trie, void (*fn)(struct rib_entry *entry));

#endif

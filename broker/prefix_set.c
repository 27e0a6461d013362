/* SPDX-License-Identifier: MIT */
/* Prefixes and their owners. See prefix_set.h. */
#include "prefix_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV
#include <uthash.h>

enum { KEY = sizeof(struct addr) + 1, BITS = 128 };

_Static_assert(sizeof(struct prefix) == KEY, "a masked prefix is its own key");

struct prefix_set {
	struct prefix prefix; /* masked */
	size_t owner;
	UT_hash_handle hh;
};

static struct prefix_set *find(const struct prefix_set *set, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	struct prefix_set *found;

	prefix_mask(&masked);
	HASH_FIND(hh, set, &masked, KEY, found);
	return found;
}

int prefix_set_add(struct prefix_set **setp, const struct prefix *prefix, size_t owner)
{
	struct prefix_set *one;

	if (prefix->len > BITS)
		return -EINVAL;
	one = find(*setp, prefix);
	if (one)
		return one->owner == owner ? 0 : -EEXIST;
	one = calloc(1, sizeof(*one));
	if (!one)
		return -ENOMEM;
	one->prefix = *prefix;
	prefix_mask(&one->prefix);
	one->owner = owner;
	HASH_ADD(hh, *setp, prefix, KEY, one);
	if (!one->hh.tbl) {
		free(one);
		return -ENOMEM;
	}
	return 0;
}

bool prefix_set_has(const struct prefix_set *set, const struct prefix *prefix, size_t owner)
{
	const struct prefix_set *one = prefix->len > BITS ? NULL : find(set, prefix);

	return one && one->owner == owner;
}

void prefix_set_free(struct prefix_set *set)
{
	struct prefix_set *one, *next;

	HASH_ITER(hh, set, one, next)
	{
		HASH_DEL(set, one);
		free(one);
	}
}

/* SPDX-License-Identifier: MIT */
/* Path MTUs. See ip_pmtu.h. A hash table (uthash; SipHash with a random key, because peers can
 * choose destinations) whose order of insertion is the order of age. */
#define HASH_NONFATAL_OOM 1
/* Every function that touches the table has `tab` in scope. */
#define HASH_FUNCTION(ptr, len, hashv) ((hashv) = pmtu_hash(tab, ptr, len))
#include "ip_pmtu.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "ip.h"

static const uint64_t lifetime_ns = 600 * UINT64_C(1000000000); /* RFC 1191, section 6.3 */

struct entry {
	struct addr dst;
	struct ip_pmtu_value value;
	uint64_t expires_ns;
	UT_hash_handle hh;
};

struct ip_pmtu {
	struct entry *entries;
	unsigned char key[crypto_shorthash_KEYBYTES];
};

static unsigned pmtu_hash(const struct ip_pmtu *tab, const void *p, size_t len)
{
	unsigned char out[crypto_shorthash_BYTES];
	unsigned v;

	crypto_shorthash(out, p, len, tab->key);
	memcpy(&v, out, sizeof(v));
	return v;
}

int ip_pmtu_new(struct ip_pmtu **tabp)
{
	struct ip_pmtu *tab = calloc(1, sizeof(*tab));

	if (!tab)
		return -ENOMEM;
	crypto_shorthash_keygen(tab->key);
	*tabp = tab;
	return 0;
}

static void drop(struct ip_pmtu *tab, struct entry *e)
{
	HASH_DEL(tab->entries, e);
	free(e);
}

void ip_pmtu_free(struct ip_pmtu *tab)
{
	while (tab && tab->entries)
		drop(tab, tab->entries);
	free(tab);
}

static struct entry *find(const struct ip_pmtu *tab, const struct addr *dst)
{
	struct entry *e;

	HASH_FIND(hh, tab->entries, dst, sizeof(*dst), e);
	return e;
}

bool ip_pmtu_find(const struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns,
	struct ip_pmtu_value *valuep)
{
	const struct entry *e = tab && tab->entries ? find(tab, dst) : NULL;

	if (!e || now_ns >= e->expires_ns)
		return false;
	*valuep = e->value;
	return true;
}

/* Between the values of RFC 1191, section 7.1, that are not below IP4_MTU_MIN. */
static uint32_t plateau(uint32_t len)
{
	static const uint32_t steps[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i] < len)
			return steps[i];
	return IP4_MTU_MIN;
}

static struct ip_pmtu_value bounded(const struct addr *dst, uint32_t mtu, uint32_t len)
{
	const bool v4 = ip_is_v4(dst);
	const uint32_t min = v4 ? IP4_MTU_MIN : IP6_MTU_MIN;

	if (v4 && mtu == 0)
		mtu = plateau(len);
	return (struct ip_pmtu_value){mtu < min ? min : mtu, v4 && mtu < min};
}

uint32_t ip_pmtu_judge(const struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns,
	uint32_t mtu, uint32_t len)
{
	const struct ip_pmtu_value value = bounded(dst, mtu, len);
	struct ip_pmtu_value known;

	/* A locked path may well answer about a packet of the smallest MTU. */
	if (value.mtu >= len && !value.locked)
		return 0;
	if (ip_pmtu_find(tab, dst, now_ns, &known) && known.mtu < value.mtu)
		return known.mtu;
	return value.mtu;
}

uint32_t ip_pmtu_learn(
	struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns, uint32_t mtu, uint32_t len)
{
	const struct ip_pmtu_value value = bounded(dst, mtu, len);
	const uint32_t force = ip_pmtu_judge(tab, dst, now_ns, mtu, len);
	struct entry *e = find(tab, dst);

	if (force != value.mtu) /* nothing to learn, or less is known */
		return force;
	if (e)
		drop(tab, e);
	else if (HASH_COUNT(tab->entries) >= IP_PMTU_MAX)
		drop(tab, tab->entries);
	e = calloc(1, sizeof(*e));
	if (!e)
		return 0;
	e->dst = *dst;
	e->value = value;
	e->expires_ns = now_ns + lifetime_ns;
	HASH_ADD(hh, tab->entries, dst, sizeof(e->dst), e);
	if (!e->hh.tbl) {
		free(e);
		return 0;
	}
	return value.mtu;
}

size_t ip_pmtu_count(const struct ip_pmtu *tab)
{
	return tab ? HASH_COUNT(tab->entries) : 0;
}

/* SPDX-License-Identifier: MIT */
#include "ifaddr.h"

#include <errno.h>

static const struct prefix loopback[] = {
	{{{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}, 96 + 8},
	{{{[15] = 1}}, 128},
};

size_t ifaddr_of(const struct info *info, bool lo, size_t nif, struct prefix out[IFADDR_MAX])
{
	size_t n = 0;

	if (lo)
		for (; n < sizeof(loopback) / sizeof(*loopback); n++)
			out[n] = loopback[n];
	if (!lo || nif <= 1)
		for (size_t i = 0; i < info->naddr; i++)
			out[n++] = info->addr[i];
	return n;
}

int ifaddr_source(const struct info *info, const struct addr *dst, struct addr *srcp)
{
	const struct addr *best = NULL;
	int best_len = -1;

	if (addr_is_loopback(dst)) {
		*srcp = addr_is_v4(dst) ? addr_loopback4 : addr_loopback6;
		return 0;
	}
	for (size_t i = 0; i < info->naddr; i++) {
		const struct prefix *p = &info->addr[i];

		if (addr_equal(&p->addr, dst)) {
			best = &p->addr;
			break;
		}
		if (addr_is_v4(&p->addr) != addr_is_v4(dst))
			continue;
		if (!best)
			best = &p->addr;
		if (prefix_contains(p, dst) && p->len > best_len) {
			best = &p->addr;
			best_len = p->len;
		}
	}
	if (!best)
		return -ENETUNREACH;
	*srcp = *best;
	return 0;
}

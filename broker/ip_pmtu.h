/* SPDX-License-Identifier: MIT */
/* Path MTUs by destination (RFC 1191, RFC 8201): what "too big" messages taught. At most
 * IP_PMTU_MAX destinations, each for ten minutes; the one learned longest ago gives way. One
 * thread. */
#ifndef PERSONA_BROKER_IP_PMTU_H
#define PERSONA_BROKER_IP_PMTU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum { IP_PMTU_MAX = 256 };

struct ip_pmtu;

struct ip_pmtu_value {
	uint32_t mtu;
	bool locked; /* IPv4: the path has less than IP4_MTU_MIN, so packets must go without DF */
};

int ip_pmtu_new(struct ip_pmtu **tabp); /* 0 or -ENOMEM */
void ip_pmtu_free(struct ip_pmtu *tab); /* NULL is allowed */
/* NULL is an empty table. False: nothing is known. */
bool ip_pmtu_find(const struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns,
	struct ip_pmtu_value *valuep);
/* What a "too big" with this next-hop MTU about a packet of `len` bytes means: the MTU that would
 * be in force, 0 when there is nothing to learn. 0 from the router (RFC 791: it does not tell) is
 * the next lower plateau of RFC 1191. What is not below len says nothing; more than what is known
 * changes nothing. NULL is an empty table. */
uint32_t ip_pmtu_judge(const struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns,
	uint32_t mtu, uint32_t len);
/* The same, and keeps it. */
uint32_t ip_pmtu_learn(
	struct ip_pmtu *tab, const struct addr *dst, uint64_t now_ns, uint32_t mtu, uint32_t len);
size_t ip_pmtu_count(const struct ip_pmtu *tab);

#endif

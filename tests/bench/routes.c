/* SPDX-License-Identifier: MIT */
/* Time of a route lookup: `bench-routes [PREFIXES]`, 100,000 without an argument.
 *
 * Half of the prefixes are IPv4 and half IPv6, random, with lengths as the Internet's tables have
 * them (most IPv4 ones /24, then /20 to /23 and /16; IPv6 /48, /32, /44, /40). They lie in 200
 * blocks of 8 (IPv6: 24) bits, as allocations do. Lookups go to random addresses inside random
 * prefixes, so that neither the processor's cache nor its predictor knows the way. Batches of 64
 * are timed; the median and the 99th percentile of a lookup are printed, for each family, and what
 * a change of the table takes. No time is asserted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rib.h"

enum { BATCH = 64, BATCHES = 20000, BLOCKS = 200 };

static uint64_t seed = 88172645463325252;

static uint32_t random_u32(void)
{
	seed ^= seed << 13; /* xorshift64 (Marsaglia, 2003) */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct share {
	unsigned percent, len;
};

static unsigned pick(const struct share *shares)
{
	unsigned n = random_u32() % 100;

	for (; n >= shares->percent; shares++)
		n -= shares->percent;
	return shares->len;
}

static void random_bytes(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)random_u32();
}

static struct prefix random_prefix(bool v6)
{
	static const struct share v4_lens[] = {
		{58, 24}, {11, 23}, {12, 22}, {6, 21}, {5, 20}, {3, 19}, {3, 16}, {1, 18}, {1, 17}};
	static const struct share v6_lens[] = {
		{47, 48}, {17, 32}, {12, 44}, {10, 40}, {6, 36}, {4, 29}, {2, 56}, {2, 64}};
	struct prefix p = {.len = 0};
	const unsigned block = random_u32() % BLOCKS;

	random_bytes(p.addr.b, sizeof(p.addr.b));
	if (v6) {
		p.addr.b[0] = 0x20 + block % 16;
		p.addr.b[1] = (uint8_t)(block * 37);
		p.addr.b[2] = (uint8_t)(block / 16);
		p.len = (uint8_t)pick(v6_lens);
	} else {
		memset(p.addr.b, 0, 10);
		p.addr.b[10] = p.addr.b[11] = 0xff;
		p.addr.b[12] = (uint8_t)(1 + block);
		p.len = (uint8_t)(96 + pick(v4_lens));
	}
	prefix_mask(&p);
	return p;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(
	const struct rib *rib, const struct prefix *prefixes, size_t n, const char *name)
{
	static double times[BATCHES];
	struct addr addrs[BATCH];
	size_t found = 0;

	for (size_t b = 0; b < BATCHES; b++) {
		uint64_t start;

		for (size_t i = 0; i < BATCH; i++) {
			const struct prefix *p = &prefixes[random_u32() % n];

			random_bytes(addrs[i].b, sizeof(addrs[i].b));
			for (unsigned bit = 0; bit < p->len; bit++) {
				const uint8_t mask = (uint8_t)(0x80 >> bit % 8);

				addrs[i].b[bit / 8] = (uint8_t)((addrs[i].b[bit / 8] & ~mask) |
								(p->addr.b[bit / 8] & mask));
			}
		}
		start = now_ns();
		for (size_t i = 0; i < BATCH; i++)
			found += rib_lookup(rib, &addrs[i]) != NULL;
		times[b] = (double)(now_ns() - start) / BATCH;
	}
	qsort(times, BATCHES, sizeof(times[0]), by_value);
	printf("%s: %zu prefixes, %zu lookups, %zu found: median %.1f ns, 99 %% below %.1f ns\n",
		name, n, (size_t)BATCH * BATCHES, found, times[BATCHES / 2],
		times[BATCHES * 99 / 100]);
}

static double median(double *times, size_t n)
{
	qsort(times, n, sizeof(times[0]), by_value);
	return times[n / 2];
}

int main(int argc, char **argv)
{
	const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	struct prefix *prefixes = calloc(n ? n : 1, sizeof(prefixes[0]));
	double *times = calloc(n ? n : 1, sizeof(times[0]));
	struct rib_via via[16] = {0};
	struct rib *rib;

	if (n < 2 || !prefixes || !times || rib_new(&rib) < 0) {
		fprintf(stderr, "usage: bench-routes [PREFIXES, at least 2]\n");
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		struct rib_route route = {
			.source = RIB_RIP, .metric = 1, .via = &via[random_u32() % 16]};
		uint64_t start;

		prefixes[i] = route.prefix = random_prefix(i >= n / 2);
		start = now_ns();
		if (rib_set(rib, &route) < 0)
			return 1;
		times[i] = (double)(now_ns() - start);
	}
	printf("adding: median %.0f ns, ", median(times, n));
	printf("99.9 %% below %.1f us\n", times[n * 999 / 1000] / 1000);
	measure(rib, prefixes, n / 2, "IPv4");
	measure(rib, prefixes + n / 2, n - n / 2, "IPv6");
	measure(rib, prefixes, n, "both");
	for (size_t i = 0; i < 16; i++) {
		const uint64_t start = now_ns();
		const size_t had = via[i].nroutes;

		rib_clear_via(rib, &via[i], SIZE_MAX);
		times[i] = (double)(now_ns() - start) / (double)(had ? had : 1);
	}
	printf("removing: median %.0f ns\n", median(times, 16));
	rib_free(rib);
	free(times);
	free(prefixes);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* rib when memory is short: the table is compiled in here with allocations that fail at random. A
 * change that fails must change nothing, a removal must not fail, and what comes after must be
 * right although cells could not get the shape they should have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned fail_one_in; /* 0: none fails */
static unsigned failed;
static uint64_t seed = 88172645463325252;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13; /* xorshift64 (Marsaglia, 2003) */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static int fails(void)
{
	const int now = fail_one_in && random_below(fail_one_in) == 0;

	failed += (unsigned)now;
	return now;
}

static void *short_malloc(size_t n)
{
	return fails() ? NULL : malloc(n);
}

static void *short_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

static void *short_aligned_alloc(size_t align, size_t n)
{
	return fails() ? NULL : aligned_alloc(align, n);
}

#define malloc	      short_malloc
#define calloc	      short_calloc
#define aligned_alloc short_aligned_alloc
#include "rib.c"      /* NOLINT */
#include "rib_fib.c"  /* NOLINT */
#include "rib_tree.c" /* NOLINT */
#undef malloc
#undef calloc
#undef aligned_alloc

enum { ROUTES = 120, OPERATIONS = 20000 };

static struct {
	bool there;
	struct rib_route route;
} model[ROUTES];

static struct rib_via via;

static struct prefix random_prefix(void)
{
	struct prefix p = {.len = 0};

	if (random_below(2)) {
		p.addr = (struct addr){.b = {[10] = 0xff, 0xff, 10}};
		for (int i = 13; i < 16; i++)
			p.addr.b[i] = (uint8_t)(random_below(4) * 0x55);
		p.len = (uint8_t)(96 + random_below(33));
	} else {
		p.addr = (struct addr){.b = {0xfd}};
		for (int i = 1; i < 16; i++)
			p.addr.b[i] = random_below(3) ? 0 : (uint8_t)random_below(256);
		p.len = (uint8_t)random_below(129);
	}
	prefix_mask(&p);
	return p;
}

static int model_find(const struct prefix *p)
{
	for (int i = 0; i < ROUTES; i++)
		if (model[i].there && model[i].route.prefix.len == p->len &&
			addr_equal(&model[i].route.prefix.addr, &p->addr))
			return i;
	return -1;
}

static int model_lookup(const struct addr *a)
{
	int best = -1;

	for (int i = 0; i < ROUTES; i++) {
		const struct prefix *p = &model[i].route.prefix;

		if (model[i].there && prefix_contains(p, a) &&
			(!addr_is_v4(a) || p->len >= RIB_V4_BITS) &&
			(best < 0 || p->len > model[best].route.prefix.len))
			best = i;
	}
	return best;
}

static void add(struct rib *rib, int i)
{
	const struct rib_route route = {.prefix = random_prefix(),
		.source = RIB_RIP,
		.via = &via,
		.metric = (uint8_t)random_below(16)};
	const int had = model_find(&route.prefix);
	int r;

	fail_one_in = 3;
	r = rib_set(rib, &route);
	fail_one_in = 0;
	if (r < 0) {
		assert_int_equal(r, -ENOMEM);
		return;
	}
	i = had < 0 ? i : had;
	model[i].there = true;
	model[i].route = route;
}

static void drop(struct rib *rib, int i)
{
	fail_one_in = 2;
	assert_int_equal(rib_remove(rib, &model[i].route.prefix, RIB_RIP, &via), 0);
	fail_one_in = 0;
	model[i].there = false;
}

static void check(struct rib *rib)
{
	size_t n = 0;

	for (int i = 0; i < ROUTES; i++) {
		const struct addr *a = &model[i].route.prefix.addr;
		const struct rib_route *got = rib_lookup(rib, a);
		const int want = model_lookup(a);

		n += model[i].there;
		assert_int_equal(got != NULL, want >= 0);
		if (!got)
			continue;
		assert_int_equal(got->prefix.len, model[want].route.prefix.len);
		assert_int_equal(got->metric, model[want].route.metric);
	}
	assert_int_equal(rib_count(rib), n);
}

static void test_allocations_that_fail(void **state)
{
	struct rib *rib = NULL;

	(void)state;
	assert_int_equal(rib_new(&rib), 0);
	for (int op = 0; op < OPERATIONS; op++) {
		const int i = (int)random_below(ROUTES);

		if (model[i].there)
			drop(rib, i);
		else
			add(rib, i);
		check(rib);
	}
	assert_true(failed > OPERATIONS / 10);
	rib_free(rib);
	assert_null(via.routes);
}

static void test_no_table(void **state)
{
	struct rib *rib = NULL;

	(void)state;
	fail_one_in = 1;
	assert_int_equal(rib_new(&rib), -ENOMEM);
	fail_one_in = 0;
	assert_null(rib);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations_that_fail),
		cmocka_unit_test(test_no_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

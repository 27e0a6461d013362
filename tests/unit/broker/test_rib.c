/* SPDX-License-Identifier: MIT */
/* rib: candidates, ranks and longest-prefix match, compared with a plain list on random changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rib.h"

static struct rib_via via[8];

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static int set(struct rib *rib, const char *text, enum rib_source source, struct rib_via *over,
	uint8_t metric)
{
	const struct rib_route route = {.prefix = prefix(text),
		.source = source,
		.via = over,
		.metric = metric,
		.next_hop = addr_any6};

	return rib_set(rib, &route);
}

static int del(struct rib *rib, const char *text, enum rib_source source, struct rib_via *over)
{
	const struct prefix p = prefix(text);

	return rib_remove(rib, &p, source, over);
}

/* The number of the via that leads there; -1 without a route. */
static int find(struct rib *rib, const char *text)
{
	const struct rib_route *route;
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	route = rib_lookup(rib, &a);
	return route ? (int)(route->via - via) : -1;
}

static int setup(void **state)
{
	memset(via, 0, sizeof(via));
	return rib_new((struct rib **)state);
}

static int teardown(void **state)
{
	rib_free(*state);
	for (size_t i = 0; i < sizeof(via) / sizeof(via[0]); i++)
		if (via[i].routes || via[i].nroutes)
			return -1;
	return 0;
}

static void test_empty(void **state)
{
	assert_int_equal(find(*state, "10.0.0.1"), -1);
	assert_int_equal(find(*state, "::1"), -1);
	assert_int_equal(rib_count(*state), 0);
	assert_int_equal(del(*state, "10.0.0.0/8", RIB_LINK, &via[0]), -ENOENT);
	assert_true(malloc_usable_size(*state) < 1024);
}

static void test_longest_wins(void **state)
{
	struct rib *rib = *state;

	assert_int_equal(set(rib, "0.0.0.0/0", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(set(rib, "10.0.0.0/8", RIB_LINK, &via[1], 1), 0);
	assert_int_equal(set(rib, "10.1.0.0/17", RIB_LINK, &via[2], 1), 0);
	assert_int_equal(set(rib, "10.1.2.3/32", RIB_LINK, &via[3], 1), 0);
	assert_int_equal(find(rib, "11.0.0.0"), 0);
	assert_int_equal(find(rib, "10.2.0.0"), 1);
	assert_int_equal(find(rib, "10.1.127.255"), 2);
	assert_int_equal(find(rib, "10.1.128.0"), 1);
	assert_int_equal(find(rib, "10.1.2.3"), 3);
	assert_int_equal(find(rib, "10.1.2.4"), 2);
	assert_int_equal(rib_count(rib), 4);
}

static void test_families_are_separate(void **state)
{
	struct rib *rib = *state;

	assert_int_equal(set(rib, "::/0", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(find(rib, "10.0.0.1"), -1);
	assert_int_equal(find(rib, "2001:db8::1"), 0);
	assert_int_equal(set(rib, "0.0.0.0/0", RIB_LINK, &via[1], 1), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	assert_int_equal(find(rib, "fe80::1"), 0);
	/* An IPv6 prefix that is longer than ::ffff:0:0/96 but elsewhere. */
	assert_int_equal(set(rib, "::fffe:0:0/96", RIB_LINK, &via[2], 1), 0);
	assert_int_equal(find(rib, "::fffe:1:2"), 2);
	assert_int_equal(find(rib, "255.254.0.0"), 1);
}

static void test_ranks(void **state)
{
	struct rib *rib = *state;
	const struct prefix p = prefix("10.0.0.0/24");

	assert_int_equal(set(rib, "10.0.0.0/24", RIB_RIP, &via[3], 2), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 3);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_LINK, &via[2], 15), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 2);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[1], 9), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_GATEWAY, NULL, 1), 0);
	assert_null(rib_get(rib, &p)->via);
	assert_int_equal(rib_get(rib, &p)->next->source, RIB_STATIC);
	assert_int_equal(rib_count(rib), 1);
	assert_true(rib_has_source(rib_get(rib, &p), RIB_RIP));
	assert_int_equal(del(rib, "10.0.0.0/24", RIB_GATEWAY, NULL), 0);
	assert_int_equal(del(rib, "10.0.0.0/24", RIB_STATIC, &via[1]), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 2);
	assert_int_equal(del(rib, "10.0.0.0/24", RIB_LINK, &via[2]), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 3);
	assert_false(rib_has_source(rib_get(rib, &p), RIB_LINK));
	assert_int_equal(del(rib, "10.0.0.0/24", RIB_RIP, &via[3]), 0);
	assert_null(rib_get(rib, &p));
}

static void test_metric_decides_within_a_rank(void **state)
{
	struct rib *rib = *state;

	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[0], 5), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[1], 3), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[2], 3), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[1], 6), 0); /* replaced */
	assert_int_equal(find(rib, "10.0.0.1"), 2);
	assert_int_equal(via[1].nroutes, 1);
}

static void test_silent_neighbour_ranks_behind_rip(void **state)
{
	struct rib *rib = *state;
	const struct prefix p = prefix("10.0.0.7/24");

	assert_int_equal(set(rib, "10.0.0.0/24", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_RIP, &via[1], 4), 0);
	via[0].silent = true;
	rib_rerank(rib, &p);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	assert_int_equal(del(rib, "10.0.0.0/24", RIB_RIP, &via[1]), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 0); /* still better than nothing */
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_RIP, &via[1], 4), 0);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	via[0].silent = false;
	rib_rerank(rib, &p);
	assert_int_equal(find(rib, "10.0.0.1"), 0);
}

static void test_lookup_of_one_source(void **state)
{
	struct rib *rib = *state;
	struct addr a;

	assert_int_equal(set(rib, "10.0.0.0/8", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_RIP, &via[1], 1), 0);
	assert_int_equal(set(rib, "::/0", RIB_STATIC, &via[2], 1), 0);
	assert_int_equal(addr_parse("10.0.0.1", &a), 0);
	assert_ptr_equal(rib_lookup_source(rib, &a, RIB_LINK)->via, &via[0]);
	assert_ptr_equal(rib_lookup_source(rib, &a, RIB_RIP)->via, &via[1]);
	assert_null(rib_lookup_source(rib, &a, RIB_STATIC));
	assert_int_equal(addr_parse("fd00::", &a), 0);
	assert_ptr_equal(rib_lookup_source(rib, &a, RIB_STATIC)->via, &via[2]);
}

static void test_clear_via_in_pieces(void **state)
{
	struct rib *rib = *state;

	assert_int_equal(set(rib, "10.0.0.0/24", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_STATIC, &via[0], 1), 0);
	assert_int_equal(set(rib, "10.0.0.0/24", RIB_RIP, &via[1], 1), 0);
	assert_int_equal(set(rib, "fd00::/8", RIB_RIP, &via[0], 1), 0);
	assert_int_equal(rib_clear_via(rib, &via[0], 2), 1);
	assert_int_equal(rib_clear_via(rib, &via[0], 2), 0);
	assert_int_equal(rib_clear_via(rib, &via[0], 2), 0);
	assert_int_equal(rib_count(rib), 1);
	assert_int_equal(find(rib, "10.0.0.1"), 1);
	assert_int_equal(find(rib, "fd00::1"), -1);
}

static void test_errors(void **state)
{
	struct rib_route route = {.prefix = {.len = 129}, .source = RIB_LINK, .via = &via[0]};

	assert_int_equal(rib_set(*state, &route), -EINVAL);
	assert_int_equal(rib_remove(*state, &route.prefix, RIB_LINK, &via[0]), -ENOENT);
	assert_null(rib_get(*state, &route.prefix));
	rib_rerank(*state, &route.prefix);
	assert_int_equal(set(*state, "10.0.0.0/24", RIB_LINK, &via[0], 1), 0);
	assert_int_equal(del(*state, "10.0.0.0/24", RIB_LINK, &via[1]), -ENOENT);
	assert_int_equal(del(*state, "10.0.0.0/24", RIB_RIP, &via[0]), -ENOENT);
	assert_int_equal(del(*state, "10.0.0.0/25", RIB_LINK, &via[0]), -ENOENT);
	rib_free(NULL);
}

static void test_host_bits_are_ignored(void **state)
{
	const struct prefix p = prefix("10.0.0.255/24");

	assert_int_equal(set(*state, "10.0.0.77/24", RIB_LINK, &via[0], 1), 0);
	assert_non_null(rib_get(*state, &p));
	assert_int_equal(find(*state, "10.0.0.1"), 0);
	assert_int_equal(del(*state, "10.0.0.3/24", RIB_LINK, &via[0]), 0);
}

/* --- reading it in order --- */

struct list {
	char text[1024];
	size_t stop; /* fn returns 7 once the text is this long; 0: never */
};

static int append(const struct rib_route *best, void *arg)
{
	struct list *list = arg;
	char text[PREFIX_STRLEN];
	const size_t n = strlen(list->text);

	snprintf(list->text + n, sizeof(list->text) - n, "%s ", prefix_format(&best->prefix, text));
	return list->stop && strlen(list->text) >= list->stop ? 7 : 0;
}

static void fill(struct rib *rib)
{
	static const char *const prefixes[] = {"fd00::/8", "10.0.0.0/8", "10.1.2.3/32",
		"10.1.2.0/24", "0.0.0.0/0", "::/0", "10.1.0.0/16", "fd00::/16", "9.0.0.0/8",
		"fd00:1::/32", "10.1.2.0/25", "::1/128"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		assert_int_equal(set(rib, prefixes[i], RIB_LINK, &via[0], 1), 0);
}

static void test_each_is_sorted(void **state)
{
	struct list list = {.text = ""}, two = {.text = "", .stop = 20};

	fill(*state);
	assert_int_equal(rib_each(*state, NULL, append, &list), 0);
	assert_string_equal(list.text,
		"0.0.0.0/0 9.0.0.0/8 10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.1.2.0/25 10.1.2.3/32 "
		"::/0 ::1/128 fd00::/8 fd00::/16 fd00:1::/32 ");
	assert_int_equal(rib_each(*state, NULL, append, &two), 7);
	assert_string_equal(two.text, "0.0.0.0/0 9.0.0.0/8 ");
}

static void test_each_goes_on_behind(void **state)
{
	struct {
		const char *after, *text;
	} const cases[] = {
		{"10.1.2.0/25", "10.1.2.3/32 ::/0 ::1/128 fd00::/8 fd00::/16 fd00:1::/32 "},
		{"10.1.2.0/26", "10.1.2.3/32 ::/0 ::1/128 fd00::/8 fd00::/16 fd00:1::/32 "},
		{"255.0.0.0/8", "::/0 ::1/128 fd00::/8 fd00::/16 fd00:1::/32 "},
		{"::/0", "::1/128 fd00::/8 fd00::/16 fd00:1::/32 "},
		{"fd00::/16", "fd00:1::/32 "},
		{"fd00:1::/32", ""},
	};

	fill(*state);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct prefix after = prefix(cases[i].after);
		struct list list = {.text = ""};

		assert_int_equal(rib_each(*state, &after, append, &list), 0);
		assert_string_equal(list.text, cases[i].text);
	}
}

/* --- against a plain list --- */

enum { MODEL = 300, OPERATIONS = 60000, PLACES = 40 };

struct model {
	struct {
		bool there;
		struct rib_route route;
		unsigned order; /* which of equals was there first */
	} route[MODEL];
	unsigned order;
};

static uint64_t seed = 88172645463325252;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13; /* xorshift64 (Marsaglia, 2003) */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

/* Addresses that share many leading bits, so that prefixes nest. */
static struct addr random_addr(void)
{
	struct addr a;

	if (random_below(2)) {
		a = (struct addr){.b = {[10] = 0xff, 0xff, 10}};
		for (int i = 13; i < 16; i++)
			a.b[i] = (uint8_t)(random_below(4) * 0x55);
	} else {
		a = (struct addr){.b = {0xfd}};
		for (int i = 1; i < 16; i++)
			a.b[i] = random_below(3) ? 0 : (uint8_t)random_below(256);
	}
	return a;
}

static struct prefix random_prefix(void)
{
	struct prefix p = {.addr = random_addr()};

	p.len = (uint8_t)(addr_is_v4(&p.addr) ? 96 + random_below(33) : random_below(129));
	prefix_mask(&p);
	return p;
}

static unsigned rank(const struct rib_route *r)
{
	return r->source == RIB_LINK && r->via->silent ? 9 : r->source;
}

static bool same(const struct rib_route *a, const struct rib_route *b)
{
	return a->source == b->source && a->via == b->via && a->prefix.len == b->prefix.len &&
	       addr_equal(&a->prefix.addr, &b->prefix.addr);
}

static const struct rib_route *model_lookup(const struct model *m, const struct addr *a)
{
	int best = -1;

	for (int i = 0; i < MODEL; i++) {
		const struct rib_route *r = &m->route[i].route,
				       *b = &m->route[best < 0 ? 0 : best].route;
		const bool v4 = addr_is_v4(a);

		if (!m->route[i].there || !prefix_contains(&r->prefix, a) ||
			(v4 && r->prefix.len < 96))
			continue;
		if (best < 0 || r->prefix.len > b->prefix.len ||
			(r->prefix.len == b->prefix.len &&
				(rank(r) < rank(b) ||
					(rank(r) == rank(b) &&
						(r->metric < b->metric ||
							(r->metric == b->metric &&
								m->route[i].order <
									m->route[best].order))))))
			best = i;
	}
	return best < 0 ? NULL : &m->route[best].route;
}

static void model_set(struct rib *rib, struct model *m, const struct rib_route *route)
{
	int at = -1;

	for (int i = 0; i < MODEL; i++)
		if (m->route[i].there && same(&m->route[i].route, route))
			at = i;
	for (int i = 0; i < MODEL && at < 0; i++)
		if (!m->route[i].there)
			at = i;
	if (at < 0)
		return;
	assert_int_equal(rib_set(rib, route), 0);
	m->route[at].there = true;
	m->route[at].route = *route;
	m->route[at].order = m->order++;
}

static void model_change(struct rib *rib, struct model *m)
{
	const unsigned what = random_below(100), i = random_below(MODEL);
	struct rib_via *over = &via[1 + random_below(6)];

	if (what < 55) {
		struct rib_route route = {.prefix = random_prefix(),
			.source = (enum rib_source)random_below(4),
			.metric = (uint8_t)(1 + random_below(3)),
			.via = over};

		if (route.source == RIB_GATEWAY)
			route.via = NULL;
		model_set(rib, m, &route);
	} else if (what < 97 && m->route[i].there) {
		assert_int_equal(rib_remove(rib, &m->route[i].route.prefix,
					 m->route[i].route.source, m->route[i].route.via),
			0);
		m->route[i].there = false;
	} else if (what == 98) {
		for (int j = 0; j < MODEL; j++)
			if (m->route[j].route.via == over)
				m->route[j].there = false;
		assert_int_equal(rib_clear_via(rib, over, SIZE_MAX), 0);
	}
}

static int count_one(const struct rib_route *best, void *arg)
{
	struct {
		struct prefix last;
		size_t n;
	} *seen = arg;
	const bool v4 = addr_is_v4(&best->prefix.addr) && best->prefix.len >= 96;
	const bool last_v4 = addr_is_v4(&seen->last.addr) && seen->last.len >= 96;

	if (seen->n++) {
		const int r = memcmp(seen->last.addr.b, best->prefix.addr.b, 16);

		assert_true(last_v4 || !v4);
		if (v4 == last_v4)
			assert_true(r < 0 || (r == 0 && seen->last.len < best->prefix.len));
	}
	seen->last = best->prefix;
	return 0;
}

static void model_compare(struct rib *rib, const struct model *m)
{
	struct {
		struct prefix last;
		size_t n;
	} seen = {.n = 0};

	for (int i = 0; i < PLACES; i++) {
		const struct addr a = random_addr();
		const struct rib_route *want = model_lookup(m, &a), *got = rib_lookup(rib, &a);

		assert_true(!want == !got);
		if (want)
			assert_true(same(want, got) && want->metric == got->metric);
	}
	assert_int_equal(rib_each(rib, NULL, count_one, &seen), 0);
	assert_int_equal(seen.n, rib_count(rib));
}

static void test_random_changes(void **state)
{
	static struct model m;

	for (int i = 0; i < OPERATIONS; i++) {
		model_change(*state, &m);
		if (i % 64 == 0)
			model_compare(*state, &m);
	}
	for (int i = 0; i < MODEL; i++)
		if (m.route[i].there)
			assert_int_equal(rib_remove(*state, &m.route[i].route.prefix,
						 m.route[i].route.source, m.route[i].route.via),
				0);
	assert_int_equal(rib_count(*state), 0);
}

/* Ranks change with `silent`; the order among equals does too, so only ranks are compared. */
static void test_random_silence(void **state)
{
	static struct model m;

	for (int i = 0; i < 4000; i++) {
		const unsigned n = 1 + random_below(6);

		model_change(*state, &m);
		via[n].silent = !via[n].silent;
		for (int j = 0; j < MODEL; j++)
			if (m.route[j].there)
				rib_rerank(*state, &m.route[j].route.prefix);
		for (int j = 0; j < 4; j++) {
			const struct addr a = random_addr();
			const struct rib_route *want = model_lookup(&m, &a);
			const struct rib_route *got = rib_lookup(*state, &a);

			assert_true(!want == !got);
			if (want)
				assert_true(rank(want) == rank(got) &&
					    want->metric == got->metric &&
					    want->prefix.len == got->prefix.len);
		}
	}
}

static void test_many_prefixes(void **state)
{
	enum { N = 50000 };
	struct rib_route route = {.source = RIB_RIP, .metric = 1};

	for (uint32_t i = 0; i < N; i++) {
		route.prefix = (struct prefix){.len = 120,
			.addr = {.b = {[10] = 0xff,
					 0xff,
					 (uint8_t)(i >> 12),
					 (uint8_t)(i >> 4),
					 (uint8_t)(i << 4)}}};
		route.via = &via[i % 8];
		assert_int_equal(rib_set(*state, &route), 0);
	}
	assert_int_equal(rib_count(*state), N);
	for (uint32_t i = 0; i < N; i++) {
		const struct addr a = {.b = {[10] = 0xff,
					       0xff,
					       (uint8_t)(i >> 12),
					       (uint8_t)(i >> 4),
					       (uint8_t)(i << 4),
					       200}};

		assert_ptr_equal(rib_lookup(*state, &a)->via, &via[i % 8]);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(rib_clear_via(*state, &via[i], SIZE_MAX), 0);
	assert_int_equal(rib_count(*state), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(empty),
		T(longest_wins),
		T(families_are_separate),
		T(ranks),
		T(metric_decides_within_a_rank),
		T(silent_neighbour_ranks_behind_rip),
		T(lookup_of_one_source),
		T(clear_via_in_pieces),
		T(errors),
		T(host_bits_are_ignored),
		T(each_is_sorted),
		T(each_goes_on_behind),
		T(random_changes),
		T(random_silence),
		T(many_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

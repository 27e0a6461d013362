/* SPDX-License-Identifier: MIT */
/* Reassembly: its time and its bounds. */
#include "frag_pieces.h"

struct expired {
	unsigned n;
	size_t len;
	uint8_t first[2000];
};

static void on_expired(void *arg, void *link, const uint8_t *packet, size_t len)
{
	struct expired *e = arg;

	(void)link;
	e->n++;
	e->len = len;
	memcpy(e->first, packet, len);
}

static void old_datagrams_are_given_up(void **state)
{
	const struct flow *flows[] = {&flow4, &flow6};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ip_reass *r = make(0, 0, 0);
		struct pieces pieces = {.n = 0};
		struct expired e = {.n = 0};
		const uint64_t age_ns = (i ? 60 : 30) * second_ns;
		struct ip_whole w;

		assert_int_equal(cut(flows[i], 2000, 1400, &pieces), 2);
		assert_int_equal(add(r, &pieces, 0, &w), 0);
		ip_reass_expire(r, age_ns - 1, on_expired, &e);
		assert_int_equal(ip_reass_count(r), 1);
		ip_reass_expire(r, age_ns, on_expired, &e);
		assert_int_equal(ip_reass_count(r), 0);
		assert_int_equal(ip_reass_memory(r), 0);
		assert_int_equal(ip_reass_lost(r), 1);
		/* told with the first fragment as it came */
		assert_int_equal(e.n, 1);
		assert_int_equal(e.len, pieces.len[0]);
		assert_memory_equal(e.first, pieces.p[0], e.len);
		/* without the first fragment nothing is told */
		assert_int_equal(add(r, &pieces, 1, &w), 0);
		ip_reass_expire(r, age_ns, on_expired, &e);
		assert_int_equal(e.n, 1);
		/* a late fragment begins anew, also when nobody called expire */
		assert_int_equal(add_from(r, NULL, age_ns, pieces.p[0], pieces.len[0], &w), 0);
		assert_int_equal(ip_reass_count(r), 1);
		assert_int_equal(add_from(r, NULL, age_ns, pieces.p[1], pieces.len[1], &w), 1);
		check_whole(flows[i], 2000, &w);
		forget(&pieces);
		ip_reass_free(r);
	}
}

/* Begins `n` datagrams of nearly 64 KiB from 10.0.x.x by their last fragments. */
static void flood(struct ip_reass *r, void *link, unsigned n, bool many_sources)
{
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	char src[32];

	for (unsigned i = 0; i < n; i++) {
		struct flow flow = {src, "10.0.0.2", (uint16_t)i, IP_PROTO_UDP};

		snprintf(src, sizeof(src), "10.1.%u.%u", many_sources ? i / 250 : 0,
			many_sources ? i % 250 : 0);
		cut(&flow, 2000, 1400, &pieces);
		patch4(pieces.p[1], 60000, false);
		add_from(r, link, 0, pieces.p[1], pieces.len[1], &w);
		forget(&pieces);
	}
}

static void a_source_and_a_link_use_their_share_only(void **state)
{
	struct ip_reass *r = make(4 << 20, 1 << 20, 256 << 10);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	int mine, theirs;

	(void)state;
	assert_int_equal(cut(&flow4, 2000, 1400, &pieces), 2);
	assert_int_equal(add_from(r, &mine, 0, pieces.p[0], pieces.len[0], &w), 0);
	flood(r, &theirs, 100, false);
	assert_true(ip_reass_memory(r) <= (256 << 10) + 8192);
	flood(r, &theirs, 200, true);
	assert_true(ip_reass_memory(r) <= (1 << 20) + 8192);
	assert_true(ip_reass_memory(r) > 900 << 10);
	assert_int_equal(add_from(r, &mine, 0, pieces.p[1], pieces.len[1], &w), 1);
	check_whole(&flow4, 2000, &w);
	forget(&pieces);
	ip_reass_free(r);
}

static void the_whole_has_a_bound_and_the_oldest_gives_way(void **state)
{
	struct ip_reass *r = make(512 << 10, 256 << 10, 256 << 10);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	int link[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		flood(r, &link[i], 20, true);
	assert_true(ip_reass_memory(r) <= 512 << 10);
	assert_true(ip_reass_lost(r) > 60);
	/* there is always room for who comes now */
	assert_int_equal(cut(&flow4, 2000, 1400, &pieces), 2);
	assert_int_equal(add(r, &pieces, 0, &w), 0);
	assert_int_equal(add(r, &pieces, 1, &w), 1);
	check_whole(&flow4, 2000, &w);
	forget(&pieces);
	ip_reass_free(r);
}

/* A source whose first 64 bits are zero is one source of its link, not the link itself. */
static void sources_of_the_zero_prefix_are_sources(void **state)
{
	static const struct flow flow = {"::2", "fd00::2", 77, IP_PROTO_UDP};
	struct ip_reass *r = make(0, 0, 0);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	int link;

	(void)state;
	assert_int_equal(cut(&flow, 3000, 1400, &pieces), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(add_from(r, &link, 0, pieces.p[i], pieces.len[i], &w), i == 2);
	check_whole(&flow, 3000, &w);
	assert_int_equal(ip_reass_memory(r), 0);
	forget(&pieces);
	ip_reass_free(r);
}

/* What waits on a link that goes away goes with it, and nothing else. */
static void a_link_that_is_gone_takes_its_fragments_along(void **state)
{
	struct ip_reass *r = make(0, 0, 0);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	int old, other;

	(void)state;
	assert_int_equal(cut(&flow6, 2000, 1400, &pieces), 2);
	assert_int_equal(add_from(r, &old, 0, pieces.p[0], pieces.len[0], &w), 0);
	assert_int_equal(add_from(r, &other, 0, pieces.p[0], pieces.len[0], &w), 0);
	ip_reass_drop_link(r, &old);
	ip_reass_drop_link(r, &old); /* has none any more */
	assert_int_equal(ip_reass_count(r), 1);
	assert_int_equal(ip_reass_lost(r), 1);
	assert_int_equal(add_from(r, &old, 0, pieces.p[1], pieces.len[1], &w), 0);
	assert_int_equal(add_from(r, &other, 0, pieces.p[1], pieces.len[1], &w), 1);
	check_whole(&flow6, 2000, &w);
	forget(&pieces);
	ip_reass_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_datagrams_are_given_up),
		cmocka_unit_test(a_source_and_a_link_use_their_share_only),
		cmocka_unit_test(the_whole_has_a_bound_and_the_oldest_gives_way),
		cmocka_unit_test(sources_of_the_zero_prefix_are_sources),
		cmocka_unit_test(a_link_that_is_gone_takes_its_fragments_along),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

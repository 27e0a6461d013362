/* SPDX-License-Identifier: MIT */
/* Fragmentation and reassembly. */
#include "frag_pieces.h"

static void cut_obeys_the_mtu(void **state)
{
	static const struct {
		const struct flow *flow;
		size_t len;
		uint32_t mtu;
		int n;
	} cases[] = {{&flow4, 1480, 1500, 1}, {&flow4, 1481, 1500, 2}, {&flow4, 2960, 1500, 2},
		{&flow4, 2961, 1500, 3}, {&flow4, 100, 28, 13}, {&flow4, 65515, 1420, 47},
		{&flow4, 1481, 1503, 1}, {&flow4, 1484, 1503, 2}, {&flow6, 2900, 1500, 2},
		{&flow6, 2901, 1500, 3}, {&flow6, 100, 56, 13}, {&flow6, 65535, 1280, 54}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pieces pieces = {.n = 0};
		struct ip_header h;
		struct ip_problem problem;
		size_t at = 0;

		assert_int_equal(
			cut(cases[i].flow, cases[i].len, cases[i].mtu, &pieces), cases[i].n);
		assert_int_equal(pieces.n, cases[i].n);
		for (unsigned k = 0; k < pieces.n; k++) {
			assert_true(pieces.len[k] <= cases[i].mtu);
			assert_int_equal(ip_parse(pieces.p[k], pieces.len[k], &h), 0);
			assert_int_equal(ip_walk(pieces.p[k], pieces.len[k], &h, &problem), 0);
			assert_int_equal(h.total, pieces.len[k]);
			assert_int_equal(h.offset, at);
			assert_int_equal(h.more, k + 1 < pieces.n);
			if (pieces.n > 1)
				assert_int_equal(h.id, 77);
			for (size_t b = h.head; b < h.total; b++)
				assert_int_equal(pieces.p[k][b], pattern(at + b - h.head));
			at += h.total - h.head;
		}
		assert_int_equal(at, cases[i].len);
		forget(&pieces);
	}
}

static void cut_refuses_a_hopeless_mtu(void **state)
{
	struct pieces pieces = {.n = 0};

	(void)state;
	assert_int_equal(cut(&flow4, 100, 27, &pieces), -EMSGSIZE);
	assert_int_equal(cut(&flow6, 100, 55, &pieces), -EMSGSIZE);
	assert_int_equal(pieces.n, 0);
}

static void cut_of_a_fragment_keeps_its_place(void **state)
{
	struct pieces first = {.n = 0}, second = {.n = 0};
	struct ip_reass *r = make(0, 0, 0);
	struct ip_whole w;
	uint8_t buf[IP_FRAG_HEADROOM + 1500 + IP_FRAG_TAILROOM];

	(void)state;
	assert_int_equal(cut(&flow4, 4000, 1500, &first), 3);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(buf + IP_FRAG_HEADROOM, first.p[i], first.len[i]);
		assert_true(ip_fragment(buf + IP_FRAG_HEADROOM, first.len[i], 300, 0, keep,
				    &second) > 3);
	}
	for (unsigned i = 0; i + 1 < second.n; i++)
		assert_int_equal(add(r, &second, i, &w), 0);
	assert_int_equal(add(r, &second, second.n - 1, &w), 1);
	check_whole(&flow4, 4000, &w);
	forget(&first);
	forget(&second);
	ip_reass_free(r);
}

/* Behind the end of what an offset can say the pieces would begin anew at 0. */
static void cut_of_a_fragment_beyond_the_end_is_refused(void **state)
{
	struct pieces pieces = {.n = 0};
	uint8_t buf[IP_FRAG_HEADROOM + 1500 + IP_FRAG_TAILROOM] = {0};
	uint8_t *p = buf + IP_FRAG_HEADROOM;

	(void)state;
	p[0] = 0x45;
	ip_put16(p + 2, 1420);
	ip_put16(p + 6, 0x1fff);
	assert_int_equal(ip_fragment(p, 1420, 576, 0, keep, &pieces), -EPROTO);
	assert_int_equal(pieces.n, 0);
	ip_put16(p + 6, (65535 - 1400) / 8);
	assert_int_equal(ip_fragment(p, 1420, 576, 0, keep, &pieces), 3);
	forget(&pieces);
}

/* RFC 791: security (130) is copied, record route (7) is not. */
static void cut_copies_the_options_that_want_it(void **state)
{
	static const uint8_t options[12] = {7, 4, 4, 0, 1, 130, 3, 9, 0, 0, 0, 0};
	uint8_t buf[IP_FRAG_HEADROOM + 32 + 100 + IP_FRAG_TAILROOM] = {0};
	uint8_t *p = buf + IP_FRAG_HEADROOM;
	struct pieces pieces = {.n = 0};
	struct ip_header h;

	(void)state;
	p[0] = 0x48;
	ip_put16(p + 2, 132);
	p[8] = 5;
	p[12] = p[16] = 10;
	memcpy(p + 20, options, sizeof(options));
	ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, 32, 0)));
	assert_int_equal(ip_fragment(p, 132, 72, 0, keep, &pieces), 3);
	assert_int_equal(ip_parse(pieces.p[0], pieces.len[0], &h), 0);
	assert_int_equal(h.head, 32);
	assert_memory_equal(pieces.p[0] + 20, options, 12);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(ip_parse(pieces.p[i], pieces.len[i], &h), 0);
		assert_int_equal(h.head, 24);
		assert_memory_equal(pieces.p[i] + 20, "\x82\x03\x09\0", 4);
	}
	forget(&pieces);
}

static void reassembles_in_any_order(void **state)
{
	static const unsigned order[][5] = {
		{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {1, 4, 0, 3, 2}, {2, 0, 4, 1, 3}};
	const struct flow *flows[] = {&flow4, &flow6};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		const struct flow *flow = flows[i % 2];
		struct ip_reass *r = make(0, 0, 0);
		struct pieces pieces = {.n = 0};
		struct ip_whole w;

		assert_int_equal(cut(flow, 6001, 1400, &pieces), 5);
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(add(r, &pieces, order[i / 2][k], &w), 0);
		assert_int_equal(ip_reass_count(r), 1);
		assert_int_equal(add(r, &pieces, order[i / 2][4], &w), 1);
		assert_int_equal(ip_reass_count(r), 0);
		assert_int_equal(ip_reass_memory(r), 0);
		check_whole(flow, 6001, &w);
		forget(&pieces);
		ip_reass_free(r);
	}
}

static void repeated_fragments_are_ignored(void **state)
{
	struct ip_reass *r = make(0, 0, 0);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;

	(void)state;
	assert_int_equal(cut(&flow4, 3001, 1400, &pieces), 3);
	for (unsigned twice = 0; twice < 2; twice++) {
		assert_int_equal(add(r, &pieces, 2, &w), 0);
		assert_int_equal(add(r, &pieces, 0, &w), 0);
	}
	assert_int_equal(add(r, &pieces, 1, &w), 1);
	check_whole(&flow4, 3001, &w);
	assert_int_equal(ip_reass_lost(r), 0);
	forget(&pieces);
	ip_reass_free(r);
}

static void patch6(uint8_t *p, size_t offset, bool more)
{
	ip_put16(p + IP6_HEAD + 2, (uint16_t)(offset | more));
}

/* Each case: two fragments, of which the second contradicts the first; and then nothing of the
 * datagram is taken any more. */
static void contradictions_condemn_the_datagram(void **state)
{
	/* Fragment 1 of 3 has payload bytes 1376..2751 (IPv4 and IPv6 alike), 2 the rest to 3000.
	 */
	static const struct {
		unsigned a, b;
		size_t offset; /* b is moved here */
		bool more;
		const char *why;
	} cases[] = {
		{0, 1, 1368, true, "overlap by one unit at the end"},
		{1, 0, 8, true, "overlap by one unit at the front"},
		{0, 1, 0, true, "other bytes at the same place"},
		{2, 1, 2752, true, "more after the last"},
		{2, 2, 2760, false, "another end, later"},
		{1, 2, 1376, false, "an end before bytes that are there"},
		{0, 2, 8, false, "inside"},
	};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct flow *flow = i % 2 ? &flow6 : &flow4;
		struct ip_reass *r = make(0, 0, 0);
		struct pieces pieces = {.n = 0}, intact = {.n = 0};
		struct ip_whole w;
		size_t held;

		cut(flow, 3000, i % 2 ? 1424 : 1396, &intact);
		cut(flow, 3000, i % 2 ? 1424 : 1396, &pieces);
		assert_int_equal(pieces.n, 3);
		assert_int_equal(add(r, &intact, cases[i / 2].a, &w), 0);
		held = ip_reass_memory(r);
		(i % 2 ? patch6 : patch4)(
			pieces.p[cases[i / 2].b], cases[i / 2].offset, cases[i / 2].more);
		if (add(r, &pieces, cases[i / 2].b, &w) != -EBADMSG)
			fail_msg("%s was accepted", cases[i / 2].why);
		assert_int_equal(ip_reass_lost(r), 1);
		assert_true(ip_reass_memory(r) < held);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(add(r, &intact, k, &w), 0);
		ip_reass_expire(r, 60 * second_ns, NULL, NULL);
		assert_int_equal(ip_reass_count(r), 0);
		assert_int_equal(ip_reass_lost(r), 1);
		forget(&pieces);
		forget(&intact);
		ip_reass_free(r);
	}
}

static void impossible_lengths_are_refused(void **state)
{
	struct ip_reass *r = make(0, 0, 0);
	const struct flow *flows[] = {&flow4, &flow6};
	struct ip_whole w;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pieces pieces = {.n = 0};

		cut(flows[i], 1003, 600, &pieces);
		assert_int_equal(pieces.n, 2);
		/* not a multiple of eight, but more to follow */
		(i ? patch6 : patch4)(pieces.p[1], 1376, true);
		assert_int_equal(add(r, &pieces, 1, &w), -EPROTO);
		/* behind 65,535 (the ping of death) */
		(i ? patch6 : patch4)(pieces.p[1], 65528, false);
		assert_int_equal(add(r, &pieces, 1, &w), -EPROTO);
		(i ? patch6 : patch4)(pieces.p[0], 65528 - 544, true);
		assert_int_equal(add(r, &pieces, 0, &w), -EPROTO);
		assert_int_equal(ip_reass_count(r), 0);
		forget(&pieces);
	}
	ip_reass_free(r);
}

static void flows_do_not_mix(void **state)
{
	static const struct flow others[] = {{"10.0.0.1", "10.0.0.2", 78, IP_PROTO_UDP},
		{"10.0.0.1", "10.0.0.2", 77, IP_PROTO_TCP},
		{"10.0.0.9", "10.0.0.2", 77, IP_PROTO_UDP},
		{"10.0.0.1", "10.0.0.9", 77, IP_PROTO_UDP}};
	struct ip_reass *r = make(0, 0, 0);
	struct pieces pieces = {.n = 0};
	struct ip_whole w;
	int link;

	(void)state;
	assert_int_equal(cut(&flow4, 2000, 1400, &pieces), 2);
	assert_int_equal(add(r, &pieces, 0, &w), 0);
	for (unsigned i = 0; i < 4; i++) {
		cut(&others[i], 2000, 1400, &pieces);
		assert_int_equal(add(r, &pieces, pieces.n - 1, &w), 0);
	}
	/* nor do links */
	assert_int_equal(add_from(r, &link, 0, pieces.p[1], pieces.len[1], &w), 0);
	assert_int_equal(ip_reass_count(r), 6);
	assert_int_equal(add(r, &pieces, 1, &w), 1);
	check_whole(&flow4, 2000, &w);
	forget(&pieces);
	ip_reass_free(r);
}

static void congestion_marks_are_joined(void **state)
{
	struct ip_whole w;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ip_reass *r = make(0, 0, 0);
		struct pieces pieces = {.n = 0};

		cut(&flow6, 2000, 1400, &pieces);
		pieces.p[1][1] |= 0x30; /* "congestion experienced" */
		if (i)
			pieces.p[0][1] &= 0xcf; /* but the other end cannot know the mark */
		assert_int_equal(add(r, &pieces, 0, &w), 0);
		assert_int_equal(add(r, &pieces, 1, &w), i ? -EBADMSG : 1);
		if (!i) {
			assert_int_equal(ip_get16(w.packet) >> 4 & 3, 3);
			free(w.memory);
		}
		forget(&pieces);
		ip_reass_free(r);
	}
}

/* Extension headers before the fragment header stay; the last of them names the payload. */
static void unfragmentable_part_is_kept(void **state)
{
	static const uint8_t options[8] = {IP_PROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0};
	struct ip_reass *r = make(0, 0, 0);
	struct pieces pieces = {.n = 0};
	struct ip_header h;
	struct ip_problem problem;
	struct ip_whole w = {0};
	uint8_t longer[2000];

	(void)state;
	cut(&flow6, 2000, 1400, &pieces);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(longer, pieces.p[i], IP6_HEAD);
		memcpy(longer + IP6_HEAD, options, 8);
		memcpy(longer + IP6_HEAD + 8, pieces.p[i] + IP6_HEAD, pieces.len[i] - IP6_HEAD);
		longer[6] = IP_PROTO_DSTOPTS;
		ip_put16(longer + 4, (uint16_t)(pieces.len[i] - IP6_HEAD + 8));
		assert_int_equal(add_from(r, NULL, 0, longer, pieces.len[i] + 8, &w), i == 1);
	}
	assert_int_equal(ip_parse(w.packet, w.len, &h), 0);
	assert_int_equal(h.total, IP6_HEAD + 8 + 2000);
	assert_int_equal(ip_walk(w.packet, w.len, &h, &problem), 0);
	assert_int_equal(h.proto, IP_PROTO_UDP);
	assert_int_equal(h.head, IP6_HEAD + 8);
	for (size_t i = 0; i < 2000; i++)
		assert_int_equal(w.packet[h.head + i], pattern(i));
	free(w.memory);
	forget(&pieces);
	ip_reass_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_obeys_the_mtu),
		cmocka_unit_test(cut_refuses_a_hopeless_mtu),
		cmocka_unit_test(cut_of_a_fragment_keeps_its_place),
		cmocka_unit_test(cut_of_a_fragment_beyond_the_end_is_refused),
		cmocka_unit_test(cut_copies_the_options_that_want_it),
		cmocka_unit_test(reassembles_in_any_order),
		cmocka_unit_test(repeated_fragments_are_ignored),
		cmocka_unit_test(contradictions_condemn_the_datagram),
		cmocka_unit_test(impossible_lengths_are_refused),
		cmocka_unit_test(flows_do_not_mix),
		cmocka_unit_test(congestion_marks_are_joined),
		cmocka_unit_test(unfragmentable_part_is_kept),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Headers and checksums of IPv4 and IPv6. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ip.h"

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* RFC 1071's sum done the slow way, in network order. */
static uint16_t slow_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

static void sum_of_rfc1071_example(void **state)
{
	const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t out[2];

	(void)state;
	ip_put_sum(out, ip_sum_finish(ip_sum(data, sizeof(data), 0)));
	assert_int_equal(ip_get16(out), 0xffff - 0xddf2);
}

static void sum_of_every_length_and_alignment(void **state)
{
	uint8_t data[300], out[2];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 167 + 200);
	for (size_t at = 0; at < 9; at++) {
		for (size_t len = 0; at + len <= sizeof(data); len++) {
			ip_put_sum(out, ip_sum_finish(ip_sum(data + at, len, 0)));
			assert_int_equal(ip_get16(out), slow_sum(data + at, len));
		}
	}
}

static void sum_of_ones_carries(void **state)
{
	static uint8_t data[65535];
	uint8_t out[2];

	(void)state;
	memset(data, 0xff, sizeof(data));
	for (size_t len = 65500; len <= sizeof(data); len++) {
		ip_put_sum(out, ip_sum_finish(ip_sum(data, len, UINT64_C(0xffffffff))));
		assert_int_equal(ip_get16(out), slow_sum(data, len));
	}
	for (uint64_t sum = 0xfffffffffffffff0; sum >= 0xfffffffffffffff0; sum++)
		assert_int_equal(
			ip_sum_finish(sum), (uint16_t) ~(sum % 0xffff ? sum % 0xffff : 0xffff));
}

/* A header whose checksum is known to be b861. */
static const uint8_t known4[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8,
	0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

static void push4_makes_the_known_header(void **state)
{
	const struct addr src = addr("192.168.0.1"), dst = addr("192.168.0.199");
	const struct ip_build b = {
		.proto = IP_PROTO_UDP, .ttl = 64, .dontfrag = true, .src = &src, .dst = &dst};
	uint8_t packet[0x73] = {0};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	assert_ptr_equal(ip_push(packet + IP4_HEAD, sizeof(packet) - IP4_HEAD, &b), packet);
	assert_memory_equal(packet, known4, sizeof(known4));
	assert_int_equal(ip_parse(packet, sizeof(packet), &h), 0);
	assert_int_equal(ip_walk(packet, sizeof(packet), &h, &problem), 0);
	assert_false(h.v6);
	assert_true(h.dontfrag);
	assert_false(ip_is_fragment(&h));
	assert_int_equal(h.head, IP4_HEAD);
	assert_int_equal(h.total, sizeof(packet));
	assert_int_equal(h.proto, IP_PROTO_UDP);
	assert_int_equal(h.ttl, 64);
	assert_true(addr_equal(&h.src, &src) && addr_equal(&h.dst, &dst));
}

static void push6_and_parse(void **state)
{
	const struct addr src = addr("fd00::1"), dst = addr("2001:db8::2");
	const struct ip_build b = {
		.proto = IP_PROTO_TCP, .ttl = 7, .tos = 0xb9, .src = &src, .dst = &dst};
	uint8_t packet[IP6_HEAD + 5] = {0};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	assert_ptr_equal(ip_push(packet + IP6_HEAD, 5, &b), packet);
	assert_int_equal(ip_get32(packet), 0x6b900000);
	assert_int_equal(ip_parse(packet, sizeof(packet), &h), 0);
	assert_int_equal(ip_walk(packet, sizeof(packet), &h, &problem), 0);
	assert_true(h.v6);
	assert_int_equal(h.tos, 0xb9);
	assert_int_equal(h.ttl, 7);
	assert_int_equal(h.proto, IP_PROTO_TCP);
	assert_int_equal(h.head, IP6_HEAD);
	assert_int_equal(h.total, IP6_HEAD + 5);
	assert_true(addr_equal(&h.src, &src) && addr_equal(&h.dst, &dst));
}

static void pseudo_header_of_both_families(void **state)
{
	/* The same done by hand: source, destination, length, protocol. */
	uint8_t p4[12] = {10, 1, 2, 3, 192, 0, 2, 9, 0, 17, 0x12, 0x34}, p6[40] = {0}, out[2];
	struct addr a = addr("10.1.2.3"), b = addr("192.0.2.9");

	(void)state;
	ip_put_sum(out, ip_sum_finish(ip_sum_pseudo(&a, &b, IP_PROTO_UDP, 0x1234)));
	assert_int_equal(ip_get16(out), slow_sum(p4, sizeof(p4)));
	a = addr("fd00:1:2:3:4:5:6:7");
	b = addr("2001:db8::ffff");
	memcpy(p6, a.b, 16);
	memcpy(p6 + 16, b.b, 16);
	ip_put32(p6 + 32, 0x1234);
	p6[39] = IP_PROTO_ICMPV6;
	ip_put_sum(out, ip_sum_finish(ip_sum_pseudo(&a, &b, IP_PROTO_ICMPV6, 0x1234)));
	assert_int_equal(ip_get16(out), slow_sum(p6, sizeof(p6)));
}

static void ttl_decrement_keeps_the_checksum_right(void **state)
{
	uint8_t packet[20];
	struct ip_header h;

	(void)state;
	/* Every checksum value occurs once by way of the identification. */
	for (unsigned id = 0; id <= 0xffff; id++) {
		memcpy(packet, known4, sizeof(packet));
		ip_put16(packet + 2, 20);
		ip_put16(packet + 4, (uint16_t)id);
		ip_put16(packet + 10, 0);
		ip_put_sum(packet + 10, ip_sum_finish(ip_sum(packet, 20, 0)));
		ip_decrement_ttl(packet);
		assert_int_equal(ip_parse(packet, 20, &h), 0);
		assert_int_equal(h.ttl, 63);
	}
}

static void parse_refuses_broken_base_headers(void **state)
{
	static const struct {
		uint8_t at, value;
	} faults[] = {
		{0, 0x44}, {0, 0x35}, {0, 0x75}, {0, 0x4f}, {3, 19}, {3, 0x74}, {10, 0}, {8, 1}};
	uint8_t packet[0x73] = {0};
	struct ip_header h;

	(void)state;
	memcpy(packet, known4, sizeof(known4));
	for (size_t len = 0; len < sizeof(packet); len++)
		assert_int_equal(ip_parse(packet, len, &h), -EPROTO);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		memcpy(packet, known4, sizeof(known4));
		packet[faults[i].at] = faults[i].value;
		assert_int_equal(ip_parse(packet, sizeof(packet), &h), -EPROTO);
	}
}

static void parse6_refuses_broken_base_headers(void **state)
{
	const struct addr src = addr("fd00::1"), dst = addr("fd00::2"), v4 = addr("10.0.0.1");
	struct ip_build b = {.proto = IP_PROTO_TCP, .ttl = 7, .src = &src, .dst = &dst};
	uint8_t packet[IP6_HEAD + 5] = {0};
	struct ip_header h;

	(void)state;
	ip_push(packet + IP6_HEAD, 5, &b);
	for (size_t len = 0; len < sizeof(packet); len++)
		assert_int_equal(ip_parse(packet, len, &h), -EPROTO);
	/* IPv4-mapped addresses would look like IPv4 afterwards. */
	memcpy(packet + 8, v4.b, 16);
	assert_int_equal(ip_parse(packet, sizeof(packet), &h), -EPROTO);
	ip_push(packet + IP6_HEAD, 5, &b);
	memcpy(packet + 24, v4.b, 16);
	assert_int_equal(ip_parse(packet, sizeof(packet), &h), -EPROTO);
}

/* An IPv6 packet whose payload is `body`, the first header in it of type `next`. */
static int walk_body(
	uint8_t next, const void *body, size_t len, struct ip_header *h, struct ip_problem *problem)
{
	const struct addr src = addr("fd00::1"), dst = addr("fd00::2");
	const struct ip_build b = {.proto = next, .ttl = 7, .src = &src, .dst = &dst};
	uint8_t *packet = malloc(IP6_HEAD + len);
	int r;

	assert_non_null(packet);
	memcpy(packet + IP6_HEAD, body, len);
	ip_push(packet + IP6_HEAD, len, &b);
	assert_int_equal(ip_parse(packet, IP6_HEAD + len, h), 0);
	r = ip_walk(packet, IP6_HEAD + len, h, problem);
	free(packet);
	return r;
}

static void walk_passes_known_extension_headers(void **state)
{
	/* hop-by-hop: router alert, Pad1 twice; routing of an unknown type, none left; destination
	 * options: PadN and an unknown option to be skipped; UDP */
	static const uint8_t body[] = {43, 0, 5, 2, 0, 0, 0, 0, /**/
		60, 0, 99, 0, 0, 0, 0, 0,			/**/
		17, 0, 1, 0, 0x1e, 2, 9, 9,			/**/
		1, 2, 3, 4, 0, 8, 0, 0};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	assert_int_equal(walk_body(IP_PROTO_HOPOPTS, body, sizeof(body), &h, &problem), 0);
	assert_int_equal(h.proto, IP_PROTO_UDP);
	assert_int_equal(h.head, IP6_HEAD + 24);
	assert_int_equal(h.next_at, IP6_HEAD + 16);
	for (size_t len = 0; len < 24; len++)
		assert_int_equal(walk_body(IP_PROTO_HOPOPTS, body, len, &h, &problem), -EPROTO);
}

static void walk_tells_what_is_wrong(void **state)
{
	static const struct {
		uint8_t next, body[16];
		bool answer;
		uint8_t code, pointer;
	} cases[] = {
		/* type 0 routing header with segments left: RFC 5095 */
		{43, {17, 0, 0, 1}, true, 0, IP6_HEAD + 2},
		{43, {17, 0, 253, 1}, true, 0, IP6_HEAD + 2},
		/* unknown options: discard; answer; answer unless multicast (this is not) */
		{60, {17, 0, 0x40, 4}, false, 0, 0},
		{60, {17, 0, 0x80, 4}, true, 2, IP6_HEAD + 2},
		{60, {17, 0, 0xc2, 4}, true, 2, IP6_HEAD + 2},
		{60, {17, 0, 0, 0xc2, 3}, true, 2, IP6_HEAD + 3},
		/* an option longer than its header */
		{60, {17, 0, 1, 5}, true, 0, IP6_HEAD + 3},
		/* hop-by-hop not in the first place */
		{60, {0, 0, 1, 4}, true, 1, IP6_HEAD},
	};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			walk_body(cases[i].next, cases[i].body, 16, &h, &problem), -EPROTO);
		assert_int_equal(problem.answer, cases[i].answer);
		assert_int_equal(problem.code, cases[i].code);
		assert_int_equal(problem.pointer, cases[i].pointer);
	}
}

static void walk_bounds_the_chain(void **state)
{
	uint8_t body[8 * (IP6_CHAIN_MAX + 1) + 8] = {0};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	for (int n = 1; n <= IP6_CHAIN_MAX + 1; n++) {
		memset(body, 0, sizeof(body));
		for (int i = 0; i < n; i++) {
			body[8 * i] = i == n - 1 ? IP_PROTO_UDP : IP_PROTO_DSTOPTS;
			body[8 * i + 2] = 1;
			body[8 * i + 3] = 4;
		}
		assert_int_equal(walk_body(IP_PROTO_DSTOPTS, body, sizeof(body), &h, &problem),
			n <= IP6_CHAIN_MAX ? 0 : -EPROTO);
	}
}

static void walk_reads_fragment_headers(void **state)
{
	static const uint8_t atomic[] = {17, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 0, 8, 0, 0};
	static const uint8_t first[] = {17, 0, 0, 1, 1, 2, 3, 4, 1, 2, 3, 4, 0, 8, 0, 0};
	static const uint8_t later[] = {17, 0, 0x12, 0x38, 1, 2, 3, 4, 9};
	static const uint8_t cut[] = {17, 0, 0, 1, 1, 2, 3, 4, 1, 2, 3, 4, 0, 8, 0};
	static const uint8_t chain[] = {60, 0, 0, 1, 1, 2, 3, 4, 17, 1, 1, 4, 0, 0, 0, 0};
	struct ip_header h;
	struct ip_problem problem;

	(void)state;
	assert_int_equal(walk_body(IP_PROTO_FRAGMENT, atomic, sizeof(atomic), &h, &problem), 0);
	assert_false(ip_is_fragment(&h));
	assert_int_equal(h.head, IP6_HEAD + 8);
	assert_int_equal(h.proto, IP_PROTO_UDP);
	assert_int_equal(walk_body(IP_PROTO_FRAGMENT, first, sizeof(first), &h, &problem), 0);
	assert_true(ip_is_fragment(&h) && h.more && h.offset == 0);
	assert_int_equal(h.id, 0x01020304);
	assert_int_equal(h.next_at, 6);
	assert_int_equal(walk_body(IP_PROTO_FRAGMENT, later, sizeof(later), &h, &problem), 0);
	assert_true(ip_is_fragment(&h) && !h.more);
	assert_int_equal(h.offset, 0x1238);
	/* RFC 7112: the first fragment has all headers. */
	assert_int_equal(walk_body(IP_PROTO_FRAGMENT, cut, sizeof(cut), &h, &problem), -EPROTO);
	assert_true(problem.answer && problem.code == 3);
	assert_int_equal(walk_body(IP_PROTO_FRAGMENT, chain, sizeof(chain), &h, &problem), -EPROTO);
	assert_true(problem.answer && problem.code == 3);
}

/* An IPv4 header with options. */
static int walk_options4(const void *options, size_t len, struct ip_problem *problem)
{
	uint8_t packet[IP4_HEAD_MAX] = {0};
	struct ip_header h;

	packet[0] = (uint8_t)(0x45 + len / 4);
	ip_put16(packet + 2, (uint16_t)(IP4_HEAD + len));
	packet[8] = 64;
	packet[12] = packet[16] = 10;
	memcpy(packet + IP4_HEAD, options, len);
	ip_put_sum(packet + 10, ip_sum_finish(ip_sum(packet, IP4_HEAD + len, 0)));
	assert_int_equal(ip_parse(packet, IP4_HEAD + len, &h), 0);
	assert_int_equal(h.head, IP4_HEAD + len);
	return ip_walk(packet, IP4_HEAD + len, &h, problem);
}

static void walk_checks_ipv4_options(void **state)
{
	struct ip_problem problem;

	(void)state;
	/* router alert; NOP and record route; end of list before junk */
	assert_int_equal(walk_options4("\x94\x04\0\0", 4, &problem), 0);
	assert_int_equal(walk_options4("\x01\x07\x07\x04\0\0\0\0", 8, &problem), 0);
	assert_int_equal(walk_options4("\0\xff\xff\xff", 4, &problem), 0);
	/* source routes are dropped without a word */
	assert_int_equal(walk_options4("\x83\x03\x04\0", 4, &problem), -EPROTO);
	assert_false(problem.answer);
	assert_int_equal(walk_options4("\x89\x03\x04\0", 4, &problem), -EPROTO);
	assert_false(problem.answer);
	/* lengths: less than the option's own two bytes, behind the header, missing */
	assert_int_equal(walk_options4("\x01\x07\x01\0", 4, &problem), -EPROTO);
	assert_true(problem.answer && problem.pointer == IP4_HEAD + 1);
	assert_int_equal(walk_options4("\x07\x05\0\0", 4, &problem), -EPROTO);
	assert_true(problem.answer && problem.pointer == IP4_HEAD);
	assert_int_equal(walk_options4("\x01\x01\x01\x07", 4, &problem), -EPROTO);
	assert_true(problem.answer && problem.pointer == IP4_HEAD + 3);
}

static void classes_of_addresses(void **state)
{
	static const struct {
		const char *text;
		enum ip_class class;
	} cases[] = {{"10.0.0.1", IP_UNICAST}, {"169.254.1.1", IP_UNICAST},
		{"0.0.0.0", IP_UNUSABLE}, {"0.1.2.3", IP_UNUSABLE}, {"127.0.0.1", IP_LOOPBACK},
		{"127.255.0.1", IP_LOOPBACK}, {"224.0.0.9", IP_MULTICAST},
		{"239.255.255.255", IP_MULTICAST}, {"255.255.255.255", IP_MULTICAST},
		{"::", IP_UNUSABLE}, {"::1", IP_LOOPBACK}, {"::2", IP_UNICAST},
		{"fd00::1", IP_UNICAST}, {"fe80::1", IP_LINK_LOCAL}, {"febf::1", IP_LINK_LOCAL},
		{"fec0::1", IP_UNICAST}, {"ff02::9", IP_MULTICAST}, {"ff01::1", IP_UNUSABLE},
		{"ff00::1", IP_UNUSABLE}, {"ff0e::1", IP_MULTICAST}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr a = addr(cases[i].text);

		assert_int_equal(ip_classify(&a), cases[i].class);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_of_rfc1071_example),
		cmocka_unit_test(sum_of_every_length_and_alignment),
		cmocka_unit_test(sum_of_ones_carries),
		cmocka_unit_test(push4_makes_the_known_header),
		cmocka_unit_test(push6_and_parse),
		cmocka_unit_test(pseudo_header_of_both_families),
		cmocka_unit_test(ttl_decrement_keeps_the_checksum_right),
		cmocka_unit_test(parse_refuses_broken_base_headers),
		cmocka_unit_test(parse6_refuses_broken_base_headers),
		cmocka_unit_test(walk_passes_known_extension_headers),
		cmocka_unit_test(walk_tells_what_is_wrong),
		cmocka_unit_test(walk_bounds_the_chain),
		cmocka_unit_test(walk_reads_fragment_headers),
		cmocka_unit_test(walk_checks_ipv4_options),
		cmocka_unit_test(classes_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

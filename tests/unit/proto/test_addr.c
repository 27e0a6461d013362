/* SPDX-License-Identifier: MIT */
/* Addresses, prefixes and endpoints: text forms, sockaddrs, masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "addr.h"

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void addresses_round_trip(void **state)
{
	static const char *const texts[][2] = {{"0.0.0.0", "0.0.0.0"}, {"10.77.0.1", "10.77.0.1"},
		{"255.255.255.255", "255.255.255.255"}, {"::", "::"}, {"::1", "::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, {"::ffff:192.0.2.1", "192.0.2.1"},
		{"fe80::1", "fe80::1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}};
	char buf[ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct addr a = addr(texts[i][0]);

		assert_string_equal(addr_format(&a, buf), texts[i][1]);
	}
}

static void malformed_addresses_are_refused(void **state)
{
	static const char *const texts[] = {"", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256",
		"1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "1.2.3.4/24", "1.2.3.4:5", ":",
		":::", "1::2::3", "[::1]", "fe80::1%eth0", "fe80::1%1", "g::", "1:2:3:4:5:6:7:8:9",
		"::ffff:1.2.3", "localhost", "0x7f000001", "2130706433"};
	struct addr a = addr_loopback4;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (addr_parse(texts[i], &a) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_true(addr_equal(&a, &addr_loopback4)); /* untouched */
	}
}

static void classes(void **state)
{
	struct addr a;

	(void)state;
	assert_true(addr_is_v4(&addr_any4));
	assert_false(addr_is_v4(&addr_any6));
	assert_false(addr_equal(&addr_any4, &addr_any6));
	assert_true(addr_is_any(&addr_any4) && addr_is_any(&addr_any6));
	assert_false(addr_is_any(&addr_loopback4));
	a = addr("127.255.0.9");
	assert_true(addr_is_loopback(&a) && addr_is_loopback(&addr_loopback6));
	a = addr("128.0.0.1");
	assert_false(addr_is_loopback(&a));
	a = addr("::2");
	assert_false(addr_is_loopback(&a));
	a = addr("::7f00:1"); /* IPv4-compatible, long obsolete: not loopback */
	assert_false(addr_is_loopback(&a));
	a = addr("224.0.0.1");
	assert_true(addr_is_multicast(&a));
	a = addr("239.255.255.255");
	assert_true(addr_is_multicast(&a));
	a = addr("255.255.255.255");
	assert_true(addr_is_multicast(&a));
	a = addr("ff02::1");
	assert_true(addr_is_multicast(&a));
	a = addr("223.255.255.255");
	assert_false(addr_is_multicast(&a));
	a = addr("240.0.0.1");
	assert_false(addr_is_multicast(&a));
	a = addr("fe80::1");
	assert_false(addr_is_multicast(&a));
}

static void prefixes_round_trip(void **state)
{
	static const struct {
		const char *in, *out;
		uint8_t len;
	} t[] = {{"10.77.0.1/24", "10.77.0.1/24", 120}, {"10.77.0.1", "10.77.0.1/32", 128},
		{"0.0.0.0/0", "0.0.0.0/0", 96}, {"::/0", "::/0", 0},
		{"2001:db8::/32", "2001:db8::/32", 32}, {"2001:db8::1", "2001:db8::1/128", 128},
		{"::ffff:10.0.0.1/120", "10.0.0.1/24", 120},
		{"::ffff:10.0.0.1/90", "::ffff:10.0.0.1/90", 90},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128}};
	char buf[PREFIX_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct prefix p = prefix(t[i].in), again;

		assert_int_equal(p.len, t[i].len);
		assert_string_equal(prefix_format(&p, buf), t[i].out);
		again = prefix(buf);
		assert_memory_equal(&again.addr, &p.addr, sizeof(p.addr));
		assert_int_equal(again.len, p.len);
	}
}

static void malformed_prefixes_are_refused(void **state)
{
	static const char *const texts[] = {"", "/", "/24", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/8/8",
		"10.0.0.0/8x", "::/129", "::/4294967296", "::/18446744073709551616",
		"10.0.0.0/255.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1"};
	struct prefix p = {.len = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (prefix_parse(texts[i], &p) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(p.len, 77);
	}
}

/* Against the definition, bit by bit. */
static void prefix_contains_compares_the_first_bits(void **state)
{
	struct prefix p = {.addr = addr("2001:db8:5555:aaaa:5555:aaaa:5555:aaaa")};

	(void)state;
	for (p.len = 0; p.len <= 128; p.len++) {
		for (unsigned bit = 0; bit < 128; bit++) {
			struct addr a = p.addr;

			a.b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			assert_int_equal(prefix_contains(&p, &a), bit >= p.len);
		}
		assert_true(prefix_contains(&p, &p.addr));
	}
}

static void prefix_mask_clears_the_rest(void **state)
{
	(void)state;
	for (uint8_t len = 0; len <= 128; len++) {
		struct prefix p = {.len = len};

		memset(p.addr.b, 0xff, sizeof(p.addr.b));
		prefix_mask(&p);
		for (unsigned bit = 0; bit < 128; bit++)
			assert_int_equal(p.addr.b[bit / 8] >> (7 - bit % 8) & 1, bit < len);
	}
}

static void families_do_not_contain_each_other(void **state)
{
	struct prefix all4 = prefix("0.0.0.0/0"), net = prefix("10.0.0.0/8");
	struct addr v4 = addr("10.1.2.3"), v6 = addr("2001:db8::1");

	(void)state;
	assert_true(prefix_contains(&all4, &v4));
	assert_false(prefix_contains(&all4, &v6));
	assert_true(prefix_contains(&net, &v4));
	v4 = addr("11.1.2.3");
	assert_false(prefix_contains(&net, &v4));
}

static void endpoints_round_trip(void **state)
{
	static const char *const texts[][2] = {{"1.2.3.4:80", "1.2.3.4:80"},
		{"[2001:db8::1]:65535", "[2001:db8::1]:65535"}, {"[::]:0", "[::]:0"},
		{"[::ffff:1.2.3.4]:1", "1.2.3.4:1"},
		{"255.255.255.255:65535", "255.255.255.255:65535"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"}};
	char buf[ENDPOINT_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct endpoint e, again;

		assert_int_equal(endpoint_parse(texts[i][0], &e), 0);
		assert_string_equal(endpoint_format(&e, buf), texts[i][1]);
		assert_int_equal(endpoint_parse(buf, &again), 0);
		assert_true(endpoint_equal(&e, &again));
	}
}

static void malformed_endpoints_are_refused(void **state)
{
	static const char *const texts[] = {"", ":", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
		"1.2.3.4:-1", "1.2.3.4:8a", "1.2.3.4: 80", "::1:80", "[::1]", "[::1]80", "[::1:80",
		"[:80", "]:80", "[]:80", "[", "[1.2.3.4]:80", "[[::1]]:80", "[::1]:80:80",
		"[::1%lo]:80", "localhost:80",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"};
	struct endpoint e = {.port = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (endpoint_parse(texts[i], &e) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(e.port, 77);
	}
}

static void equality_of_endpoints(void **state)
{
	struct endpoint a = {.addr = addr_loopback4, .port = 1}, b = a;

	(void)state;
	assert_true(endpoint_equal(&a, &b));
	b.port = 2;
	assert_false(endpoint_equal(&a, &b));
	b = a;
	b.addr.b[0] = 1;
	assert_false(endpoint_equal(&a, &b));
}

static void sockaddr_in_round_trips(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(8080)};
	struct sockaddr_storage ss;
	struct endpoint e;

	(void)state;
	inet_pton(AF_INET, "192.0.2.7", &sin.sin_addr);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sin, sizeof(sin), &e), 0);
	assert_int_equal(e.port, 8080);
	assert_true(addr_is_v4(&e.addr));
	assert_int_equal(endpoint_to_sockaddr(&e, AF_INET, &ss), sizeof(sin));
	assert_memory_equal(&ss, &sin, sizeof(sin));
	/* The same as a mapped address. */
	assert_int_equal(endpoint_to_sockaddr(&e, AF_INET6, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_port, htons(8080));
	assert_memory_equal(&((struct sockaddr_in6 *)&ss)->sin6_addr, e.addr.b, 16);
	assert_int_equal(endpoint_to_sockaddr(&e, AF_UNIX, &ss), 0);
}

static void sockaddr_in6_round_trips(void **state)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(53),
		.sin6_scope_id = 3,
		.sin6_flowinfo = 9};
	struct sockaddr_storage ss;
	struct endpoint e;

	(void)state;
	inet_pton(AF_INET6, "2001:db8::7", &sin6.sin6_addr);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sin6, sizeof(sin6), &e), 0);
	assert_int_equal(endpoint_to_sockaddr(&e, AF_INET, &ss), 0); /* cannot be expressed */
	assert_int_equal(endpoint_to_sockaddr(&e, AF_INET6, &ss), sizeof(sin6));
	sin6.sin6_scope_id = sin6.sin6_flowinfo = 0;
	assert_memory_equal(&ss, &sin6, sizeof(sin6));
}

static void short_sockaddrs_are_refused(void **state)
{
	struct sockaddr_in6 *sin6 = calloc(1, sizeof(*sin6));
	struct sockaddr_in *sin = calloc(1, sizeof(*sin));
	struct endpoint e;

	(void)state;
	sin->sin_family = AF_INET;
	sin6->sin6_family = AF_INET6;
	for (socklen_t len = 0; len < sizeof(*sin); len++)
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)sin, len, &e), -EINVAL);
	for (socklen_t len = 0; len < 24; len++)
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)sin6, len, &e), -EINVAL);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)sin6, 24, &e), 0);
	assert_int_equal(endpoint_from_sockaddr(NULL, sizeof(*sin), &e), -EINVAL);
	sin->sin_family = AF_UNIX;
	assert_int_equal(
		endpoint_from_sockaddr((struct sockaddr *)sin, sizeof(*sin), &e), -EAFNOSUPPORT);
	free(sin);
	free(sin6);
}

static void wire_form_round_trips_and_bounds(void **state)
{
	struct endpoint e = {.addr = addr("10.77.0.1"), .port = 0x1234}, got;
	uint8_t buf[ENDPOINT_WIRELEN];
	struct buf_wr wr;
	struct buf_rd rd;

	(void)state;
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_endpoint(&wr, &e);
	assert_int_equal(wr.len, ENDPOINT_WIRELEN);
	assert_int_equal(buf[16], 0x12);
	buf_rd_init(&rd, buf, sizeof(buf));
	buf_get_endpoint(&rd, &got);
	assert_true(buf_rd_done(&rd) && endpoint_equal(&e, &got));
	for (size_t len = 0; len < sizeof(buf); len++) {
		buf_rd_init(&rd, buf, len);
		buf_get_endpoint(&rd, &got);
		assert_true(rd.bad);
		buf_wr_init(&wr, buf, len);
		buf_put_endpoint(&wr, &e);
		assert_true(wr.bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_round_trip),
		cmocka_unit_test(malformed_addresses_are_refused),
		cmocka_unit_test(classes),
		cmocka_unit_test(prefixes_round_trip),
		cmocka_unit_test(malformed_prefixes_are_refused),
		cmocka_unit_test(prefix_contains_compares_the_first_bits),
		cmocka_unit_test(prefix_mask_clears_the_rest),
		cmocka_unit_test(families_do_not_contain_each_other),
		cmocka_unit_test(endpoints_round_trip),
		cmocka_unit_test(malformed_endpoints_are_refused),
		cmocka_unit_test(equality_of_endpoints),
		cmocka_unit_test(sockaddr_in_round_trips),
		cmocka_unit_test(sockaddr_in6_round_trips),
		cmocka_unit_test(short_sockaddrs_are_refused),
		cmocka_unit_test(wire_form_round_trips_and_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

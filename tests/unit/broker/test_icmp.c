/* SPDX-License-Identifier: MIT */
/* ICMP and ICMPv6 messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "icmp.h"

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

struct ends {
	struct addr a, b;
};

static struct ends ends(bool v6)
{
	return v6 ? (struct ends){addr("fd00::1"), addr("fd00::2")}
		  : (struct ends){addr("10.0.0.1"), addr("10.0.0.2")};
}

/* A packet from a to b; `payload` at its end. */
static size_t make(
	const struct ends *e, uint8_t proto, const void *payload, size_t len, uint8_t *packet)
{
	const struct ip_build b = {.proto = proto, .ttl = 3, .src = &e->a, .dst = &e->b};
	size_t head = ip_head_len(&e->a);

	memcpy(packet + head, payload, len);
	ip_push(packet + head, len, &b);
	return head + len;
}

static void echo_becomes_reply_with_right_checksum(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ends e = ends(i);
		uint8_t msg[24] = {0};

		/* Every checksum value occurs once by way of the sequence number. */
		for (unsigned seq = 0; seq <= 0xffff; seq++) {
			msg[0] = i ? ICMP6_ECHO : ICMP4_ECHO;
			ip_put16(msg + 6, (uint16_t)seq);
			icmp_seal(&e.a, &e.b, msg, sizeof(msg));
			assert_int_equal(
				icmp_open(&e.a, &e.b, msg, sizeof(msg)), ICMP_ECHO_REQUEST);
			icmp_echo_reply(i, msg);
			assert_int_equal(icmp_open(&e.b, &e.a, msg, sizeof(msg)), ICMP_ECHO_ANSWER);
		}
	}
}

static void open_refuses_short_and_damaged_messages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ends e = ends(i);
		uint8_t msg[9] = {i ? ICMP6_ECHO : ICMP4_ECHO, 0, 0, 0, 1, 2, 3, 4, 5};

		for (size_t len = 4; len < ICMP_HEAD; len++) {
			icmp_seal(&e.a, &e.b, msg, len);
			assert_int_equal(icmp_open(&e.a, &e.b, msg, len), -EPROTO);
		}
		icmp_seal(&e.a, &e.b, msg, sizeof(msg));
		assert_int_equal(icmp_open(&e.a, &e.b, msg, sizeof(msg)), ICMP_ECHO_REQUEST);
		for (unsigned bit = 0; bit < 8 * sizeof(msg); bit++) {
			msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(icmp_open(&e.a, &e.b, msg, sizeof(msg)), -EPROTO);
			msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void kinds_of_messages(void **state)
{
	static const struct {
		bool v6;
		uint8_t type;
		enum icmp_kind kind;
	} cases[] = {{false, 0, ICMP_ECHO_ANSWER}, {false, 3, ICMP_ERROR}, {false, 4, ICMP_ERROR},
		{false, 5, ICMP_ERROR}, {false, 8, ICMP_ECHO_REQUEST}, {false, 11, ICMP_ERROR},
		{false, 12, ICMP_ERROR}, {false, 13, ICMP_OTHER}, {false, 255, ICMP_OTHER},
		{true, 0, ICMP_ERROR}, {true, 1, ICMP_ERROR}, {true, 127, ICMP_ERROR},
		{true, 128, ICMP_ECHO_REQUEST}, {true, 129, ICMP_ECHO_ANSWER},
		{true, 135, ICMP_OTHER}, {true, 137, ICMP_OTHER}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ends e = ends(cases[i].v6);
		uint8_t msg[8] = {cases[i].type};

		icmp_seal(&e.a, &e.b, msg, sizeof(msg));
		assert_int_equal(icmp_open(&e.a, &e.b, msg, sizeof(msg)), cases[i].kind);
	}
}

static void built_errors_parse_back(void **state)
{
	static const struct {
		bool v6;
		uint8_t type, code;
		uint32_t info;
	} cases[] = {{false, ICMP4_UNREACHABLE, ICMP4_PORT, 0},
		{false, ICMP4_UNREACHABLE, ICMP4_TOO_BIG, 1280}, {false, ICMP4_EXPIRED, 0, 0},
		{false, ICMP4_PROBLEM, 0, 21}, {true, ICMP6_UNREACHABLE, ICMP6_PORT, 0},
		{true, ICMP6_TOO_BIG, 0, 1280}, {true, ICMP6_EXPIRED, 1, 0},
		{true, ICMP6_PROBLEM, 1, 70000}};
	static uint8_t payload[3000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ends e = ends(cases[i].v6);
		uint8_t packet[IP6_HEAD + sizeof(payload)], msg[ICMP_ERROR_MAX];
		size_t room = cases[i].v6 ? 1280 - 40 : 576 - 20;

		for (size_t n = 8; n <= sizeof(payload); n += 64) {
			size_t len = make(&e, IP_PROTO_UDP, payload, n, packet), out;
			struct icmp_build b = {.type = cases[i].type,
				.code = cases[i].code,
				.info = cases[i].info,
				.src = &e.b,
				.dst = &e.a,
				.packet = packet,
				.len = len};
			struct icmp_error error;

			out = icmp_build_error(&b, msg);
			assert_int_equal(out, len + 8 < room ? len + 8 : room);
			assert_int_equal(icmp_open(&e.b, &e.a, msg, out), ICMP_ERROR);
			assert_int_equal(icmp_parse_error(cases[i].v6, msg, out, &error), 0);
			assert_int_equal(error.type, cases[i].type);
			assert_int_equal(error.code, cases[i].code);
			assert_int_equal(error.info, cases[i].info);
			assert_true(addr_equal(&error.quoted.src, &e.a));
			assert_true(addr_equal(&error.quoted.dst, &e.b));
			assert_int_equal(error.quoted.proto, IP_PROTO_UDP);
			assert_int_equal(error.quoted.total, len);
			assert_ptr_equal(error.payload, msg + 8 + error.quoted.head);
			assert_int_equal(error.len, out - 8 - error.quoted.head);
		}
	}
}

static void errors_with_too_little_in_them_are_refused(void **state)
{
	static const uint8_t payload[8];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ends e = ends(i);
		uint8_t packet[60], msg[ICMP_ERROR_MAX];
		size_t len = make(&e, IP_PROTO_UDP, payload, sizeof(payload), packet);
		struct icmp_build b = {.type = i ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE,
			.src = &e.b,
			.dst = &e.a,
			.packet = packet,
			.len = len};
		struct icmp_error error;

		assert_int_equal(icmp_build_error(&b, msg), len + 8);
		for (size_t n = ICMP_HEAD; n < len + 8; n++)
			assert_int_equal(icmp_parse_error(i, msg, n, &error), -EPROTO);
		assert_int_equal(icmp_parse_error(i, msg, len + 8, &error), 0);
		/* the other family inside */
		e = ends(!i);
		make(&e, IP_PROTO_UDP, payload, sizeof(payload), msg + 8);
		assert_int_equal(icmp_parse_error(i, msg, 8 + 60, &error), -EPROTO);
	}
}

static void redirect_and_quench_are_ignored(void **state)
{
	struct ends e = ends(false);
	uint8_t msg[8 + 28] = {4};
	struct icmp_error error;

	(void)state;
	make(&e, IP_PROTO_UDP, "12345678", 8, msg + 8);
	assert_int_equal(icmp_parse_error(false, msg, sizeof(msg), &error), -EPROTO);
	msg[0] = 5;
	assert_int_equal(icmp_parse_error(false, msg, sizeof(msg), &error), -EPROTO);
	msg[0] = 3;
	assert_int_equal(icmp_parse_error(false, msg, sizeof(msg), &error), 0);
}

static void quoted_extension_headers_are_walked(void **state)
{
	/* an atomic fragment's header before UDP */
	static const uint8_t body[16] = {IP_PROTO_UDP, 0, 0, 0, 0, 0, 0, 9, 0x12, 0x34};
	struct ends e = ends(true);
	uint8_t packet[64], msg[ICMP_ERROR_MAX];
	size_t len = make(&e, IP_PROTO_FRAGMENT, body, sizeof(body), packet);
	struct icmp_build b = {.type = ICMP6_UNREACHABLE,
		.code = ICMP6_PORT,
		.src = &e.b,
		.dst = &e.a,
		.packet = packet,
		.len = len};
	struct icmp_error error;
	size_t out = icmp_build_error(&b, msg);

	(void)state;
	assert_int_equal(icmp_parse_error(true, msg, out, &error), 0);
	assert_int_equal(error.quoted.proto, IP_PROTO_UDP);
	assert_int_equal(error.len, 8);
	assert_int_equal(ip_get16(error.payload), 0x1234);
}

/* RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e). */
static void who_may_be_answered(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto, first; /* byte of the payload */
		uint16_t frag;
		uint8_t type, code;
		bool may;
	} cases[] = {
		{"10.0.0.1", "10.0.0.2", 17, 0, 0, 3, 3, true},
		{"10.0.0.1", "10.0.0.2", 1, 8, 0, 3, 3, true},	 /* about an echo request */
		{"10.0.0.1", "10.0.0.2", 1, 3, 0, 3, 3, false},	 /* about errors */
		{"10.0.0.1", "10.0.0.2", 1, 11, 0, 3, 3, false}, /**/
		{"10.0.0.1", "10.0.0.2", 1, 5, 0, 3, 3, false},
		{"10.0.0.1", "10.0.0.2", 17, 0, 0x2000, 3, 3, true}, /* the first fragment */
		{"10.0.0.1", "10.0.0.2", 17, 0, 0x0001, 3, 3, false},
		{"10.0.0.1", "224.0.0.9", 17, 0, 0, 3, 3, false},
		{"10.0.0.1", "255.255.255.255", 17, 0, 0, 3, 3, false},
		{"0.0.0.0", "10.0.0.2", 17, 0, 0, 3, 3, false},
		{"224.0.0.1", "10.0.0.2", 17, 0, 0, 3, 3, false},
		{"127.0.0.1", "127.0.0.1", 17, 0, 0, 3, 3, true},
		{"fd00::1", "fd00::2", 17, 0, 0, 1, 4, true},
		{"fd00::1", "fd00::2", 58, 128, 0, 1, 4, true},
		{"fd00::1", "fd00::2", 58, 1, 0, 1, 4, false},
		{"fd00::1", "fd00::2", 58, 100, 0, 1, 4, false}, /* an unknown error */
		{"fd00::1", "fd00::2", 58, 137, 0, 1, 4, false}, /* redirect */
		{"fd00::1", "ff02::9", 17, 0, 0, 1, 4, false},
		{"fd00::1", "ff0e::9", 17, 0, 0, 2, 0, true}, /* too big, bad option: allowed */
		{"fd00::1", "ff0e::9", 17, 0, 0, 4, 2, true},
		{"fd00::1", "ff0e::9", 17, 0, 0, 4, 1, false},
		{"::", "fd00::2", 17, 0, 0, 1, 4, false},
		{"ff02::1", "fd00::2", 17, 0, 0, 1, 4, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ends e = {addr(cases[i].src), addr(cases[i].dst)};
		uint8_t payload[8] = {cases[i].first}, packet[60];
		size_t len = make(&e, cases[i].proto, payload, sizeof(payload), packet);
		struct ip_header h;

		if (cases[i].frag)
			ip_put16(packet + 6, cases[i].frag);
		assert_int_equal(ip_parse_quoted(packet, len, &h), 0);
		if (icmp_may_answer(&h, packet, cases[i].type, cases[i].code) != cases[i].may)
			fail_msg("case %zu", i);
	}
}

/* Behind a fragment header an error is still an error; where it cannot be seen, it may be one. */
static void no_answer_to_hidden_errors(void **state)
{
	static const uint8_t first[16] = {58, 0, 0, 1, 0, 0, 0, 9, 1},
			     ping[16] = {58, 0, 0, 1, 0, 0, 0, 9, 128},
			     later[16] = {58, 0, 1, 1, 0, 0, 0, 9, 128},
			     udp[16] = {17, 0, 1, 1, 0, 0, 0, 9};
	struct ends e = ends(true);
	uint8_t packet[60];
	struct ip_header h;

	(void)state;
	ip_parse_quoted(packet, make(&e, IP_PROTO_FRAGMENT, first, 16, packet), &h);
	assert_false(icmp_may_answer(&h, packet, ICMP6_TOO_BIG, 0));
	ip_parse_quoted(packet, make(&e, IP_PROTO_FRAGMENT, ping, 16, packet), &h);
	assert_true(icmp_may_answer(&h, packet, ICMP6_TOO_BIG, 0));
	ip_parse_quoted(packet, make(&e, IP_PROTO_FRAGMENT, later, 16, packet), &h);
	assert_false(icmp_may_answer(&h, packet, ICMP6_TOO_BIG, 0));
	ip_parse_quoted(packet, make(&e, IP_PROTO_FRAGMENT, udp, 16, packet), &h);
	assert_true(icmp_may_answer(&h, packet, ICMP6_TOO_BIG, 0));
}

static void errno_as_linux_maps_it(void **state)
{
	static const struct {
		bool v6;
		uint8_t type, code;
		int err;
		bool hard;
	} cases[] = {{false, 3, 0, ENETUNREACH, false}, {false, 3, 1, EHOSTUNREACH, false},
		{false, 3, 2, ENOPROTOOPT, true}, {false, 3, 3, ECONNREFUSED, true},
		{false, 3, 4, EMSGSIZE, true}, {false, 3, 5, EOPNOTSUPP, false},
		{false, 3, 7, EHOSTDOWN, true}, {false, 3, 8, ENONET, true},
		{false, 3, 13, EHOSTUNREACH, true}, {false, 3, 16, EHOSTUNREACH, false},
		{false, 11, 0, EHOSTUNREACH, false}, {false, 12, 0, EPROTO, true},
		{true, 1, 0, ENETUNREACH, false}, {true, 1, 1, EACCES, true},
		{true, 1, 3, EHOSTUNREACH, false}, {true, 1, 4, ECONNREFUSED, true},
		{true, 1, 6, EACCES, true}, {true, 1, 7, EPROTO, true},
		{true, 2, 0, EMSGSIZE, true}, {true, 3, 0, EHOSTUNREACH, false},
		{true, 4, 1, EPROTO, true}, {true, 100, 0, EPROTO, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool hard = !cases[i].hard;

		assert_int_equal(
			icmp_errno(cases[i].v6, cases[i].type, cases[i].code, &hard), cases[i].err);
		assert_int_equal(hard, cases[i].hard);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_becomes_reply_with_right_checksum),
		cmocka_unit_test(open_refuses_short_and_damaged_messages),
		cmocka_unit_test(kinds_of_messages),
		cmocka_unit_test(built_errors_parse_back),
		cmocka_unit_test(errors_with_too_little_in_them_are_refused),
		cmocka_unit_test(redirect_and_quench_are_ignored),
		cmocka_unit_test(quoted_extension_headers_are_walked),
		cmocka_unit_test(who_may_be_answered),
		cmocka_unit_test(no_answer_to_hidden_errors),
		cmocka_unit_test(errno_as_linux_maps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

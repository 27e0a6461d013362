/* SPDX-License-Identifier: MIT */
/* ICMP messages. The first byte chooses the family; the rest is a message, and then also a packet
 * that an error message is made about. */
#include <errno.h>

#include "fuzz.h"
#include "icmp.h"

static void check_error(bool v6, const uint8_t *msg, size_t len)
{
	struct icmp_error e;
	bool hard;

	if (icmp_parse_error(v6, msg, len, &e) < 0)
		return;
	FUZZ_CHECK(e.quoted.v6 == v6 && e.len >= 8);
	FUZZ_CHECK(e.payload >= msg + ICMP_HEAD + (v6 ? IP6_HEAD : IP4_HEAD));
	FUZZ_CHECK(e.payload + e.len <= msg + len);
	FUZZ_CHECK(icmp_errno(v6, e.type, e.code, &hard) > 0);
}

static void check_echo(
	bool v6, const struct addr *src, const struct addr *dst, uint8_t *msg, size_t len)
{
	icmp_seal(src, dst, msg, len);
	if (icmp_open(src, dst, msg, len) != ICMP_ECHO_REQUEST)
		return;
	icmp_echo_reply(v6, msg);
	FUZZ_CHECK(icmp_open(dst, src, msg, len) == ICMP_ECHO_ANSWER);
}

/* What we say about a packet, a peer can read. */
static void check_build(const uint8_t *packet, size_t len)
{
	uint8_t out[ICMP_ERROR_MAX];
	struct ip_header h, walked;
	struct ip_problem problem;
	struct icmp_error e;
	struct icmp_build b = {.code = 3, .info = 9, .packet = packet};

	if (ip_parse(packet, len, &h) < 0 || !icmp_may_answer(&h, packet, h.v6 ? 1 : 3, 3))
		return;
	b.type = h.v6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE;
	b.src = &h.dst;
	b.dst = &h.src;
	b.len = h.total;
	len = icmp_build_error(&b, out);
	FUZZ_CHECK(len <= sizeof(out) && icmp_open(&h.dst, &h.src, out, len) == ICMP_ERROR);
	walked = h;
	if (ip_walk(packet, h.total, &walked, &problem) == 0 && !ip_is_fragment(&walked) &&
		h.total >= walked.head + 8 && walked.head < 400) {
		FUZZ_CHECK(icmp_parse_error(h.v6, out, len, &e) == 0);
		FUZZ_CHECK(addr_equal(&e.quoted.src, &h.src) && e.quoted.head == walked.head);
		FUZZ_CHECK(e.quoted.proto == walked.proto);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr src, dst;
	uint8_t *copy;
	bool v6;

	if (size < 1 + ICMP_HEAD || size > 65535)
		return 0;
	v6 = data[0] & 1;
	FUZZ_CHECK(addr_parse(v6 ? "fd00::1" : "10.0.0.1", &src) == 0);
	FUZZ_CHECK(addr_parse(v6 ? "fd00::2" : "10.0.0.2", &dst) == 0);
	size--;
	copy = malloc(size);
	FUZZ_CHECK(copy);
	memcpy(copy, data + 1, size);
	icmp_open(&src, &dst, copy, size);
	check_error(v6, copy, size);
	check_build(copy, size);
	check_echo(v6, &src, &dst, copy, size);
	free(copy);
	return 0;
}

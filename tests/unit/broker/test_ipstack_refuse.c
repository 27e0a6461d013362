/* SPDX-License-Identifier: MIT */
/* What an IP stack does not take, and how it says so: malformed and spoofed packets, errors about
 * errors, floods, forged ICMP. */
#include "iplab.h"

static const char text[] = "0123456789abcdef";

/* Packets that get no answer at all. */
static void malformed_packets_vanish(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100];
	size_t len = lab_make_udp(packet, "10.0.0.1", "10.0.0.3", LAB_PORT, text, 16);

	(void)state;
	for (size_t n = 0; n < len; n++)
		lab_inject(l.ba, packet, n);
	packet[10] ^= 1;
	lab_inject(l.ba, packet, len);
	len = lab_make_udp(packet, "fd00::1", "fd00::3", LAB_PORT, text, 16);
	for (size_t n = 0; n < len; n++)
		lab_inject(l.ba, packet, n);
	packet[0] = 0x50;
	lab_inject(l.ba, packet, len);
	assert_int_equal(ipstack_stats(l.b->st)->in, 44 + 1 + 64 + 1);
	assert_int_equal(ipstack_stats(l.b->st)->bad_header, ipstack_stats(l.b->st)->in);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void bytes_behind_the_packet_are_ignored(void **state)
{
	static const char *const ends[][2] = {{"10.0.0.1", "10.0.0.3"}, {"fd00::1", "fd00::3"}};
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100] = {0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		size_t len = lab_make_udp(packet, ends[i][0], ends[i][1], LAB_PORT, text, 16);

		lab_inject(l.ba, packet, len + 15);
		assert_int_equal(l.lab->last_len, len);
		lab_run(l.lab);
		assert_int_equal(l.c->nlog, 1 + i);
	}
	lab_free(l.lab);
}

static void spoofed_sources_vanish(void **state)
{
	static const char *const ends[][2] = {{"10.0.0.3", "10.0.0.2"}, {"10.0.0.2", "10.0.0.2"},
		{"10.0.0.99", "10.0.0.3"}, {"127.0.0.1", "10.0.0.2"}, {"0.0.0.0", "10.0.0.2"},
		{"224.0.0.1", "10.0.0.2"}, {"255.255.255.255", "10.0.0.2"},
		{"10.0.0.1", "127.0.0.1"}, {"10.0.0.1", "0.0.0.0"}, {"10.0.0.99", "224.0.0.9"},
		{"fd00::3", "fd00::2"}, {"fd00::2", "fd00::2"}, {"::1", "fd00::2"},
		{"::", "fd00::2"}, {"ff02::1", "fd00::2"}, {"fd00::1", "::1"},
		{"fd00::1", "ff01::1"}, {"fd00::99", "ff02::9"}, {"fe80::99", "fd00::2"}};
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100];
	size_t n = sizeof(ends) / sizeof(ends[0]);

	(void)state;
	l.b->group = lab_addr("224.0.0.9");
	for (size_t i = 0; i < n; i++) {
		size_t len = lab_make_udp(packet, ends[i][0], ends[i][1], 99, text, 16);

		lab_inject(l.ba, packet, len);
		assert_int_equal(ipstack_stats(l.b->st)->bad_source, i + 1);
	}
	assert_int_equal(l.lab->sent, 0);
	assert_int_equal(l.b->nlog, 0);
	lab_free(l.lab);
}

/* An IPv6 packet must not be taken for IPv4 afterwards. */
static void mapped_addresses_inside_ipv6_vanish(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct addr mapped = lab_addr("10.0.0.1");
	uint8_t packet[100];
	size_t len = lab_make_udp(packet, "fd00::1", "fd00::2", 99, text, 16);

	(void)state;
	memcpy(packet + 8, mapped.b, 16);
	lab_inject(l.ba, packet, len);
	assert_int_equal(ipstack_stats(l.b->st)->bad_header, 1);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void damaged_udp_is_not_opened(void **state)
{
	static const char *const ends[][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
	uint8_t packet[100];
	uint16_t sport, dport;
	uint8_t *data;
	size_t dlen;

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct lab_line l = lab_line(1420, 1420);
		size_t len = lab_make_udp(packet, ends[v6][0], ends[v6][1], 99, text, 16);
		size_t head = v6 ? IP6_HEAD : IP4_HEAD;
		/* data; checksum; a length of 7; one that is too long; none: only IPv4 may */
		static const struct {
			uint8_t at, value;
		} faults[] = {{8, 'x'}, {6, 0x55}, {5, 7}, {5, 25}};

		for (size_t i = 0; i < 4; i++) {
			uint8_t saved = packet[head + faults[i].at];

			packet[head + faults[i].at] = faults[i].value;
			lab_inject(l.ba, packet, len);
			packet[head + faults[i].at] = saved;
			assert_int_equal(l.b->nlog, i + 1);
			assert_int_equal(
				ipstack_udp_open(&l.b->log[i].d, &sport, &dport, &data, &dlen),
				-EPROTO);
		}
		ip_put16(packet + head + 6, 0);
		lab_inject(l.ba, packet, len);
		assert_int_equal(ipstack_udp_open(&l.b->log[4].d, &sport, &dport, &data, &dlen),
			v6 ? -EPROTO : 0);
		/* shorter than a header, in a packet of its own */
		len = lab_make(packet, ends[v6][0], ends[v6][1], IP_PROTO_UDP, text, 7);
		lab_inject(l.ba, packet, len);
		assert_int_equal(
			ipstack_udp_open(&l.b->log[5].d, &sport, &dport, &data, &dlen), -EPROTO);
		lab_free(l.lab);
	}
}

static void unknown_protocols_are_refused(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100];

	(void)state;
	lab_inject(l.ba, packet, lab_make(packet, "10.0.0.1", "10.0.0.2", 50, text, 16));
	lab_inject(l.ba, packet, lab_make(packet, "fd00::1", "fd00::2", 50, text, 16));
	/* the other family's ICMP is no ICMP */
	lab_inject(l.ba, packet, lab_make(packet, "10.0.0.1", "10.0.0.2", 58, text, 16));
	lab_inject(l.ba, packet, lab_make(packet, "fd00::1", "fd00::2", 1, text, 16));
	/* "no next header" is complete as it is */
	lab_inject(l.ba, packet, lab_make(packet, "fd00::1", "fd00::2", 59, text, 16));
	lab_run(l.lab);
	assert_int_equal(l.a->nerrors, 4);
	assert_int_equal(l.a->errors[0].e.err, ENOPROTOOPT);
	assert_int_equal(l.a->errors[1].e.type, ICMP6_PROBLEM);
	assert_int_equal(l.a->errors[1].e.code, ICMP6_BAD_NEXT);
	assert_int_equal(l.a->errors[1].e.info, 6);
	assert_int_equal(l.a->errors[2].e.err, ENOPROTOOPT);
	assert_int_equal(l.a->errors[3].e.err, EPROTO);
	lab_free(l.lab);
}

static void bad_extension_headers_are_told(void **state)
{
	/* routing header of type 0 with a segment left (RFC 5095) */
	static const uint8_t routing[24] = {59, 2, 0, 1, [8] = 0xfd, [23] = 9};
	static const uint8_t option[16] = {17, 0, 0x80, 4};
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100];
	size_t len;

	(void)state;
	len = lab_make(packet, "fd00::1", "fd00::2", IP_PROTO_ROUTING, routing, 24);
	lab_inject(l.ba, packet, len);
	lab_inject(l.ba, packet, lab_make(packet, "fd00::1", "fd00::2", 60, option, 16));
	lab_run(l.lab);
	assert_int_equal(ipstack_stats(l.b->st)->icmp_out, 2);
	assert_int_equal(l.a->nlog + l.b->nlog, 0);
	assert_int_equal(l.b->nlog, 0);
	/* on the way to somebody else it is not looked at */
	len = lab_make(packet, "fd00::1", "fd00::3", IP_PROTO_ROUTING, routing, 24);
	lab_inject(l.ba, packet, len);
	assert_int_equal(ipstack_stats(l.b->st)->forwarded, 1);
	/* IPv4: a malformed option is told, a source route is not */
	memset(packet, 0, sizeof(packet));
	len = lab_make(packet, "10.0.0.1", "10.0.0.3", 17,
		"\x07\x01\0\0"
		"12345678",
		12);
	packet[0] = 0x46;
	for (unsigned i = 0; i < 2; i++) {
		packet[IP4_HEAD] = i ? 131 : 7;
		packet[IP4_HEAD + 1] = i ? 3 : 1;
		ip_put16(packet + 10, 0);
		ip_put_sum(packet + 10, ip_sum_finish(ip_sum(packet, 24, 0)));
		lab_inject(l.ba, packet, len);
	}
	assert_int_equal(ipstack_stats(l.b->st)->icmp_out, 3);
	assert_int_equal(ipstack_stats(l.b->st)->forwarded, 1);
	lab_free(l.lab);
}

static void reassembly_timeout_is_told(void **state)
{
	static const char *const dst[] = {"10.0.0.3", "fd00::3"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(dst[i]);
		uint8_t data[2000] = {0};

		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, 2000, NULL), 0);
		lab_run_max(l.lab, 1); /* the first fragment to b ... */
		l.lab->queue->len = 0; /* ... and the second is lost */
		lab_run(l.lab);
		assert_true(ipstack_busy(l.c->st));
		l.lab->now_ns += 61 * UINT64_C(1000000000);
		ipstack_tick(l.c->st, l.lab->now_ns);
		assert_false(ipstack_busy(l.c->st));
		lab_run(l.lab);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.type, i ? ICMP6_EXPIRED : ICMP4_EXPIRED);
		assert_int_equal(l.a->errors[0].e.code, ICMP_REASSEMBLY);
		assert_int_equal(ip_get16(l.a->errors[0].payload + 2), LAB_PORT);
		assert_int_equal(ipstack_stats(l.c->st)->reassembly_failed, 1);
		lab_free(l.lab);
	}
}

/* A first fragment from the peer's link-local address is answered by its own link. */
static void link_that_is_gone_is_told_nothing(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("fe80::b");
	uint8_t data[2000] = {0};
	unsigned sent;

	(void)state;
	for (unsigned gone = 0; gone < 2; gone++) {
		out.link = l.ab;
		out.src = l.ab->local;
		out.dst = l.ba->local;
		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, 2000, NULL), 0);
		l.lab->queue->next->len = 0; /* the second fragment is lost */
		lab_run(l.lab);
		assert_true(ipstack_busy(l.b->st));
		if (gone)
			ipstack_link_gone(l.b->st, l.ba);
		assert_int_equal(ipstack_busy(l.b->st), !gone);
		sent = l.lab->sent;
		l.lab->now_ns += 61 * UINT64_C(1000000000);
		ipstack_tick(l.b->st, l.lab->now_ns);
		assert_int_equal(l.lab->sent, sent + !gone);
		lab_run(l.lab);
	}
	assert_int_equal(l.a->nerrors, 1);
	assert_int_equal(ipstack_stats(l.b->st)->reassembly_failed, 2);
	lab_free(l.lab);
}

static void overlapping_fragments_deliver_nothing(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[600], data[512] = {0};
	size_t len = lab_make_udp(packet, "10.0.0.1", "10.0.0.2", LAB_PORT, data, 504);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		/* 0..511 more, 504..1015 more (overlaps), 512..1023 last */
		static const uint16_t frag[] = {0x2000, 0x2000 | 63, 64};

		ip_put16(packet + 6, frag[i]);
		ip_put16(packet + 10, 0);
		ip_put_sum(packet + 10, ip_sum_finish(ip_sum(packet, 20, 0)));
		lab_inject(l.ba, packet, len);
	}
	assert_int_equal(l.b->nlog, 0);
	assert_int_equal(ipstack_stats(l.b->st)->reassembly_failed, 1);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void atomic_fragments_need_no_partners(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100], body[32] = {IP_PROTO_UDP, 0, 0, 0, 1, 2, 3, 4};
	size_t len = lab_make_udp(packet, "fd00::1", "fd00::2", LAB_PORT, text, 16);

	(void)state;
	memcpy(body + 8, packet + IP6_HEAD, 24);
	len = lab_make(packet, "fd00::1", "fd00::2", IP_PROTO_FRAGMENT, body, 32);
	lab_inject(l.ba, packet, len);
	assert_int_equal(l.b->nlog, 1);
	assert_int_equal(l.b->log[0].d.proto, IP_PROTO_UDP);
	assert_int_equal(ipstack_stats(l.b->st)->fragments_in, 0);
	lab_free(l.lab);
}

static void no_errors_about_errors_and_multicast(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[200], quoted[100], msg[ICMP_ERROR_MAX];
	struct addr src = lab_addr("10.0.0.1"), dst = lab_addr("10.9.9.9");
	struct icmp_build b = {
		.type = ICMP4_UNREACHABLE, .src = &src, .dst = &dst, .packet = quoted};
	size_t len;

	(void)state;
	b.len = lab_make_udp(quoted, "10.9.9.9", "10.0.0.1", 5, text, 16);
	len = icmp_build_error(&b, msg);
	len = lab_make(packet, "10.0.0.1", "10.9.9.9", IP_PROTO_ICMP, msg, len);
	lab_inject(l.ba, packet, len); /* no route; and it is an error */
	assert_int_equal(ipstack_stats(l.b->st)->no_route, 1);
	len = lab_make_udp(packet, "10.0.0.1", "10.9.9.9", 5, text, 16);
	ip_put16(packet + 6, 5); /* not the first fragment */
	ip_put16(packet + 10, 0);
	ip_put_sum(packet + 10, ip_sum_finish(ip_sum(packet, 20, 0)));
	lab_inject(l.ba, packet, len);
	assert_int_equal(ipstack_stats(l.b->st)->no_route, 2);
	lab_inject(l.ba, packet, lab_make_udp(packet, "10.0.0.1", "224.0.0.9", 5, text, 16));
	assert_int_equal(ipstack_stats(l.b->st)->no_route, 3);
	assert_int_equal(l.lab->sent, 0);
	lab_inject(l.ba, packet, lab_make_udp(packet, "10.0.0.1", "10.9.9.9", 5, text, 16));
	assert_int_equal(l.lab->sent, 1);
	lab_free(l.lab);
}

static void errors_are_limited_for_each_source(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("10.0.0.2");
	unsigned sent;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		lab_udp(l.a, &out, 1, 99, text, 5, NULL);
		lab_run(l.lab);
		l.a->nerrors = 0;
	}
	sent = (unsigned)ipstack_stats(l.b->st)->icmp_out;
	assert_int_equal(sent, 100);
	assert_int_equal(ipstack_stats(l.b->st)->icmp_limited, 200);
	l.lab->now_ns += 100000000; /* a tenth of a second: ten more */
	for (unsigned i = 0; i < 50; i++) {
		lab_udp(l.a, &out, 1, 99, text, 5, NULL);
		lab_run(l.lab);
		l.a->nerrors = 0;
	}
	assert_int_equal(ipstack_stats(l.b->st)->icmp_out, sent + 10);
	/* pings are not errors */
	for (unsigned i = 0; i < 300; i++)
		lab_ping(l.a, out, (uint16_t)i, 5, NULL);
	l.a->nlog = LAB_LOG;
	lab_run(l.lab);
	assert_int_equal(ipstack_stats(l.a->st)->delivered, 100 + 10 + 300);
	l.a->nlog = 0;
	lab_free(l.lab);
}

/* An error for a about a packet from `src` to `dst`, as b or c would send it. */
static void forge_too_big(
	struct lab_line *l, const char *src, const char *dst, uint16_t mtu, uint16_t total)
{
	uint8_t packet[200], quoted[100], msg[ICMP_ERROR_MAX];
	struct addr from = lab_addr("10.0.0.3"), to = lab_addr("10.0.0.1");
	struct icmp_build b = {.type = ICMP4_UNREACHABLE,
		.code = ICMP4_TOO_BIG,
		.info = mtu,
		.src = &from,
		.dst = &to,
		.packet = quoted};
	size_t len;

	b.len = lab_make_udp(quoted, src, dst, 5, text, 16);
	ip_put16(quoted + 2, total);
	len = icmp_build_error(&b, msg);
	lab_inject(l->ab, packet, lab_make(packet, "10.0.0.3", "10.0.0.1", 1, msg, len));
}

static uint32_t path_mtu(struct lab_line *l, const char *dst)
{
	struct ipstack_out out = lab_out(dst);
	uint32_t mtu = 0;

	out.dontfrag = true;
	assert_int_equal(ipstack_path_mtu(l->a->st, l->lab->now_ns, &out, &mtu), 0);
	return mtu;
}

static void forged_too_big_has_bounds(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("10.0.0.3");

	(void)state;
	forge_too_big(&l, "10.0.0.2", "10.0.0.3", 1000, 1400); /* not our packet */
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1420);
	assert_int_equal(ipstack_stats(l.a->st)->bad_source, 1);
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 1400, 1400); /* it would have fitted */
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 9000, 9001); /* no news */
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1420);
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 0, 1400); /* an old router: next plateau */
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1006);
	assert_int_equal(path_mtu(&l, "10.0.0.4"), 1420);
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 1200, 1400); /* never up again */
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1006);
	/* Below 552 nobody is believed; but then it goes without DF. */
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 68, 500);
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 552);
	out.dontfrag = true;
	assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, text, 16, NULL), 0);
	assert_int_equal(l.lab->last[6] & 0x40, 0);
	out.dst = lab_addr("10.0.0.2");
	assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, text, 16, NULL), 0);
	assert_int_equal(l.lab->last[6] & 0x40, 0x40);
	lab_free(l.lab);
}

/* Who knows no more than addresses changes nothing for those who do send there. */
static void too_big_about_what_nobody_sent_teaches_nothing(void **state)
{
	struct lab_line l = lab_line(1420, 1420);

	(void)state;
	l.a->forgetful = true;
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 1000, 1400);
	assert_int_equal(l.a->nerrors, 1);
	assert_int_equal(l.a->errors[0].e.info, 1000);
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1420);
	l.a->forgetful = false;
	forge_too_big(&l, "10.0.0.1", "10.0.0.3", 1000, 1400);
	assert_int_equal(path_mtu(&l, "10.0.0.3"), 1000);
	lab_free(l.lab);
}

static void path_mtus_are_a_bounded_table(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	char dst[32];

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		l.a->nerrors = 0;
		snprintf(dst, sizeof(dst), "10.3.%u.%u", i / 200, i % 200);
		forge_too_big(&l, "10.0.0.1", dst, 1000, 1400);
	}
	assert_int_equal(path_mtu(&l, "10.3.1.99"), 1000);
	assert_int_equal(path_mtu(&l, "10.3.0.44"), 1000); /* 256 are kept */
	assert_int_equal(path_mtu(&l, "10.3.0.43"), 1420);
	lab_free(l.lab);
}

/* Injects a TCP segment for b and returns the RST's flags, 0 when there is none. */
static uint8_t segment(struct lab_line *l, unsigned v6, uint32_t seq, uint32_t ack, uint8_t flags,
	size_t data, const uint8_t **rstp)
{
	static const char *const ends[][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
	struct addr a = lab_addr(ends[v6][0]), b = lab_addr(ends[v6][1]);
	uint8_t packet[200], tcp[100] = {0};
	size_t head = v6 ? IP6_HEAD : IP4_HEAD;
	unsigned before = l->lab->sent;

	ip_put16(tcp, 4000);
	ip_put16(tcp + 2, 80);
	ip_put32(tcp + 4, seq);
	ip_put32(tcp + 8, ack);
	tcp[12] = 6 << 4; /* with an option of four bytes */
	tcp[13] = flags;
	ip_put_sum(tcp + 16, ip_sum_finish(ip_sum(tcp, 24 + data,
				     ip_sum_pseudo(&a, &b, IP_PROTO_TCP, 24 + data))));
	lab_inject(l->ba, packet, lab_make(packet, ends[v6][0], ends[v6][1], 6, tcp, 24 + data));
	if (l->lab->sent == before)
		return 0;
	*rstp = l->lab->last + head;
	assert_int_equal(l->lab->last_len, head + 20);
	assert_int_equal(ip_get16(*rstp), 80);
	assert_int_equal(ip_get16(*rstp + 2), 4000);
	assert_int_equal(ip_sum_finish(ip_sum(*rstp, 20, ip_sum_pseudo(&b, &a, 6, 20))), 0);
	return (*rstp)[13];
}

/* RFC 9293, section 3.10.7.1. */
static void tcp_is_refused_by_reset(void **state)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
	struct lab_line l = lab_line(1420, 1420);
	const uint8_t *rst = NULL;

	(void)state;
	l.a->silent = true;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		assert_int_equal(segment(&l, v6, 100, 0, SYN, 0, &rst), RST | ACK);
		assert_int_equal(ip_get32(rst + 4), 0);
		assert_int_equal(ip_get32(rst + 8), 101);
		assert_int_equal(segment(&l, v6, 0xfffffff0, 0, SYN | FIN, 30, &rst), RST | ACK);
		assert_int_equal(ip_get32(rst + 8), 0x10);
		assert_int_equal(segment(&l, v6, 100, 777, ACK, 30, &rst), RST);
		assert_int_equal(ip_get32(rst + 4), 777);
		assert_int_equal(ip_get32(rst + 8), 0);
		assert_int_equal(segment(&l, v6, 100, 777, RST | ACK, 0, &rst), 0);
		lab_run(l.lab);
	}
	for (unsigned i = 0; i < 300; i++)
		segment(&l, 0, 100, 0, SYN, 0, &rst);
	assert_int_equal(ipstack_stats(l.b->st)->icmp_limited, 203);
	lab_free(l.lab);
}

static void damaged_tcp_gets_no_reset(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100], tcp[20] = {0, 1, 0, 2, [12] = 5 << 4, [13] = 2};

	(void)state;
	lab_inject(l.ba, packet, lab_make(packet, "10.0.0.1", "10.0.0.2", 6, tcp, 20));
	lab_inject(l.ba, packet, lab_make(packet, "10.0.0.1", "10.0.0.2", 6, tcp, 19));
	assert_int_equal(l.b->nlog, 2);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void without_an_address_of_its_own_it_is_silent(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	uint8_t packet[100];

	(void)state;
	l.b->no_address = true;
	lab_inject(l.ba, packet, lab_make_udp(packet, "10.0.0.1", "10.9.9.9", 5, text, 16));
	assert_int_equal(ipstack_stats(l.b->st)->no_route, 1);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_packets_vanish),
		cmocka_unit_test(bytes_behind_the_packet_are_ignored),
		cmocka_unit_test(spoofed_sources_vanish),
		cmocka_unit_test(mapped_addresses_inside_ipv6_vanish),
		cmocka_unit_test(damaged_udp_is_not_opened),
		cmocka_unit_test(unknown_protocols_are_refused),
		cmocka_unit_test(bad_extension_headers_are_told),
		cmocka_unit_test(reassembly_timeout_is_told),
		cmocka_unit_test(link_that_is_gone_is_told_nothing),
		cmocka_unit_test(overlapping_fragments_deliver_nothing),
		cmocka_unit_test(atomic_fragments_need_no_partners),
		cmocka_unit_test(no_errors_about_errors_and_multicast),
		cmocka_unit_test(errors_are_limited_for_each_source),
		cmocka_unit_test(forged_too_big_has_bounds),
		cmocka_unit_test(too_big_about_what_nobody_sent_teaches_nothing),
		cmocka_unit_test(path_mtus_are_a_bounded_table),
		cmocka_unit_test(tcp_is_refused_by_reset),
		cmocka_unit_test(damaged_tcp_gets_no_reset),
		cmocka_unit_test(without_an_address_of_its_own_it_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

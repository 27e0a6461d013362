/* SPDX-License-Identifier: MIT */
/* IP stacks joined in memory: what gets through, and what is said where it does not. */
#include "iplab.h"

static const char text[] = "a datagram of some length, not a multiple of eight";

static void udp_there_and_back(void **state)
{
	static const char *const dst[] = {"10.0.0.3", "fd00::3"};
	struct lab_line l = lab_line(1420, 1420);
	uint16_t sport, dport;
	uint8_t *data;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ipstack_out out = lab_out(dst[i]);
		const struct ipstack_delivery *d;

		out.tos = 0x48;
		assert_int_equal(lab_udp(l.a, &out, 1000, LAB_PORT, text, sizeof(text), NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.c->nlog, 1 + i);
		d = &l.c->log[i].d;
		assert_int_equal(d->ttl, IPSTACK_TTL - 1);
		assert_int_equal(d->tos, 0x48);
		assert_false(d->gateway);
		assert_true(addr_equal(&d->src, &out.src) && addr_equal(&d->dst, &out.dst));
		assert_int_equal(l.a->nlog, 1 + i); /* the echo */
		assert_int_equal(ipstack_udp_open(&l.a->log[i].d, &sport, &dport, &data, &len), 0);
		assert_int_equal(sport, LAB_PORT);
		assert_int_equal(dport, 1000);
		assert_int_equal(len, sizeof(text));
		assert_memory_equal(data, text, len);
	}
	assert_int_equal(ipstack_stats(l.b->st)->forwarded, 4);
	assert_int_equal(ipstack_stats(l.b->st)->delivered, 0);
	lab_free(l.lab);
}

static void udp_of_length_zero(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("fd00::3");

	(void)state;
	assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, NULL, 0, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.c->nlog, 1);
	assert_int_equal(l.c->log[0].d.len, UDP_HEAD);
	assert_int_equal(l.a->nlog, 1);
	lab_free(l.lab);
}

static void ping_is_answered_by_the_stack(void **state)
{
	struct lab_line l = lab_line(1420, 1420);

	(void)state;
	assert_int_equal(lab_ping(l.a, lab_out("10.0.0.3"), 1, 56, NULL), 0);
	assert_int_equal(lab_ping(l.a, lab_out("fd00::3"), 2, 57, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.c->nlog, 0);
	assert_int_equal(l.a->nlog, 2);
	assert_int_equal(l.a->log[0].data[0], ICMP4_ECHO_REPLY);
	assert_int_equal(l.a->log[1].data[0], ICMP6_ECHO_ANSWER);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ip_get16(l.a->log[i].data + 4), 0x1234);
		assert_int_equal(ip_get16(l.a->log[i].data + 6), i + 1);
		assert_int_equal(l.a->log[i].d.len, ICMP_HEAD + 56 + i);
		assert_int_equal(l.a->log[i].data[ICMP_HEAD + 5], 35);
		assert_int_equal(l.a->log[i].d.ttl, IPSTACK_TTL - 1);
	}
	lab_free(l.lab);
}

static void ping_larger_than_the_mtu(void **state)
{
	struct lab_line l = lab_line(1420, 1300);

	(void)state;
	assert_int_equal(lab_ping(l.a, lab_out("10.0.0.3"), 1, 5000, NULL), 0);
	assert_int_equal(lab_ping(l.a, lab_out("fd00::2"), 2, 5000, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.a->nlog, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(l.a->log[i].d.len, ICMP_HEAD + 5000);
		for (unsigned k = 0; k < 5000; k++)
			assert_int_equal(l.a->log[i].data[ICMP_HEAD + k], (uint8_t)(k * 7));
	}
	lab_free(l.lab);
}

/* A big echo request that came in one piece goes back by a way that needs pieces. */
static void echo_reply_cut_where_the_request_was_not(void **state)
{
	struct lab_line l = lab_line(9000, 1420);

	(void)state;
	l.ba->mtu = 1400;
	assert_int_equal(lab_ping(l.a, lab_out("10.0.0.2"), 1, 4000, NULL), 0);
	assert_int_equal(lab_ping(l.a, lab_out("fd00::2"), 2, 4000, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.a->nlog, 2);
	assert_int_equal(l.a->log[1].d.len, ICMP_HEAD + 4000);
	assert_int_equal(l.a->log[1].data[ICMP_HEAD + 3999], (uint8_t)(3999 * 7));
	assert_int_equal(ipstack_stats(l.b->st)->fragments_out, 6);
	lab_free(l.lab);
}

/* Hop by hop: each node on the way says "time exceeded", the last one "port unreachable". */
static void traceroute_shape(void **state)
{
	static const char *const dst[] = {"10.0.0.3", "fd00::3"};
	static const char *const hop[] = {"10.0.0.2", "fd00::2"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(dst[i]);
		struct addr middle = lab_addr(hop[i]);
		const struct ipstack_error *e;

		for (out.ttl = 1; out.ttl <= 2; out.ttl++) {
			lab_udp(l.a, &out, 999, (uint16_t)(33434 + out.ttl), text, 20, NULL);
			lab_run(l.lab);
			assert_int_equal(l.a->nerrors, out.ttl);
			e = &l.a->errors[out.ttl - 1].e;
			assert_true(addr_equal(&e->dst, &out.dst));
			assert_int_equal(e->proto, IP_PROTO_UDP);
			assert_int_equal(
				ip_get16(l.a->errors[out.ttl - 1].payload + 2), 33434 + out.ttl);
		}
		e = &l.a->errors[0].e;
		assert_true(addr_equal(&e->offender, &middle));
		assert_int_equal(e->type, i ? ICMP6_EXPIRED : ICMP4_EXPIRED);
		assert_int_equal(e->err, EHOSTUNREACH);
		assert_false(e->hard);
		e = &l.a->errors[1].e;
		assert_true(addr_equal(&e->offender, &out.dst));
		assert_int_equal(e->err, ECONNREFUSED);
		assert_true(e->hard);
		assert_int_equal(ipstack_stats(l.b->st)->ttl_exceeded, 1);
		lab_free(l.lab);
	}
}

static void fragments_over_a_small_hop_in_the_middle(void **state)
{
	struct lab_line l = lab_line(1420, 600);
	uint8_t data[4000];
	uint16_t sport, dport;
	uint8_t *p;
	size_t len;
	struct ipstack_out out = lab_out("10.0.0.3");

	(void)state;
	lab_pattern(data, sizeof(data));
	assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, sizeof(data), NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.c->nlog, 1);
	assert_int_equal(ipstack_udp_open(&l.c->log[0].d, &sport, &dport, &p, &len), 0);
	assert_int_equal(len, sizeof(data));
	assert_memory_equal(p, data, len);
	assert_int_equal(l.a->nlog, 1);
	assert_true(ipstack_stats(l.b->st)->fragments_out > 3);
	assert_int_equal(ipstack_stats(l.c->st)->reassembled, 1);
	assert_false(ipstack_busy(l.c->st));
	lab_free(l.lab);
}

static void largest_datagrams(void **state)
{
	static const struct {
		const char *dst;
		size_t max;
	} cases[] = {{"10.0.0.3", 65507}, {"fd00::3", 65527}, {"10.0.0.1", 65507},
		{"fd00::1", 65527}, {"127.0.0.1", 65507}};
	static uint8_t data[65528];

	(void)state;
	lab_pattern(data, sizeof(data));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab_line l = lab_line(1420, 1280);
		struct ipstack_out out = lab_out(cases[i].dst);
		struct lab_node *to = i < 2 ? l.c : l.a;
		uint16_t sport, dport;
		uint32_t mtu = 0;
		uint8_t *p;
		size_t len;

		to->udp_echo = false;
		assert_int_equal(
			lab_udp(l.a, &out, 1, LAB_PORT, data, cases[i].max + 1, &mtu), -EMSGSIZE);
		assert_true(mtu >= 1420);
		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, cases[i].max, NULL), 0);
		/* IPv6 learns of the smaller hop by its first fragments. */
		lab_run(l.lab);
		if (i == 1) {
			assert_int_equal(to->nlog, 0);
			assert_int_equal(
				lab_udp(l.a, &out, 1, LAB_PORT, data, cases[i].max, NULL), 0);
			lab_run(l.lab);
		}
		assert_int_equal(to->nlog, 1);
		assert_int_equal(ipstack_udp_open(&to->log[0].d, &sport, &dport, &p, &len), 0);
		assert_int_equal(len, cases[i].max);
		assert_memory_equal(p, data, len);
		lab_free(l.lab);
	}
}

static void dontfrag_is_refused_by_the_own_link(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("10.0.0.3");
	uint8_t data[1420] = {0};
	uint32_t mtu = 0;

	(void)state;
	out.dontfrag = true;
	assert_int_equal(lab_udp(l.a, &out, 1, 2, data, 1393, &mtu), -EMSGSIZE);
	assert_int_equal(mtu, 1420);
	assert_int_equal(lab_udp(l.a, &out, 1, 2, data, 1392, NULL), 0);
	out = lab_out("fd00::3");
	out.dontfrag = true;
	assert_int_equal(lab_udp(l.a, &out, 1, 2, data, 1373, &mtu), -EMSGSIZE);
	assert_int_equal(lab_udp(l.a, &out, 1, 2, data, 1372, NULL), 0);
	lab_free(l.lab);
}

static void path_mtu_is_learned_and_forgotten(void **state)
{
	static const char *const dst[] = {"10.0.0.3", "fd00::3"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1300);
		struct ipstack_out out = lab_out(dst[i]);
		uint8_t data[1340] = {0};
		uint32_t mtu = 0;

		out.dontfrag = true;
		assert_int_equal(ipstack_path_mtu(l.a->st, l.lab->now_ns, &out, &mtu), 0);
		assert_int_equal(mtu, 1420);
		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, 1340, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.c->nlog, 0);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.err, EMSGSIZE);
		assert_int_equal(l.a->errors[0].e.info, 1300);
		assert_true(l.a->errors[0].e.hard);
		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, 1340, &mtu), -EMSGSIZE);
		assert_int_equal(mtu, 1300);
		/* Others are cut to fit. */
		out.dontfrag = false;
		l.lab->longest = 0;
		assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, data, 1340, NULL), 0);
		assert_true(l.lab->longest <= 1300);
		lab_run(l.lab);
		assert_int_equal(l.c->nlog, 1);
		/* Ten minutes later it is tried anew. */
		l.lab->now_ns += 600 * UINT64_C(1000000000);
		assert_int_equal(ipstack_path_mtu(l.a->st, l.lab->now_ns, &out, &mtu), 0);
		assert_int_equal(mtu, 1420);
		lab_free(l.lab);
	}
}

static void local_packets_need_no_link(void **state)
{
	static const char *const dst[] = {"10.0.0.1", "fd00::1", "127.0.0.1", "::1", "127.8.9.10"};
	struct lab_line l = lab_line(1420, 1420);

	(void)state;
	l.a->udp_echo = true;
	for (unsigned i = 0; i < 5; i++) {
		struct ipstack_out out = lab_out(dst[i]);

		if (i >= 2)
			out.src = out.dst;
		assert_int_equal(lab_udp(l.a, &out, 4, LAB_PORT, text, sizeof(text), NULL), 0);
		assert_int_equal(l.a->nlog, 2); /* the echo answers its sender from within */
		assert_null(l.a->log[0].d.link);
		assert_int_equal(l.a->log[0].d.ttl, IPSTACK_TTL);
		assert_int_equal(l.a->last_send, 0);
		/* Echo replies and refusals likewise. */
		assert_int_equal(lab_ping(l.a, out, 1, 100, NULL), 0);
		assert_int_equal(l.a->nlog, 3);
		assert_int_equal(lab_udp(l.a, &out, 4, LAB_PORT + 1, text, 5, NULL), 0);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.err, ECONNREFUSED);
		assert_true(addr_equal(&l.a->errors[0].e.offender, &out.dst));
		lab_forget(l.a);
	}
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void own_loopback_source_stays_inside(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("10.0.0.1");

	(void)state;
	out.src = lab_addr("127.0.0.1");
	assert_int_equal(lab_udp(l.a, &out, 4, 5, text, 5, NULL), 0);
	out.dst = lab_addr("10.0.0.3");
	assert_int_equal(lab_udp(l.a, &out, 4, 5, text, 5, NULL), -EINVAL);
	assert_int_equal(l.lab->sent, 0);
	lab_free(l.lab);
}

static void local_answers_without_end_are_stopped(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("10.0.0.1");

	(void)state;
	l.a->ping_pong = true;
	assert_int_equal(lab_udp(l.a, &out, LAB_PORT, LAB_PORT, text, 5, NULL), 0);
	assert_int_equal(l.a->nlog, 8);
	l.a->ping_pong = false;
	lab_forget(l.a);
	assert_int_equal(lab_udp(l.a, &out, 1, LAB_PORT, text, 5, NULL), 0);
	assert_int_equal(l.a->nlog, 1);
	lab_free(l.lab);
}

static void routing_loop_dies_of_its_ttl(void **state)
{
	static const char *const dst[] = {"10.9.9.9", "fd09::9"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(dst[i]);

		/* b and c each think that the other knows the way; and no source is checked, which
		 * alone would end it. */
		l.b->trusting = true;
		lab_add_route(l.b, i ? "fd09::/16" : "10.9.0.0/16", l.bc);
		assert_int_equal(lab_udp(l.a, &out, 1, 2, text, 5, NULL), 0);
		assert_int_equal(lab_run_max(l.lab, 1000), IPSTACK_TTL + 2);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.err, EHOSTUNREACH);
		lab_free(l.lab);
	}
}

static void no_route_is_told(void **state)
{
	static const struct {
		const char *dst;
		int err, node_err;
		uint8_t type, code;
	} cases[] = {{"10.1.0.1", ENETUNREACH, 0, ICMP4_UNREACHABLE, ICMP4_NET},
		{"fd01::1", ENETUNREACH, 0, ICMP6_UNREACHABLE, ICMP6_NO_ROUTE},
		{"10.2.0.1", EHOSTUNREACH, -EHOSTUNREACH, ICMP4_UNREACHABLE, ICMP4_HOST},
		{"fd02::1", EHOSTUNREACH, -EHOSTUNREACH, ICMP6_UNREACHABLE, ICMP6_ADDRESS}};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(cases[i].dst);

		lab_add_route(l.b, i == 2 ? "10.2.0.0/16" : "fd02::/16", NULL)->err = -EHOSTUNREACH;
		assert_int_equal(lab_udp(l.a, &out, 1, 2, text, 5, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.err, cases[i].err);
		assert_int_equal(l.a->errors[0].e.type, cases[i].type);
		assert_int_equal(l.a->errors[0].e.code, cases[i].code);
		assert_int_equal(ipstack_stats(l.b->st)->no_route, 1);
		lab_free(l.lab);
	}
}

static void no_route_at_home_is_an_errno(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = {.src = lab_addr("10.0.0.2"), .dst = lab_addr("10.7.7.7")};

	(void)state;
	assert_int_equal(lab_udp(l.b, &out, 1, 2, text, 5, NULL), -ENETUNREACH);
	out.src = lab_addr("10.0.0.3");
	out.dst = lab_addr("10.0.0.1");
	assert_int_equal(lab_udp(l.b, &out, 1, 2, text, 5, NULL), -EACCES);
	out.src = lab_addr("fd00::2");
	assert_int_equal(lab_udp(l.b, &out, 1, 2, text, 5, NULL), -EINVAL);
	out = (struct ipstack_out){.src = lab_addr("10.0.0.2"), .dst = addr_any4};
	assert_int_equal(lab_udp(l.b, &out, 1, 2, text, 5, NULL), -EINVAL);
	lab_free(l.lab);
}

static void gateway_takes_what_is_not_ours(void **state)
{
	static const char *const dst[] = {"192.0.2.9", "2001:db8::9"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(dst[i]);

		lab_add_route(l.b, i ? "2001:db8::/64" : "192.0.2.0/24", NULL)->gateway = true;
		l.b->udp_echo = true;
		assert_int_equal(lab_udp(l.a, &out, 9, LAB_PORT, text, 30, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.b->nlog, 1);
		assert_true(l.b->log[0].d.gateway);
		assert_int_equal(l.a->nlog, 1); /* b answered in the name of dst */
		assert_true(addr_equal(&l.a->log[0].d.src, &out.dst));
		/* It is a hop, and pings of dst are not its own. */
		out.ttl = 1;
		assert_int_equal(lab_udp(l.a, &out, 9, LAB_PORT, text, 30, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.a->nerrors, 1);
		assert_int_equal(l.a->errors[0].e.type, i ? ICMP6_EXPIRED : ICMP4_EXPIRED);
		assert_int_equal(lab_ping(l.a, lab_out(dst[i]), 1, 9, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.b->nlog, 2);
		assert_int_equal(l.b->log[1].data[0], i ? ICMP6_ECHO : ICMP4_ECHO);
		assert_int_equal(l.a->nlog, 1);
		lab_free(l.lab);
	}
}

static void own_packets_reach_the_own_gateway(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = {.src = lab_addr("10.0.0.2"), .dst = lab_addr("192.0.2.9")};

	(void)state;
	lab_add_route(l.b, "192.0.2.0/24", NULL)->gateway = true;
	l.b->silent = true;
	assert_int_equal(lab_udp(l.b, &out, 9, LAB_PORT, text, 30, NULL), 0);
	assert_int_equal(l.b->nlog, 1);
	assert_true(l.b->log[0].d.gateway);
	assert_null(l.b->log[0].d.link);
	lab_free(l.lab);
}

static void multicast_goes_by_the_named_link_only(void **state)
{
	static const char *const group[] = {"224.0.0.9", "ff02::9"};
	static const char *const dst[] = {"10.0.0.2", "fd00::2"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct lab_line l = lab_line(1420, 1420);
		struct ipstack_out out = lab_out(group[i]);

		out.ttl = i ? 255 : 1;
		assert_int_equal(lab_udp(l.a, &out, 5200, LAB_PORT, text, 5, NULL), -ENETUNREACH);
		out.link = l.ab;
		if (i)
			out.src = l.ab->local;
		assert_int_equal(lab_udp(l.a, &out, 5200, LAB_PORT, text, 5, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.b->nlog, 0); /* nobody there listens */
		l.b->group = out.dst;
		assert_int_equal(lab_udp(l.a, &out, 5200, LAB_PORT, text, 5, NULL), 0);
		assert_int_equal(lab_udp(l.a, &out, 5200, 99, text, 5, NULL), 0);
		lab_run(l.lab);
		assert_int_equal(l.b->nlog, 2);
		assert_ptr_equal(l.b->log[0].d.link, l.ba);
		assert_int_equal(l.b->log[0].d.ttl, out.ttl);
		assert_int_equal(ipstack_stats(l.b->st)->forwarded, 0);
		assert_int_equal(ipstack_stats(l.b->st)->icmp_out, 0); /* of port 99 */
		/* Not by a link with a source that is not ours. */
		out.src = lab_addr(dst[i]);
		assert_int_equal(lab_udp(l.a, &out, 5200, 5200, text, 5, NULL), -EACCES);
		lab_free(l.lab);
	}
}

static void link_local_stays_on_its_link(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = {.src = l.ab->local, .dst = l.ba->local};

	(void)state;
	l.b->udp_echo = true;
	assert_int_equal(lab_udp(l.a, &out, 5, LAB_PORT, text, 5, NULL), 0);
	out.link = l.ab;
	assert_int_equal(lab_udp(l.a, &out, 5, 99, text, 5, NULL), 0);
	assert_int_equal(lab_ping(l.a, out, 1, 3000, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.b->nlog, 2);
	assert_int_equal(l.a->nlog, 2);
	assert_true(addr_equal(&l.a->log[0].d.src, &l.ba->local));
	assert_int_equal(l.a->log[1].d.len, ICMP_HEAD + 3000);
	assert_int_equal(l.a->nerrors, 1);
	/* The other node's other link has another such address. */
	out.dst = l.bc->local;
	assert_int_equal(lab_udp(l.a, &out, 5, LAB_PORT, text, 5, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.b->nlog, 2);
	/* Beyond its scope. */
	out.dst = lab_addr("fd00::3");
	assert_int_equal(lab_udp(l.a, &out, 5, LAB_PORT, text, 5, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.c->nlog, 0);
	assert_int_equal(l.a->nerrors, 2);
	assert_int_equal(l.a->errors[1].e.code, ICMP6_SCOPE);
	/* To ourselves by our own link-local address. */
	out.dst = l.ab->local;
	assert_int_equal(lab_udp(l.a, &out, 5, LAB_PORT, text, 5, NULL), 0);
	assert_int_equal(l.a->nlog, 3);
	lab_free(l.lab);
}

static void multicast_ping6_is_answered_by_unicast(void **state)
{
	struct lab_line l = lab_line(1420, 1420);
	struct ipstack_out out = lab_out("ff02::1");
	struct addr b = lab_addr("fd00::2");

	(void)state;
	l.b->group = out.dst;
	out.link = l.ab;
	assert_int_equal(lab_ping(l.a, out, 1, 8, NULL), 0);
	lab_run(l.lab);
	assert_int_equal(l.a->nlog, 1);
	assert_true(addr_equal(&l.a->log[0].d.src, &b));
	lab_free(l.lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_there_and_back),
		cmocka_unit_test(udp_of_length_zero),
		cmocka_unit_test(ping_is_answered_by_the_stack),
		cmocka_unit_test(ping_larger_than_the_mtu),
		cmocka_unit_test(echo_reply_cut_where_the_request_was_not),
		cmocka_unit_test(traceroute_shape),
		cmocka_unit_test(fragments_over_a_small_hop_in_the_middle),
		cmocka_unit_test(largest_datagrams),
		cmocka_unit_test(dontfrag_is_refused_by_the_own_link),
		cmocka_unit_test(path_mtu_is_learned_and_forgotten),
		cmocka_unit_test(local_packets_need_no_link),
		cmocka_unit_test(own_loopback_source_stays_inside),
		cmocka_unit_test(local_answers_without_end_are_stopped),
		cmocka_unit_test(routing_loop_dies_of_its_ttl),
		cmocka_unit_test(no_route_is_told),
		cmocka_unit_test(no_route_at_home_is_an_errno),
		cmocka_unit_test(gateway_takes_what_is_not_ours),
		cmocka_unit_test(own_packets_reach_the_own_gateway),
		cmocka_unit_test(multicast_goes_by_the_named_link_only),
		cmocka_unit_test(link_local_stays_on_its_link),
		cmocka_unit_test(multicast_ping6_is_answered_by_unicast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

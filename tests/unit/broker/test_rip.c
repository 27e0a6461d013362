/* SPDX-License-Identifier: MIT */
/* rip: what a speaker believes and answers, and its timers, with one speaker and hand-made
 * neighbours. Packets: test_rip_packet.c; networks of speakers: test_rip_sim.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rip.h"

#define SECOND UINT64_C(1000000000)

enum { SENT_MAX = 4096 };

/* What the speaker said and did. */
struct sent {
	void *link;
	struct rip_out out;
	size_t len;
	uint8_t data[1500];
};

static struct bench {
	struct rip *rip;
	struct rip_link *link[2];
	uint64_t now;
	struct sent sent[SENT_MAX];
	size_t nsent;
	size_t routes, withdrawn;
	struct prefix last; /* of the last change */
	uint8_t metric;
	uint16_t tag;
	void *over;
	struct addr next_hop;
	int silent[2]; /* -1: never said */
	uint64_t heard[2];
} b;

static void send_packet(
	void *arg, void *link, const struct rip_out *out, uint8_t *packet, size_t len)
{
	struct sent *sent = &b.sent[b.nsent++];

	(void)arg;
	assert_true(b.nsent < SENT_MAX && len <= sizeof(sent->data));
	*sent = (struct sent){.link = link, .out = *out, .len = len};
	memcpy(sent->data, packet, len);
}

static void route(void *arg, void *link, const struct prefix *prefix, const struct addr *next_hop,
	uint8_t metric, uint16_t tag)
{
	(void)arg;
	b.routes++;
	b.over = link;
	b.last = *prefix;
	b.next_hop = *next_hop;
	b.metric = metric;
	b.tag = tag;
}

static void withdraw(void *arg, const struct prefix *prefix)
{
	(void)arg;
	b.withdrawn++;
	b.last = *prefix;
}

static void silent(void *arg, void *link, bool is)
{
	(void)arg;
	b.silent[link == &b.heard[1]] = is;
}

static uint64_t heard(void *arg, void *link)
{
	(void)arg;
	return *(uint64_t *)link;
}

static uint32_t least(void *arg, uint32_t n)
{
	(void)arg;
	(void)n;
	return 0;
}

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

static struct rip_config configuration(void)
{
	static struct prefix networks[2];
	static struct addr own[2];

	networks[0] = prefix("10.0.0.0/8");
	networks[1] = prefix("fd00::/8");
	own[0] = addr("10.0.0.1");
	own[1] = addr("fd00::1");
	return (struct rip_config){.update_ns = 30 * SECOND,
		.networks = networks,
		.nnetworks = 2,
		.own = own,
		.nown = 2,
		.link_local = addr("fe80::1"),
		.v2 = true,
		.ng = true};
}

/* A speaker with two links and its addresses announced; what it said so far is forgotten. */
static int setup(void **state)
{
	const struct rip_ops ops = {.send = send_packet,
		.route = route,
		.withdraw = withdraw,
		.silent = silent,
		.heard = heard,
		.random = least};
	const struct rip_config config = configuration();
	const struct rip_local locals[] = {{.prefix = prefix("10.0.0.1"), .metric = 1},
		{.prefix = prefix("fd00::1"), .metric = 1}};

	(void)state;
	memset(&b, 0, sizeof(b));
	b.silent[0] = b.silent[1] = -1;
	b.now = 100 * SECOND;
	if (rip_new(&ops, &config, b.now, &b.rip) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (rip_link_add(b.rip, &b.heard[i], 1420, b.now, &b.link[i]) < 0)
			return -1;
	if (rip_set_locals(b.rip, locals, 2, b.now) < 0)
		return -1;
	rip_tick(b.rip, b.now);
	b.nsent = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rip_free(b.rip);
	return 0;
}

static void wait_seconds(unsigned s)
{
	const uint64_t end = b.now + s * SECOND;

	for (uint64_t at; (at = rip_deadline(b.rip)) <= end;) {
		b.now = at > b.now ? at : b.now;
		rip_tick(b.rip, b.now);
	}
	b.now = end;
}

/* --- hand-made neighbours --- */

struct message {
	enum rip_version version;
	uint8_t data[1500];
	size_t len;
	struct endpoint src;
	struct addr dst;
	uint8_t ttl;
};

static struct message message(enum rip_version version, int neighbour)
{
	struct message m = {.version = version};
	const bool v2 = version == RIP_V2;

	m.src = v2 ? (struct endpoint){addr(neighbour ? "10.0.0.3" : "10.0.0.2"), 520}
		   : (struct endpoint){addr(neighbour ? "fe80::3" : "fe80::2"), 521};
	m.dst = v2 ? rip_group4 : rip_group6;
	m.ttl = v2 ? 1 : 255;
	return m;
}

static struct message response(
	enum rip_version version, int neighbour, const char *text, uint8_t metric)
{
	struct message m = message(version, neighbour);
	const struct rip_entry e = {
		.prefix = prefix(text), .metric = metric, .tag = 7, .next_hop = addr_any6};
	struct rip_writer w;

	rip_write(&w, version, RIP_RESPONSE, m.data, sizeof(m.data));
	assert_true(rip_write_entry(&w, &e));
	m.len = w.wr.len;
	return m;
}

static int give(int link, const struct message *m)
{
	return rip_input(
		b.rip, b.link[link], m->version, &m->src, &m->dst, m->ttl, m->data, m->len, b.now);
}

static int say(int link, enum rip_version version, const char *text, uint8_t metric)
{
	const struct message m = response(version, link, text, metric);

	return give(link, &m);
}

static uint8_t metric_of(const char *text)
{
	const struct prefix p = prefix(text);

	return rip_metric(b.rip, &p);
}

/* The metric of the prefix in what was last sent by a link; 0 when it is not there. */
static uint8_t said(int link, enum rip_version version, const char *text)
{
	const struct prefix p = prefix(text);
	uint8_t metric = 0;

	for (size_t i = 0; i < b.nsent; i++) {
		const struct sent *s = &b.sent[i];
		struct rip_reader reader;
		struct rip_entry e;

		if (s->link != &b.heard[link] || s->out.version != version)
			continue;
		assert_int_equal(rip_read(&reader, version, s->data, s->len), 0);
		while (rip_read_entry(&reader, &e))
			if (e.prefix.len == p.len && addr_equal(&e.prefix.addr, &p.addr))
				metric = e.metric;
		assert_int_equal(reader.refused, 0);
	}
	return metric;
}

/* --- learning --- */

static void test_learns_and_forgets(void **state)
{
	struct rip_stats stats;

	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_int_equal(b.routes, 1);
	assert_int_equal(b.metric, 4);
	assert_int_equal(b.tag, 7);
	assert_ptr_equal(b.over, &b.heard[0]);
	assert_true(addr_equal(&b.next_hop, &(struct addr){.b = {[10] = 255, 255, 10, 0, 0, 2}}));
	assert_int_equal(metric_of("10.5.0.0/16"), 4);
	wait_seconds(100);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0); /* confirmed */
	assert_int_equal(b.routes, 1);
	wait_seconds(179);
	assert_int_equal(b.withdrawn, 0);
	wait_seconds(1);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(metric_of("10.5.0.0/16"), 16);
	wait_seconds(119);
	rip_stats(b.rip, &stats);
	assert_int_equal(stats.destinations, 3);
	b.nsent = 0;
	wait_seconds(1);
	rip_stats(b.rip, &stats);
	assert_int_equal(stats.destinations, 2);
	wait_seconds(60);
	assert_int_equal(said(1, RIP_V2, "10.5.0.0/16"), 0);
}

static void test_better_and_worse(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_NG, "fd00:5::/32", 5), 0);
	assert_int_equal(say(1, RIP_NG, "fd00:5::/32", 6), 0);
	assert_ptr_equal(b.over, &b.heard[0]);
	assert_int_equal(say(1, RIP_NG, "fd00:5::/32", 4), 0);
	assert_ptr_equal(b.over, &b.heard[1]);
	assert_int_equal(b.metric, 5);
	/* Who has it is believed when it becomes worse, and so is the other one then. */
	assert_int_equal(say(1, RIP_NG, "fd00:5::/32", 9), 0);
	assert_int_equal(b.metric, 10);
	assert_int_equal(say(0, RIP_NG, "fd00:5::/32", 5), 0);
	assert_ptr_equal(b.over, &b.heard[0]);
	assert_int_equal(b.withdrawn, 0);
}

static void test_equal_metric_after_half_the_timeout(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	wait_seconds(89);
	assert_int_equal(say(1, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_ptr_equal(b.over, &b.heard[0]);
	wait_seconds(1);
	assert_int_equal(say(1, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_ptr_equal(b.over, &b.heard[1]);
}

static void test_unreachable(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 16), 0); /* nothing to lose */
	assert_int_equal(say(0, RIP_V2, "10.6.0.0/16", 15), 0); /* 16 from here */
	assert_int_equal(b.routes, 0);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 1), 0);
	assert_int_equal(say(1, RIP_V2, "10.5.0.0/16", 16), 0); /* not whose route it is */
	assert_int_equal(b.withdrawn, 0);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 16), 0);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 16), 0);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(say(1, RIP_V2, "10.5.0.0/16", 2), 0); /* while it is garbage */
	assert_int_equal(b.routes, 2);
	assert_ptr_equal(b.over, &b.heard[1]);
}

static void test_who_is_not_believed(void **state)
{
	const struct message v2 = response(RIP_V2, 0, "10.5.0.0/16", 1);
	const struct message ng = response(RIP_NG, 0, "fd00:5::/32", 1);
	struct message m;

	(void)state;
	m = v2;
	m.src.port = 1024;
	assert_int_equal(give(0, &m), -EACCES);
	m = v2;
	m.src.addr = addr("10.0.0.1"); /* our own */
	assert_int_equal(give(0, &m), -EALREADY);
	m = ng;
	m.src.addr = addr("fe80::1");
	assert_int_equal(give(0, &m), -EALREADY);
	m = ng;
	m.ttl = 254; /* it came from farther away */
	assert_int_equal(give(0, &m), -EACCES);
	m = ng;
	m.src.addr = addr("fd00::2");
	assert_int_equal(give(0, &m), -EACCES);
	m = ng;
	m.src.port = 520;
	assert_int_equal(give(0, &m), -EACCES);
	m = v2;
	m.src.addr = addr("224.0.0.9");
	assert_int_equal(give(0, &m), -EACCES);
	m = v2;
	m.data[1] = 9;
	m.data[0] = 9;
	assert_int_equal(give(0, &m), -EPROTO);
	assert_int_equal(b.routes, 0);
}

static void test_unicast_response_only_when_asked(void **state)
{
	struct message m = response(RIP_V2, 0, "10.5.0.0/16", 1);

	(void)state;
	m.dst = addr("10.0.0.1");
	assert_int_equal(give(0, &m), 0); /* the link was asked when it came up */
	wait_seconds(31);
	m = response(RIP_V2, 0, "10.6.0.0/16", 1);
	m.dst = addr("10.0.0.1");
	assert_int_equal(give(0, &m), -EACCES);
}

static void test_what_is_not_believed(void **state)
{
	static const char *const v2[] = {"0.0.0.0/0", "192.0.2.0/24", "10.0.0.0/7", "127.0.0.0/8",
		"127.1.2.3/32", "224.0.0.0/4", "239.1.1.1/32", "240.0.0.0/4", "0.0.0.0/8",
		"169.254.0.0/16", "10.0.0.1/32"};
	static const char *const ng[] = {"::/0", "2001:db8::/32", "fc00::/7", "fe80::/10",
		"fe80::1/128", "ff02::/16", "::1/128", "::/128", "fd00::1/128"};
	struct rip_stats stats;

	(void)state;
	for (size_t i = 0; i < sizeof(v2) / sizeof(v2[0]); i++)
		assert_int_equal(say(0, RIP_V2, v2[i], 1), 0);
	for (size_t i = 0; i < sizeof(ng) / sizeof(ng[0]); i++)
		assert_int_equal(say(0, RIP_NG, ng[i], 1), 0);
	assert_int_equal(b.routes, 0);
	rip_stats(b.rip, &stats);
	assert_int_equal(
		stats.refused_routes, sizeof(v2) / sizeof(v2[0]) + sizeof(ng) / sizeof(ng[0]));
}

static void test_special_prefixes_are_refused_in_any_network(void **state)
{
	static const char *const bad[] = {"127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4",
		"255.255.255.255/32", "0.0.0.0/8", "169.254.1.0/24"};
	const struct prefix all[] = {prefix("0.0.0.0/0"), prefix("::/0")};
	struct rip_config config = configuration();

	(void)state;
	config.networks = all;
	config.nnetworks = 2;
	assert_int_equal(rip_configure(b.rip, &config, b.now), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(say(0, RIP_V2, bad[i], 1), 0);
	assert_int_equal(say(0, RIP_NG, "ff00::/8", 1), 0);
	assert_int_equal(say(0, RIP_NG, "fe80::/64", 1), 0);
	assert_int_equal(b.routes, 0);
	/* The default route is fine when the networks have it. */
	assert_int_equal(say(0, RIP_V2, "0.0.0.0/0", 1), 0);
	assert_int_equal(say(0, RIP_NG, "::/0", 1), 0);
	assert_int_equal(b.routes, 2);
}

static void test_quota_of_a_neighbour(void **state)
{
	struct rip_config config = configuration();
	struct rip_stats stats;
	char text[32];

	(void)state;
	config.routes_max = 3;
	assert_int_equal(rip_configure(b.rip, &config, b.now), 0);
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "10.9.%d.0/24", i);
		assert_int_equal(say(0, RIP_V2, text, 1), 0);
	}
	assert_int_equal(b.routes, 3);
	rip_stats(b.rip, &stats);
	assert_int_equal(stats.over_quota, 2);
	/* To withdraw them does not make room before they are forgotten. */
	assert_int_equal(say(0, RIP_V2, "10.9.0.0/24", 16), 0);
	assert_int_equal(say(0, RIP_V2, "10.9.4.0/24", 1), 0);
	assert_int_equal(b.routes, 3);
	assert_int_equal(say(1, RIP_V2, "10.9.4.0/24", 1), 0); /* another one has its own */
	assert_int_equal(b.routes, 4);
}

static void test_narrower_networks_unlearn(void **state)
{
	const struct prefix only = prefix("10.5.0.0/16");
	struct rip_config config = configuration();

	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.1.0/24", 1), 0);
	assert_int_equal(say(0, RIP_V2, "10.6.1.0/24", 1), 0);
	config.networks = &only;
	config.nnetworks = 1;
	assert_int_equal(rip_configure(b.rip, &config, b.now), 0);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(metric_of("10.5.1.0/24"), 2);
	assert_int_equal(metric_of("10.6.1.0/24"), 16);
}

static void test_removed_link(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 1), 0);
	assert_int_equal(say(1, RIP_V2, "10.6.0.0/16", 1), 0);
	rip_link_remove(b.rip, b.link[0], b.now);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(metric_of("10.6.0.0/16"), 2);
	b.nsent = 0;
	wait_seconds(6);
	assert_int_equal(said(1, RIP_V2, "10.5.0.0/16"), 16);
	wait_seconds(300);
}

/* --- speaking --- */

static void test_asks_when_a_link_comes(void **state)
{
	struct rip_link *link;
	struct rip_reader reader;
	uint64_t user = 0;

	(void)state;
	assert_int_equal(rip_link_add(b.rip, &user, 1420, b.now, &link), 0);
	assert_int_equal(b.nsent, 2);
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		assert_ptr_equal(b.sent[v].link, &user);
		assert_int_equal(b.sent[v].out.dst.port, v == RIP_V2 ? 520 : 521);
		assert_int_equal(b.sent[v].out.ttl, v == RIP_V2 ? 1 : 255);
		assert_int_equal(rip_read(&reader, v, b.sent[v].data, b.sent[v].len), 0);
		assert_true(reader.whole);
	}
}

static void test_regular_updates_with_poisoned_reverse(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_int_equal(say(0, RIP_NG, "fd00:5::/32", 3), 0);
	wait_seconds(10);
	b.nsent = 0;
	wait_seconds(36);
	assert_int_equal(said(0, RIP_V2, "10.5.0.0/16"), 16);
	assert_int_equal(said(1, RIP_V2, "10.5.0.0/16"), 4);
	assert_int_equal(said(0, RIP_NG, "fd00:5::/32"), 16);
	assert_int_equal(said(1, RIP_NG, "fd00:5::/32"), 4);
	assert_int_equal(said(0, RIP_V2, "10.0.0.1/32"), 1);
	assert_int_equal(said(1, RIP_NG, "fd00::1/128"), 1);
}

static void test_triggered_updates_are_held_back(void **state)
{
	(void)state;
	wait_seconds(10); /* the start's own update is long over */
	b.nsent = 0;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_true(rip_deadline(b.rip) <= b.now);
	rip_tick(b.rip, b.now);
	assert_int_equal(said(1, RIP_V2, "10.5.0.0/16"), 4);
	assert_int_equal(said(1, RIP_V2, "10.0.0.1/32"), 0); /* what did not change is not in it */
	b.now += SECOND / 10;
	assert_int_equal(say(0, RIP_V2, "10.6.0.0/16", 3), 0);
	rip_tick(b.rip, b.now);
	assert_int_equal(said(1, RIP_V2, "10.6.0.0/16"), 0);
	wait_seconds(1);
	assert_int_equal(said(1, RIP_V2, "10.6.0.0/16"), 4);
}

static void test_large_tables_go_in_many_packets(void **state)
{
	static struct rip_local locals[3000];
	size_t entries = 0, largest[2] = {0};
	char text[64];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), i % 2 ? "10.%d.%d.0/24" : "fd00:%x:%x::/48", i / 100,
			i % 100);
		locals[i] = (struct rip_local){.prefix = prefix(text), .metric = 1};
	}
	assert_int_equal(rip_set_locals(b.rip, locals, 3000, b.now), 0);
	wait_seconds(40);
	for (size_t i = 0; i < b.nsent; i++) {
		const struct sent *s = &b.sent[i];

		if (s->link == &b.heard[0])
			entries += (s->len - 4) / 20;
		if (s->len > largest[s->out.version])
			largest[s->out.version] = s->len;
	}
	assert_true(entries >= 3000);
	assert_int_equal(largest[RIP_V2], 504);
	assert_int_equal(largest[RIP_NG], 4 + (1420 - 48 - 4) / 20 * 20);
}

static void test_request_for_the_whole_table(void **state)
{
	struct message m = message(RIP_V2, 0);
	struct rip_writer w;

	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	assert_int_equal(say(1, RIP_V2, "10.6.0.0/16", 3), 0);
	wait_seconds(10);
	b.nsent = 0;
	rip_write(&w, RIP_V2, RIP_REQUEST, m.data, sizeof(m.data));
	rip_write_whole(&w);
	m.len = w.wr.len;
	m.src.port = 40000; /* a program that looks */
	assert_int_equal(give(0, &m), 0);
	assert_int_equal(give(0, &m), -EAGAIN);
	rip_tick(b.rip, b.now + SECOND / 100);
	assert_int_equal(b.nsent, 1);
	assert_true(endpoint_equal(&b.sent[0].out.dst, &m.src));
	assert_int_equal(said(0, RIP_V2, "10.5.0.0/16"), 16); /* the horizon is split */
	assert_int_equal(said(0, RIP_V2, "10.6.0.0/16"), 4);
	assert_int_equal(said(0, RIP_V2, "10.0.0.1/32"), 1);
	assert_int_equal(give(0, &m), -EAGAIN); /* once a second */
	wait_seconds(2);
	assert_int_equal(give(0, &m), 0);
}

static void test_request_for_some(void **state)
{
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		struct message m = message(v, 0);
		const char *known = v == RIP_V2 ? "10.5.0.0/16" : "fd00:5::/32";
		const char *unknown = v == RIP_V2 ? "10.6.0.0/16" : "fd00:6::/32";
		struct rip_writer w;

		assert_int_equal(say(0, v, known, 3), 0);
		b.nsent = 0;
		rip_write(&w, v, RIP_REQUEST, m.data, sizeof(m.data));
		rip_write_entry(&w, &(struct rip_entry){.prefix = prefix(known)});
		rip_write_entry(&w, &(struct rip_entry){.prefix = prefix(unknown)});
		m.len = w.wr.len;
		assert_int_equal(give(0, &m), 0);
		assert_int_equal(b.nsent, 1);
		assert_int_equal(said(0, v, known), 4); /* no split horizon here */
		assert_int_equal(said(0, v, unknown), 16);
		/* A request for nothing is not answered. */
		m.len = 4;
		b.nsent = 0;
		assert_int_equal(give(0, &m), 0);
		assert_int_equal(b.nsent, 0);
	}
	(void)state;
}

static void test_locals(void **state)
{
	const struct rip_local locals[] = {
		{.prefix = prefix("10.7.0.0/16"), .link = b.link[0], .metric = 2},
		{.prefix = prefix("10.8.0.0/16"), .metric = 3, .tag = 9},
		{.prefix = prefix("10.8.0.0/16"), .metric = 5},	 /* the first counts */
		{.prefix = prefix("192.0.2.0/24"), .metric = 1}, /* not in the networks */
		{.prefix = prefix("ff00::/8"), .metric = 1},
	};

	(void)state;
	assert_int_equal(rip_set_locals(b.rip, locals, 5, b.now), 0);
	assert_int_equal(metric_of("10.8.0.0/16"), 3);
	assert_int_equal(metric_of("192.0.2.0/24"), 16);
	assert_int_equal(metric_of("10.0.0.1/32"), 16); /* replaced */
	assert_int_equal(metric_of("10.7.0.0/16"), 16); /* nothing was heard on the link yet */
	b.heard[0] = b.now + 1;
	wait_seconds(31);
	assert_int_equal(metric_of("10.7.0.0/16"), 2);
	b.nsent = 0;
	wait_seconds(40);
	assert_int_equal(said(0, RIP_V2, "10.7.0.0/16"), 16); /* it leads there */
	assert_int_equal(said(1, RIP_V2, "10.7.0.0/16"), 2);
}

static void test_learned_stands_in_for_a_local_one(void **state)
{
	const struct rip_local local = {
		.prefix = prefix("10.7.0.0/16"), .link = b.link[0], .metric = 2};

	(void)state;
	assert_int_equal(rip_set_locals(b.rip, &local, 1, b.now), 0);
	b.heard[0] = b.now + 1;
	wait_seconds(31);
	assert_int_equal(say(1, RIP_V2, "10.7.0.0/16", 5), 0);
	assert_int_equal(b.routes, 1); /* the table ranks them */
	assert_int_equal(metric_of("10.7.0.0/16"), 2);
	wait_seconds(140);
	assert_int_equal(say(1, RIP_V2, "10.7.0.0/16", 5), 0);
	wait_seconds(40);
	assert_int_equal(b.silent[0], 1);
	assert_int_equal(b.silent[1], -1);
	assert_int_equal(metric_of("10.7.0.0/16"), 6);
	b.heard[0] = b.now + 1;
	wait_seconds(16);
	assert_int_equal(b.silent[0], 0);
	assert_int_equal(metric_of("10.7.0.0/16"), 2);
	assert_int_equal(rip_set_locals(b.rip, NULL, 0, b.now), 0);
	assert_int_equal(metric_of("10.7.0.0/16"), 6);
}

static void test_timers_follow_the_update_interval(void **state)
{
	struct rip_config config = configuration();

	(void)state;
	config.update_ns = SECOND;
	assert_int_equal(rip_configure(b.rip, &config, b.now), 0);
	wait_seconds(1);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	wait_seconds(5);
	assert_int_equal(b.withdrawn, 0);
	wait_seconds(1);
	assert_int_equal(b.withdrawn, 1);
	b.nsent = 0;
	wait_seconds(3);
	assert_in_range(b.nsent, 3 * 4, 4 * 4); /* two links, two versions */
}

static void test_stop_says_goodbye(void **state)
{
	(void)state;
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), 0);
	wait_seconds(10);
	b.nsent = 0;
	rip_stop(b.rip, b.now);
	assert_int_equal(b.withdrawn, 1);
	assert_int_equal(said(1, RIP_V2, "10.0.0.1/32"), 16);
	assert_int_equal(said(0, RIP_NG, "fd00::1/128"), 16);
	assert_int_equal(said(1, RIP_V2, "10.5.0.0/16"), 16);
}

static void test_a_version_that_is_not_spoken(void **state)
{
	struct rip_config config = configuration();

	(void)state;
	config.v2 = false;
	assert_int_equal(rip_configure(b.rip, &config, b.now), 0);
	assert_int_equal(say(0, RIP_V2, "10.5.0.0/16", 3), -EACCES);
	b.nsent = 0;
	wait_seconds(60);
	assert_true(b.nsent > 0);
	for (size_t i = 0; i < b.nsent; i++)
		assert_int_equal(b.sent[i].out.version, RIP_NG);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(learns_and_forgets),
		T(better_and_worse),
		T(equal_metric_after_half_the_timeout),
		T(unreachable),
		T(who_is_not_believed),
		T(unicast_response_only_when_asked),
		T(what_is_not_believed),
		T(special_prefixes_are_refused_in_any_network),
		T(quota_of_a_neighbour),
		T(narrower_networks_unlearn),
		T(removed_link),
		T(asks_when_a_link_comes),
		T(regular_updates_with_poisoned_reverse),
		T(triggered_updates_are_held_back),
		T(large_tables_go_in_many_packets),
		T(request_for_the_whole_table),
		T(request_for_some),
		T(locals),
		T(learned_stands_in_for_a_local_one),
		T(timers_follow_the_update_interval),
		T(stop_says_goodbye),
		T(a_version_that_is_not_spoken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

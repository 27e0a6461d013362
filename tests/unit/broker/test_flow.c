/* SPDX-License-Identifier: MIT */
/* flow: who gets what, bounds and time, with a plane, a stack and sockets that are tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "dgrams.h"
#include "flow_priv.h"
#include "inherit.h"
#include "ip.h"

#define S UINT64_C(1000000000)

static struct plane plane;
static struct portspace child_ps, super_ps;
static struct plane_ps *child, *super;
static struct plane_link link_a, link_b;

/* What the rest of the broker was asked for. */
static struct {
	struct portspace *server; /* inherit_udp's answer; NULL with `host`: the host */
	bool nobody;
	struct endpoint bound; /* of the server's socket */
	int app_r;	       /* of dgram_input_shared */
	struct plane_udp shared, inside;
	unsigned nshared, ninside;
	struct ipstack_out out;
	uint16_t sport, dport;
	unsigned nout;
	struct plane_udp_out super_out;
	unsigned nsuper, nbase, nopened, nclosed;
	int open_r;
	bool host;
	struct ipstack_delivery unreachable;
	uint8_t quote[64];
	uint8_t code4;
	unsigned nunreachable;
	struct ipstack_error error;
	unsigned nerror;
	bool gateway;
} world;

/* ---- the rest of the broker ---- */

void plane_timer_set(struct plane *p, struct plane_timer *timer, uint64_t at_ns)
{
	(void)p;
	timer->at_ns = at_ns;
}

void plane_turn_time(struct plane *p)
{
	(void)p;
}

struct plane_ps *plane_ps_get(struct plane *p, struct portspace *ps)
{
	(void)p;
	return ps == &super_ps ? super : child;
}

struct portspace *portspace_ref(struct portspace *ps)
{
	return ps;
}

void portspace_unref(struct portspace *ps)
{
	(void)ps;
}

int inherit_udp(struct core *core, struct portspace *ps, const struct endpoint *dst,
	struct inherit_found *foundp)
{
	(void)core;
	(void)ps;
	(void)dst;
	if (world.nobody)
		return -ECONNREFUSED;
	*foundp = (struct inherit_found){.server = world.server, .entry.local = world.bound};
	return 0;
}

bool inherit_udp_gateway(struct core *core, const struct portspace *ps, const struct addr *dst)
{
	(void)core;
	(void)ps;
	(void)dst;
	return world.gateway;
}

bool plane_dgrams_have_port(const struct plane_dgrams *dgrams, uint16_t port)
{
	(void)dgrams;
	return port % 2;
}

struct plane_service *plane_service_find(const struct plane_ps *pps, uint16_t port)
{
	(void)pps;
	(void)port;
	return NULL;
}

int dgram_input_shared(const struct plane_udp *udp)
{
	world.shared = *udp;
	world.nshared++;
	return world.app_r;
}

int dgram_input(const struct plane_udp *udp)
{
	world.inside = *udp;
	world.ninside++;
	return 0;
}

bool dgram_error_input(struct plane_ps *pps, const struct ipstack_error *e)
{
	assert_ptr_equal(pps, super);
	world.error = *e;
	world.nerror++;
	return true;
}

int plane_udp_send(
	struct plane_ps *pps, const struct plane_udp_out *out, uint8_t *payload, size_t len)
{
	(void)payload;
	(void)len;
	assert_ptr_equal(pps, super);
	world.super_out = *out;
	world.nsuper++;
	return 0;
}

int ipstack_udp_send(struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out,
	uint16_t sport, uint16_t dport, uint8_t *data, size_t len, uint32_t *mtup)
{
	(void)st;
	(void)now_ns;
	(void)data;
	(void)len;
	(void)mtup;
	world.out = *out;
	world.sport = sport;
	world.dport = dport;
	world.nout++;
	return 0;
}

int ipstack_udp_open(const struct ipstack_delivery *d, uint16_t *sportp, uint16_t *dportp,
	uint8_t **datap, size_t *lenp)
{
	*sportp = ip_get16(d->payload);
	*dportp = ip_get16(d->payload + 2);
	*datap = d->payload + UDP_HEAD;
	*lenp = d->len - UDP_HEAD;
	return 0;
}

void ipstack_unreachable(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d,
	uint8_t code4, uint8_t code6)
{
	(void)st;
	(void)now_ns;
	(void)code6;
	world.unreachable = *d;
	assert_true(d->packet_len <= sizeof(world.quote));
	memcpy(world.quote, d->packet, d->packet_len);
	world.code4 = code4;
	world.nunreachable++;
}

void ipstack_tcp_refuse(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d)
{
	(void)st;
	(void)now_ns;
	(void)d;
}

bool flow_host_service(struct plane *p, const struct endpoint *dst, struct endpoint *atp)
{
	(void)p;
	*atp = *dst;
	return world.host;
}

int flow_base_open(struct flow *flow, const struct endpoint *to, bool own)
{
	(void)flow;
	(void)to;
	(void)own;
	if (world.open_r == 0)
		world.nopened++;
	return world.open_r;
}

void flow_base_send(struct flow *flow, const uint8_t *payload, size_t len)
{
	(void)flow;
	(void)payload;
	(void)len;
	world.nbase++;
}

/* ---- the tests' world ---- */

static struct endpoint endpoint(const char *s)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(s, &e), 0);
	return e;
}

static struct plane_ps *make(struct portspace *ps, const char *address)
{
	struct plane_ps *pps = calloc(1, sizeof(*pps));

	assert_non_null(pps);
	memset(ps, 0, sizeof(*ps));
	ps->info.naddr = 1;
	assert_int_equal(prefix_parse(address, &ps->info.addr[0]), 0);
	pps->plane = &plane;
	pps->ps = ps;
	HASH_ADD_PTR(plane.portspaces, ps, pps);
	return pps;
}

static int setup(void **state)
{
	(void)state;
	assert_true(sodium_init() >= 0);
	memset(&world, 0, sizeof(world));
	memset(&plane, 0, sizeof(plane));
	assert_int_equal(poller_init(&plane.poller), 0);
	plane.now_ns = 1000 * S;
	super = make(&super_ps, "10.1.0.1/24");
	child = make(&child_ps, "10.2.0.1/24");
	child_ps.below = true;
	atomic_store(&child_ps.super, &super_ps);
	link_a.pps = link_b.pps = child;
	world.server = &super_ps;
	world.bound = endpoint("0.0.0.0:53");
	return 0;
}

static int teardown(void **state)
{
	struct plane_ps *pps, *tmp;

	(void)state;
	HASH_ITER(hh, plane.portspaces, pps, tmp)
	{
		flow_ps_gone(pps);
		HASH_DEL(plane.portspaces, pps);
		free(pps);
	}
	assert_int_equal(plane.flow_sockets, 0);
	poller_deinit(&plane.poller);
	return 0;
}

static uint8_t payload[16];

static struct plane_udp from(struct plane_link *link, const char *src, const char *dst)
{
	return (struct plane_udp){.pps = child,
		.link = link,
		.src = endpoint(src),
		.dst = endpoint(dst),
		.ttl = 60,
		.payload = payload,
		.len = 4};
}

static int call(struct plane_link *link, const char *src, const char *dst)
{
	const struct plane_udp udp = from(link, src, dst);

	return flow_input(&udp);
}

/* The application of the portspace above answers: did it go by a flow? */
static bool answer(const char *src, const char *dst)
{
	const struct endpoint s = endpoint(src), d = endpoint(dst);
	int r = -1;
	bool gone = flow_answer(super, &s, &d, 0, 0, payload, 4, &r);

	if (gone)
		assert_int_equal(r, 0);
	return gone;
}

static void equal(const struct endpoint *e, const char *s)
{
	const struct endpoint wanted = endpoint(s);

	assert_true(endpoint_equal(e, &wanted));
}

static void later(uint64_t s)
{
	plane.now_ns += s * S;
	if (child->flows && child->flows->timer.at_ns <= plane.now_ns)
		child->flows->timer.fn(&child->flows->timer, plane.now_ns);
}

/* ---- inherited services ---- */

static void test_there_and_back(void **state)
{
	const struct addr service = endpoint("10.2.0.1:0").addr, peer = endpoint("10.2.0.9:0").addr;

	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_ptr_equal(world.shared.pps, super);
	assert_null(world.shared.link);
	equal(&world.shared.src, "10.2.0.9:4000"); /* the real peer */
	equal(&world.shared.dst, "10.1.0.1:53");   /* as its own network calls it */
	assert_true(answer("10.1.0.1:53", "10.2.0.9:4000"));
	assert_int_equal(world.nout, 1);
	assert_ptr_equal(world.out.link, &link_a); /* the link of the request */
	assert_true(addr_equal(&world.out.src, &service));
	assert_true(addr_equal(&world.out.dst, &peer));
	assert_false(world.out.foreign);
	assert_int_equal(world.sport, 53);
	assert_int_equal(world.dport, 4000);
	/* what is no answer goes its own way */
	assert_false(answer("10.1.0.1:53", "10.2.0.9:4001"));
	assert_false(answer("10.1.0.1:54", "10.2.0.9:4000"));
	assert_false(answer("10.1.0.1:53", "10.2.0.8:4000"));
}

static void test_the_answer_follows_the_peer(void **state)
{
	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_int_equal(call(&link_b, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_true(answer("10.1.0.1:53", "10.2.0.9:4000"));
	assert_ptr_equal(world.out.link, &link_b);
	assert_int_equal(child->flows->n, 1);
}

static void test_from_inside(void **state)
{
	(void)state;
	assert_int_equal(call(NULL, "127.0.0.1:4000", "127.0.0.1:53"), 0);
	equal(&world.shared.src, "10.2.0.1:4000"); /* never loopback for others */
	assert_true(answer("10.1.0.1:53", "10.2.0.1:4000"));
	assert_int_equal(world.ninside, 1);
	equal(&world.inside.src, "127.0.0.1:53");
	equal(&world.inside.dst, "127.0.0.1:4000");
	/* IPv6 loopback has no address to show */
	assert_int_equal(call(NULL, "[::1]:4000", "[::1]:53"), -ECONNREFUSED);
}

static void test_a_socket_with_one_address(void **state)
{
	(void)state;
	world.bound = endpoint("10.1.0.7:53");
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	equal(&world.shared.dst, "10.1.0.7:53");
}

static void test_nobody_answers(void **state)
{
	(void)state;
	world.nobody = true;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), -ECONNREFUSED);
	world.nobody = false;
	world.app_r = -ECONNREFUSED; /* the port table is behind the times */
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), -ECONNREFUSED);
	assert_int_equal(child->flows->n, 0);
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "224.0.0.1:53"), -ECONNREFUSED);
	assert_int_equal(world.nshared, 1);
}

static void test_a_server_that_went_is_looked_for_again(void **state)
{
	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	world.app_r = -ECONNREFUSED;
	world.server = NULL; /* the host has one */
	world.host = true;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_int_equal(world.nbase, 1);
	assert_int_equal(child->flows->n, 1);
}

static void test_equal_peers_do_not_mix(void **state)
{
	struct plane_udp own;

	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	/* the same peer by another address of the portspace: its answers could not be told apart */
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.2:53"), -ECONNREFUSED);
	assert_true(answer("10.1.0.1:53", "10.2.0.9:4000"));
	equal(&child->flows->answered->key.b, "10.2.0.1:53");
	/* a peer in the server's own network comes first */
	own = from(&link_a, "10.2.0.9:4000", "10.1.0.1:53");
	own.pps = super;
	assert_false(flow_returned(&own));
	assert_false(answer("10.1.0.1:53", "10.2.0.9:4000"));
	assert_int_equal(child->flows->n, 0);
}

static void test_errors_pass_on(void **state)
{
	uint8_t quote[8] = {0};
	struct ipstack_error e = {.err = ECONNREFUSED,
		.src = endpoint("10.2.0.1:0").addr,
		.dst = endpoint("10.2.0.9:0").addr,
		.proto = IPPROTO_UDP,
		.payload = quote,
		.len = sizeof(quote)};
	struct addr there = endpoint("10.1.0.1:0").addr;

	(void)state;
	ip_put16(quote, 53);
	ip_put16(quote + 2, 4000);
	assert_false(flow_error(child, &e));
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_true(flow_error(child, &e));
	assert_int_equal(world.nerror, 1);
	assert_true(addr_equal(&world.error.src, &there));
	assert_true(addr_equal(&world.error.dst, &e.dst));
	e.len = 4; /* cut short */
	assert_false(flow_error(child, &e));
	e.len = sizeof(quote);
	e.proto = IPPROTO_ICMP;
	assert_false(flow_error(child, &e));
}

/* ---- the host, and gateways ---- */

static void test_host_service(void **state)
{
	(void)state;
	world.server = NULL;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), -ECONNREFUSED);
	assert_int_equal(world.nopened, 0); /* nobody is there: nothing was sent */
	world.host = true;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	assert_int_equal(world.nopened, 1);
	assert_int_equal(world.nbase, 2);
	assert_int_equal(plane.flow_sockets, 1);
	flow_send_back(child->flows->fresh, 0, 0, payload, 4);
	assert_int_equal(world.nout, 1);
	assert_false(world.out.foreign);
	world.open_r = -EMFILE;
	assert_int_equal(call(&link_a, "10.2.0.9:4001", "10.2.0.1:53"), -ECONNREFUSED);
	assert_int_equal(plane.flow_sockets, 1);
}

/* What the network says of answers on their way to the peer. */
static void test_only_a_final_error_ends_a_flow(void **state)
{
	uint8_t quote[8] = {0};
	struct ipstack_error e = {.src = endpoint("10.2.0.1:0").addr,
		.dst = endpoint("10.2.0.9:0").addr,
		.proto = IPPROTO_UDP,
		.payload = quote,
		.len = sizeof(quote)};

	(void)state;
	ip_put16(quote, 53);
	ip_put16(quote + 2, 4000);
	world.server = NULL;
	world.host = true;
	assert_int_equal(call(&link_a, "10.2.0.9:4000", "10.2.0.1:53"), 0);
	e.err = EHOSTUNREACH; /* for now */
	assert_true(flow_error(child, &e));
	assert_int_equal(child->flows->n, 1);
	e.err = EMSGSIZE; /* hard, as sockets have it; but the path is only narrower */
	e.hard = true;
	assert_true(flow_error(child, &e));
	assert_int_equal(child->flows->n, 1);
	e.err = ECONNREFUSED;
	assert_true(flow_error(child, &e));
	assert_int_equal(child->flows->n, 0);
}

static void gateway_call(struct plane_link *link, const char *src, const char *dst)
{
	uint8_t packet[64] = {0};
	struct endpoint s = endpoint(src), t = endpoint(dst);
	struct ipstack_delivery d = {.link = link,
		.proto = IPPROTO_UDP,
		.ttl = 60,
		.gateway = true,
		.src = s.addr,
		.dst = t.addr,
		.payload = packet + 20,
		.len = 12,
		.packet = packet,
		.packet_len = 32};

	ip_put16(packet + 20, s.port);
	ip_put16(packet + 22, t.port);
	flow_gateway(child, &d);
}

static void test_gateway_by_the_base_network(void **state)
{
	struct addr target = endpoint("192.0.2.7:0").addr;
	struct ip_header h;

	(void)state;
	child_ps.below = false;
	atomic_store(&child_ps.super, NULL);
	gateway_call(&link_a, "10.2.0.9:4000", "192.0.2.7:53"); /* no gateway any more */
	assert_int_equal(world.nopened, 0);
	assert_int_equal(world.nunreachable, 1);
	world.gateway = true;
	gateway_call(&link_a, "10.2.0.9:4000", "192.0.2.7:53");
	assert_int_equal(world.nbase, 1);
	flow_send_back(child->flows->fresh, 0, 0, payload, 4);
	assert_true(world.out.foreign); /* it speaks for the target */
	assert_true(addr_equal(&world.out.src, &target));
	assert_ptr_equal(world.out.link, &link_a);
	/* what the network says of it */
	flow_unreachable(child->flows->answered, ECONNREFUSED);
	assert_int_equal(world.nunreachable, 2);
	assert_int_equal(world.code4, 3);
	assert_true(world.unreachable.gateway);
	assert_int_equal(ip_parse(world.quote, world.unreachable.packet_len, &h), 0);
	assert_true(addr_equal(&h.dst, &target));
	assert_int_equal(ip_get16(world.quote + 20), 4000);
	assert_int_equal(ip_get16(world.quote + 22), 53);
	flow_unreachable(child->flows->answered, EHOSTUNREACH);
	assert_int_equal(world.code4, 1);
	flow_unreachable(child->flows->answered, EPERM);
	assert_int_equal(world.code4, 13);
}

static void test_gateway_by_the_super_portspace(void **state)
{
	struct plane_udp back = {.src = endpoint("192.0.2.7:53"),
		.dst = endpoint("10.1.0.1:0"),
		.payload = payload,
		.len = 4};
	uint8_t quote[8] = {0};
	struct ipstack_error e = {.err = EHOSTUNREACH,
		.src = endpoint("10.1.0.1:0").addr,
		.dst = endpoint("192.0.2.7:0").addr,
		.proto = IPPROTO_UDP,
		.payload = quote,
		.len = sizeof(quote)};

	(void)state;
	world.gateway = true;
	gateway_call(&link_a, "10.2.0.9:4000", "192.0.2.7:53");
	assert_int_equal(world.nsuper, 1);
	equal(&world.super_out.dst, "192.0.2.7:53");
	assert_int_equal(world.super_out.ttl, 59);
	assert_int_equal(world.super_out.src.port % 2, 0); /* odd ones are taken */
	back.pps = super;
	back.dst.port = world.super_out.src.port;
	assert_true(flow_returned(&back));
	assert_int_equal(world.nout, 1);
	assert_true(world.out.foreign);
	assert_int_equal(world.dport, 4000);
	back.src.port = 54; /* only the target itself is let in */
	assert_false(flow_returned(&back));
	ip_put16(quote, back.dst.port);
	ip_put16(quote + 2, 53);
	assert_true(flow_error(super, &e));
	assert_int_equal(world.nunreachable, 1);
	e.err = EMSGSIZE; /* the next one is sent in pieces */
	assert_true(flow_error(super, &e));
	assert_int_equal(world.nunreachable, 1);
	/* its super-portspace is not there */
	atomic_store(&child_ps.super, NULL);
	gateway_call(&link_a, "10.2.0.9:4001", "192.0.2.7:53");
	assert_int_equal(world.nsuper, 1);
	assert_int_equal(world.nopened, 0); /* and the base network is not used instead */
	assert_int_equal(world.nunreachable, 2);
}

/* ---- time and bounds ---- */

static void test_time(void **state)
{
	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), 0);
	assert_int_equal(call(&link_a, "10.2.0.9:2", "10.2.0.1:53"), 0);
	assert_true(answer("10.1.0.1:53", "10.2.0.9:2"));
	later(FLOW_FRESH_S - 1);
	assert_int_equal(child->flows->n, 2);
	later(1);
	assert_int_equal(child->flows->n, 1); /* the one without answer */
	later(100);
	assert_int_equal(call(&link_a, "10.2.0.9:2", "10.2.0.1:53"), 0);
	later(FLOW_ANSWERED_S - 1);
	assert_int_equal(child->flows->n, 1);
	later(1);
	assert_int_equal(child->flows->n, 0);
	assert_false(answer("10.1.0.1:53", "10.2.0.9:2"));
	assert_true(child->flows->timer.at_ns == UINT64_MAX);
}

static void test_bound_of_flows(void **state)
{
	char peer[32];

	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), 0);
	assert_true(answer("10.1.0.1:53", "10.2.0.9:1"));
	for (unsigned i = 0; i < FLOW_MAX + 100; i++) {
		snprintf(peer, sizeof(peer), "10.2.1.%u:%u", i % 250, 1 + i / 250);
		assert_int_equal(call(&link_a, peer, "10.2.0.1:53"), 0);
	}
	assert_int_equal(child->flows->n, FLOW_MAX);
	/* who was answered stays, the oldest of the others went */
	assert_true(answer("10.1.0.1:53", "10.2.0.9:1"));
	assert_false(answer("10.1.0.1:53", "10.2.1.0:1"));
	assert_true(answer("10.1.0.1:53", peer));
}

static void test_bound_of_sockets(void **state)
{
	char peer[32];

	(void)state;
	world.server = NULL;
	world.host = true;
	for (unsigned i = 0; i < FLOW_SOCKETS_MAX + 10; i++) {
		snprintf(peer, sizeof(peer), "10.2.1.%u:%u", i % 250, 1 + i / 250);
		assert_int_equal(call(&link_a, peer, "10.2.0.1:53"), 0);
	}
	assert_int_equal(plane.flow_sockets, FLOW_SOCKETS_MAX);
	/* other portspaces have taken all: one may still use what it has */
	plane.flow_sockets += FLOW_SOCKETS_ALL - FLOW_SOCKETS_MAX;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), 0);
	assert_int_equal(plane.flow_sockets, FLOW_SOCKETS_ALL);
	flow_rules_changed(child);
	plane.flow_sockets = FLOW_SOCKETS_ALL;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), -ECONNREFUSED);
	plane.flow_sockets = 0;
}

/* ---- ends ---- */

static void test_links_and_rules_end_flows(void **state)
{
	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), 0);
	assert_int_equal(call(&link_b, "10.2.0.9:2", "10.2.0.1:53"), 0);
	flow_link_gone(&link_a);
	assert_false(answer("10.1.0.1:53", "10.2.0.9:1"));
	assert_true(answer("10.1.0.1:53", "10.2.0.9:2"));
	flow_rules_changed(super); /* the one above: what comes through it ends too */
	assert_false(answer("10.1.0.1:53", "10.2.0.9:2"));
	assert_int_equal(child->flows->n, 0);
}

static void test_a_server_portspace_ends(void **state)
{
	(void)state;
	assert_int_equal(call(&link_a, "10.2.0.9:1", "10.2.0.1:53"), 0);
	flow_ps_gone(super);
	assert_null(super->flows);
	assert_int_equal(child->flows->n, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_there_and_back),
		T(test_the_answer_follows_the_peer),
		T(test_from_inside),
		T(test_a_socket_with_one_address),
		T(test_nobody_answers),
		T(test_a_server_that_went_is_looked_for_again),
		T(test_equal_peers_do_not_mix),
		T(test_errors_pass_on),
		T(test_host_service),
		T(test_only_a_final_error_ends_a_flow),
		T(test_gateway_by_the_base_network),
		T(test_gateway_by_the_super_portspace),
		T(test_time),
		T(test_bound_of_flows),
		T(test_bound_of_sockets),
		T(test_links_and_rules_end_flows),
		T(test_a_server_portspace_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

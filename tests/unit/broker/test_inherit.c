/* SPDX-License-Identifier: MIT */
/* inherit: who answers a port at each level, hide entries, the tree and its errors, gateways. */
#include "core_fixture.h"

#include "config_net.h"
#include "inherit.h"

enum { INODE = 1000000000 };

static uint64_t next_inode = INODE;

/* A portspace below `super` ("" for the root). hide may be NULL. */
static struct portspace *child(struct fixture *f, const char *name, const char *addresses,
	const char *super, bool inherits, const char *hide)
{
	struct config *config = make_config(addresses);
	struct portspace *ps;

	snprintf(config->super, sizeof(config->super), "%s", super);
	config->inherit = inherits;
	if (hide)
		assert_int_equal(config_net_set(config, "Hide", hide, NULL), 0);
	assert_int_equal(portspace_add(f->core, name, config, false, NULL, &ps), 0);
	return ps;
}

static void set(struct portspace *ps, const char *key, const char *value)
{
	struct config *config = portspace_config(ps);

	assert_non_null(config);
	assert_int_equal(config_net_set(config, key, value, NULL), 0);
	portspace_set_config(ps, config);
}

static uint64_t serve(struct portspace *ps, const char *at)
{
	struct porttab_request req = {
		.proto = IPPROTO_TCP, .local = endpoint(at), .inode = next_inode++, .pid = 1};
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;

	req.flags = addr_is_v4(&req.local.addr) ? 0 : ASK_V6;
	assert_int_equal(porttab_listen(ps->porttab, &req, &port, file), 0);
	return req.inode;
}

/* Who answers: a portspace, NULL for the host. -1 in *rp when nobody. */
static struct portspace *who(struct portspace *ps, const char *dst, int *rp)
{
	const struct endpoint d = endpoint(dst);
	struct inherit_found found;

	*rp = inherit_lookup(ps, IPPROTO_TCP, &d, &found);
	return *rp == 0 ? found.server : NULL;
}

static void answers(struct portspace *ps, const char *dst, const struct portspace *server)
{
	int r;

	assert_ptr_equal(who(ps, dst, &r), server);
	assert_int_equal(r, 0);
}

static void nobody(struct portspace *ps, const char *dst)
{
	int r;

	who(ps, dst, &r);
	assert_int_equal(r, -ECONNREFUSED);
}

static void test_own_then_above_then_host(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, NULL);
	struct portspace *mid = child(f, "mid", "10.2.0.1/24", "top", true, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "mid", true, NULL);

	serve(top, "0.0.0.0:80");
	answers(low, "10.3.0.1:80", top);
	answers(low, "10.3.0.1:81", NULL); /* the host may have it */
	serve(mid, "0.0.0.0:80");
	answers(low, "10.3.0.1:80", mid);
	answers(top, "10.1.0.1:80", top);
	uint64_t own = serve(low, "10.3.0.1:80");
	answers(low, "10.3.0.1:80", low);
	/* The own server is bound to one address, so it does not answer at loopback. */
	answers(low, "127.0.0.1:80", mid);
	assert_int_equal(porttab_drop(low->porttab, own), 0);
	answers(low, "10.3.0.1:80", mid);
}

static void test_without_inherit_nothing_comes_from_above(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, NULL);
	struct portspace *mid = child(f, "mid", "10.2.0.1/24", "top", false, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "mid", true, NULL);
	struct portspace *alone = child(f, "alone", "10.4.0.1/24", "", false, NULL);

	serve(top, "0.0.0.0:80");
	nobody(mid, "10.2.0.1:80");
	nobody(low, "10.3.0.1:80");
	nobody(alone, "10.4.0.1:80");
	serve(mid, "0.0.0.0:80");
	answers(low, "10.3.0.1:80", mid);
}

static void test_what_is_shared(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24 fd01::1/64", "", false, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24 fd03::1/64", "top", true, NULL);

	serve(top, "127.0.0.1:1");
	nobody(low, "10.3.0.1:1");
	nobody(low, "127.0.0.1:1");
	serve(top, "10.1.0.1:2"); /* its address: ours, not our loopback */
	answers(low, "10.3.0.1:2", top);
	nobody(low, "127.0.0.1:2");
	nobody(low, "[fd03::1]:2");
	serve(top, "0.0.0.0:3");
	answers(low, "127.0.0.1:3", top);
	nobody(low, "[fd03::1]:3");
	serve(top, "[::]:4"); /* dual stack */
	answers(low, "10.3.0.1:4", top);
	answers(low, "[fd03::1]:4", top);
	answers(low, "[::1]:4", top);
	/* loopback's server does not stand before the wildcard's */
	serve(top, "127.0.0.1:5");
	serve(top, "[::]:5");
	answers(low, "127.0.0.1:5", top);
	/* the broker's own sockets are nobody's services */
	struct porttab_request req = {.proto = IPPROTO_TCP,
		.flags = ASK_V6,
		.local = endpoint("[::]:6"),
		.inode = next_inode++,
		.pid = getpid()};
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;

	assert_int_equal(porttab_listen(top->porttab, &req, &port, file), 0);
	nobody(low, "10.3.0.1:6");
	answers(top, "10.1.0.1:6", top);
}

static void test_hide_stops_at_any_level(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, "tcp/25");
	struct portspace *mid = child(f, "mid", "10.2.0.1/24", "top", true, "tcp/80-81,udp/82");
	struct portspace *low = child(f, "low", "10.3.0.1/24", "mid", true, "tcp/22");

	for (int port = 22; port <= 82; port++) {
		char at[32];

		snprintf(at, sizeof(at), "0.0.0.0:%d", port);
		serve(top, at);
	}
	nobody(low, "10.3.0.1:22");
	answers(mid, "10.2.0.1:22", top);
	nobody(low, "10.3.0.1:80");
	nobody(mid, "10.2.0.1:81");
	answers(low, "10.3.0.1:79", top);
	answers(low, "10.3.0.1:82", top); /* udp is another protocol */
	answers(top, "10.1.0.1:25", top); /* hidden is what is above */
	answers(low, "10.3.0.1:25", top);
	serve(mid, "0.0.0.0:80"); /* as is a server at the very level */
	answers(low, "10.3.0.1:80", mid);
	set(low, "Hide", "tcp/79-82");
	nobody(low, "10.3.0.1:80");
	nobody(low, "10.3.0.1:79");
	serve(low, "0.0.0.0:79");
	answers(low, "10.3.0.1:79", low);
}

static void test_routes_carry_what_the_server_sees(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "top", true, NULL);
	struct endpoint src = endpoint("127.0.0.1:40000"), dst = endpoint("127.0.0.1:80");
	struct core_hop hop;
	char path[ASK_PATH_MAX];

	serve(top, "0.0.0.0:80");
	snprintf(path, sizeof(path), "%s/tcp.00000000.80", top->dir);
	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_LOCAL);
	assert_ptr_equal(hop.server, top);
	assert_string_equal(hop.path, path);
	src = endpoint("10.3.0.1:40000"); /* never loopback for others */
	dst = endpoint("10.3.0.1:80");
	assert_true(endpoint_equal(&hop.src, &src));
	assert_true(endpoint_equal(&hop.dst, &dst));
	portspace_unref(hop.server);
	/* the own server sees loopback as it is */
	serve(low, "0.0.0.0:80");
	src = dst = endpoint("127.0.0.1:80");
	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), 0);
	assert_null(hop.server);
	assert_true(endpoint_equal(&hop.src, &src));
	/* IPv6 loopback in a portspace without IPv6 has no address to go out with */
	src = dst = endpoint("[::1]:81");
	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), -ECONNREFUSED);
}

static void test_host_services(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "top", true, NULL);
	struct endpoint src = endpoint("10.3.0.1:40000"), dst = endpoint("10.3.0.1:80");
	struct core_hop hop;

	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_BASE);
	assert_true(hop.host);
	assert_false(hop.proxy);
	assert_null(hop.server);
	assert_true(endpoint_equal(&hop.src, &src));
	assert_true(endpoint_equal(&hop.dst, &dst));
	set(top, "ProxyProtocol", "tcp/80"); /* any level's word counts */
	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), 0);
	assert_true(hop.proxy);
	dst.port = 81;
	assert_int_equal(core_route(f->core, low, NULL, &src, &dst, &hop), 0);
	assert_false(hop.proxy);
}

static void test_the_tree_refuses(void **state)
{
	struct fixture *f = *state;
	struct portspace *orphan = child(f, "orphan", "10.2.0.1/24", "later", true, NULL);
	struct portspace *under = child(f, "under", "10.3.0.1/24", "orphan", true, NULL);
	struct portspace *self = child(f, "self", "10.4.0.1/24", "self", true, NULL);
	struct portspace *later;

	assert_true(orphan->below);
	assert_null(atomic_load(&orphan->super));
	nobody(orphan, "10.2.0.1:80"); /* not the host's instead */
	assert_ptr_equal(atomic_load(&under->super), orphan);
	assert_null(atomic_load(&self->super));
	inherit_attach_all(f->core, true);
	assert_null(atomic_load(&orphan->super));
	assert_null(atomic_load(&self->super));
	nobody(self, "10.4.0.1:80");
	later = child(f, "later", "10.1.0.1/24", "", true, NULL);
	inherit_attach_all(f->core, false);
	assert_ptr_equal(atomic_load(&orphan->super), later);
	answers(orphan, "10.2.0.1:80", NULL);
	answers(under, "10.3.0.1:80", NULL);
	assert_ptr_equal(inherit_first_sub(f->core, later), orphan);
	assert_null(inherit_first_sub(f->core, under));
}

static void test_a_circle_is_never_closed(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = child(f, "a", "10.1.0.1/24", "b", true, NULL);
	struct portspace *b = child(f, "b", "10.2.0.1/24", "a", true, NULL);

	/* b found a, so a must not find b */
	assert_ptr_equal(atomic_load(&b->super), a);
	inherit_attach_all(f->core, true);
	assert_null(atomic_load(&a->super));
	nobody(a, "10.1.0.1:80");
	nobody(b, "10.2.0.1:80");
}

static void test_removed_super_answers_no_more(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", true, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "top", true, NULL);

	serve(top, "0.0.0.0:80");
	answers(low, "10.3.0.1:80", top);
	portspace_remove(f->core, top);
	nobody(low, "10.3.0.1:80");
	nobody(low, "10.3.0.1:81");
}

static void test_mtu_follows_the_level(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", false, NULL);
	struct portspace *mid = child(f, "mid", "10.2.0.1/24", "top", false, NULL);
	struct portspace *low = child(f, "low", "10.3.0.1/24", "mid", false, NULL);
	struct config *config = make_config("10.4.0.1/24");
	struct portspace *own;

	assert_int_equal(top->info.mtu, CONFIG_MTU_DEFAULT);
	assert_int_equal(mid->info.mtu, CONFIG_MTU_DEFAULT - INHERIT_MTU_COST);
	assert_int_equal(low->info.mtu, CONFIG_MTU_DEFAULT - 2 * INHERIT_MTU_COST);
	strcpy(config->super, "low");
	config->mtu = 1000;
	assert_int_equal(portspace_add(f->core, "own", config, false, NULL, &own), 0);
	assert_int_equal(own->info.mtu, 1000);
}

static void test_gateway(void **state)
{
	static const char *const never[] = {"127.0.0.1:80", "0.0.0.1:80", "169.254.1.1:80",
		"224.0.0.1:80", "255.255.255.255:80", "240.0.0.1:80", "[::1]:80", "[fe80::1]:80",
		"[febf::1]:80", "[ff02::1]:80", "[::]:80"};
	struct fixture *f = *state;
	struct portspace *gw = child(f, "gw", "10.1.0.1/24 fd01::1/64", "", false, NULL);
	struct link *link = make_link(gw, "l", "10.1.0.2/32 fd01::2/128 203.0.113.0/24", NULL);
	struct endpoint src = endpoint("10.1.0.2:1"), dst = endpoint("192.0.2.9:80");
	struct core_hop hop;

	assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), -ENETUNREACH);
	set(gw, "Gateway", "192.0.2.0/24");
	assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_BASE);
	assert_false(hop.host);
	assert_null(hop.server);
	assert_true(endpoint_equal(&hop.dst, &dst));
	src = endpoint("10.1.0.3:1"); /* nobody's */
	assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), -EACCES);
	src = endpoint("10.1.0.2:1");
	dst = endpoint("198.51.100.1:80");
	assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), -ENETUNREACH);
	set(gw, "Gateway", "0.0.0.0/0,::/0");
	assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), 0);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		dst = endpoint(never[i]);
		src = endpoint(addr_is_v4(&dst.addr) ? "10.1.0.2:1" : "[fd01::2]:1");
		assert_int_equal(core_route(f->core, gw, link, &src, &dst, &hop), -ENETUNREACH);
	}
}

static void test_gateway_below_a_portspace(void **state)
{
	struct fixture *f = *state;
	struct portspace *top = child(f, "top", "10.1.0.1/24", "", false, NULL);
	struct portspace *gw = child(f, "gw", "10.2.0.1/24", "top", false, NULL);
	struct portspace *lost = child(f, "lost", "10.3.0.1/24", "nobody", false, NULL);
	struct endpoint src = endpoint("10.2.0.1:1"), dst = endpoint("192.0.2.9:80");
	struct core_hop hop;

	set(gw, "Gateway", "192.0.2.0/24");
	set(lost, "Gateway", "192.0.2.0/24");
	assert_int_equal(core_route(f->core, gw, NULL, &src, &dst, &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_BASE);
	assert_ptr_equal(hop.server, top);
	portspace_unref(hop.server);
	src = endpoint("10.3.0.1:1"); /* without its super-portspace never the base network */
	assert_int_equal(core_route(f->core, lost, NULL, &src, &dst, &hop), -ENETUNREACH);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_own_then_above_then_host),
		T(test_without_inherit_nothing_comes_from_above),
		T(test_what_is_shared),
		T(test_hide_stops_at_any_level),
		T(test_routes_carry_what_the_server_sees),
		T(test_host_services),
		T(test_the_tree_refuses),
		T(test_a_circle_is_never_closed),
		T(test_removed_super_answers_no_more),
		T(test_mtu_follows_the_level),
		T(test_gateway),
		T(test_gateway_below_a_portspace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

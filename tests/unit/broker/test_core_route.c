/* SPDX-License-Identifier: MIT */
/* core_route: where packets go, whose sources are believed when RIP and static routes are there,
 * and what the plane and the control loop read of the table. */
#include "core_fixture.h"

#include "config_net.h"
#include "linklocal.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static int packet(struct fixture *f, struct portspace *ps, const struct link *from, const char *src,
	const char *dst, struct core_next *nextp)
{
	const struct addr s = address(src), d = address(dst);

	memset(nextp, 0, sizeof(*nextp));
	return core_packet_route(f->core, ps, from, &s, &d, nextp);
}

static int learn(struct fixture *f, struct link *link, const char *text, uint8_t metric)
{
	const struct prefix p = prefix(text);
	const struct addr hop = address("10.77.0.9");

	return core_rip_set(f->core, link, &p, &hop, metric, 0, 1000);
}

/* Changes the configuration as the control protocol does: one setting, or with `key` NULL none. */
static void configure(struct portspace *ps, const char *key, const char *value)
{
	struct config *config = portspace_config(ps);

	assert_non_null(config);
	if (key)
		assert_int_equal(config_net_set(config, key, value, NULL), 0);
	portspace_set_config(ps, config);
}

static void test_packets_take_the_route(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24 fd00::1/64");
	struct link *link = make_link(ps, "b", "10.77.0.2/32 fd00::2/128", NULL);
	struct core_next next;
	int plane;

	core_link_set_plane(f->core, link, &plane);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), 0);
	assert_int_equal(next.kind, CORE_NEXT_LINK);
	assert_ptr_equal(next.link, link);
	assert_ptr_equal(next.plane, &plane);
	assert_int_equal(packet(f, ps, link, "10.77.0.2", "10.77.0.1", &next), 0);
	assert_int_equal(next.kind, CORE_NEXT_LOCAL);
	assert_int_equal(packet(f, ps, NULL, "127.0.0.1", "127.0.0.1", &next), 0);
	assert_int_equal(next.kind, CORE_NEXT_LOCAL);
	/* back over the link it came by is a matter of ICMP, not of refusal */
	assert_int_equal(packet(f, ps, link, "10.77.0.2", "10.77.0.2", &next), 0);
	assert_ptr_equal(next.link, link);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.3", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.9", "10.77.0.2", &next), -EACCES);
	assert_int_equal(packet(f, ps, link, "10.77.0.3", "10.77.0.1", &next), -EACCES);
	assert_int_equal(packet(f, ps, link, "10.77.0.1", "10.77.0.1", &next), -EACCES);
	assert_int_equal(packet(f, ps, link, "127.0.0.1", "10.77.0.1", &next), -EACCES);
	assert_int_equal(packet(f, ps, link, "10.77.0.2", "127.0.0.1", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, "127.0.0.1", "10.77.0.2", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "224.0.0.9", &next), -ENETUNREACH);
	core_link_set_plane(f->core, link, NULL);
}

static void test_link_local_addresses(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "fd00::1/64");
	struct link *b = make_link(ps, "b", "fd00::2/128", NULL);
	struct link *c = make_link(ps, "c", "fd00::3/128", NULL);
	char own[ADDR_STRLEN], of_b[ADDR_STRLEN], of_c[ADDR_STRLEN];
	struct core_next next;

	addr_format(&ps->link_local, own);
	addr_format(&b->link_local, of_b);
	addr_format(&c->link_local, of_c);
	assert_int_equal(packet(f, ps, NULL, own, of_b, &next), 0);
	assert_ptr_equal(next.link, b);
	assert_int_equal(packet(f, ps, b, of_b, own, &next), 0);
	assert_int_equal(next.kind, CORE_NEXT_LOCAL);
	/* not somebody else's, and not any further */
	assert_int_equal(packet(f, ps, b, of_c, own, &next), -EACCES);
	assert_int_equal(packet(f, ps, b, of_b, of_c, &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, b, of_b, "fd00::3", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, b, "fd00::2", of_c, &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, own, "fe80::1234", &next), -ENETUNREACH);
}

static void test_learned_routes(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *b = make_link(ps, "b", "10.77.0.2/32", NULL);
	struct link *c = make_link(ps, "c", "10.77.0.3/32", NULL);
	const struct prefix p = prefix("10.77.0.9/32");
	struct core_next next;

	assert_int_equal(packet(f, ps, c, "10.77.0.9", "10.77.0.1", &next), -EACCES);
	assert_int_equal(learn(f, b, "10.77.0.9/32", 3), 0);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.9", &next), 0);
	assert_ptr_equal(next.link, b);
	/* where RIP knows the way its packets may come by any link */
	assert_int_equal(packet(f, ps, b, "10.77.0.9", "10.77.0.1", &next), 0);
	assert_int_equal(packet(f, ps, c, "10.77.0.9", "10.77.0.1", &next), 0);
	/* a better way replaces it */
	assert_int_equal(learn(f, c, "10.77.0.9/32", 2), 0);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.9", &next), 0);
	assert_ptr_equal(next.link, c);
	assert_int_equal(b->via.nroutes, 1);
	assert_int_equal(c->via.nroutes, 2);
	core_rip_remove(f->core, ps, &p);
	core_rip_remove(f->core, ps, &p);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.9", &next), -ENETUNREACH);
	/* what was learned over a link goes with it */
	assert_int_equal(learn(f, c, "10.77.0.9/32", 2), 0);
	link_ref(c);
	link_remove(c);
	assert_int_equal(learn(f, c, "10.77.0.9/32", 2), -ENETDOWN);
	link_unref(c);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.9", &next), -ENETUNREACH);
}

static void test_silent_neighbour(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *b = make_link(ps, "b", "10.77.0.2/32", NULL);
	struct link *c = make_link(ps, "c", "10.77.0.3/32", NULL);
	struct core_next next;

	assert_int_equal(learn(f, c, "10.77.0.2/32", 4), 0);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), 0);
	assert_ptr_equal(next.link, b);
	/* what is taught of a prefix that is another link's opens nothing while that one is used */
	assert_int_equal(packet(f, ps, c, "10.77.0.2", "10.77.0.1", &next), -EACCES);
	core_link_silent(f->core, b, true);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), 0);
	assert_ptr_equal(next.link, c);
	assert_int_equal(packet(f, ps, c, "10.77.0.2", "10.77.0.1", &next), 0);
	/* it may be heard again any time */
	assert_int_equal(packet(f, ps, b, "10.77.0.2", "10.77.0.1", &next), 0);
	core_link_silent(f->core, b, false);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), 0);
	assert_ptr_equal(next.link, b);
	core_link_silent(f->core, b, true);
	core_link_silent(f->core, c, true);
	link_remove(c);
	/* the only way there is is used, silent or not */
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), 0);
	assert_ptr_equal(next.link, b);
}

static void test_static_routes(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *b = make_link(ps, "b", "10.77.0.2/32", NULL);
	struct link *c = make_link(ps, "c", "10.77.0.3/32", NULL);
	struct core_next next;

	configure(ps, "Route", "10.9.0.0/16 via 10.77.0.2 metric 3");
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.9.1.1", &next), 0);
	assert_ptr_equal(next.link, b);
	assert_true(addr_equal(&next.via, &b->allowed[0].addr));
	/* what is behind it may come from there, and from nowhere else */
	assert_int_equal(packet(f, ps, b, "10.9.1.1", "10.77.0.1", &next), 0);
	assert_int_equal(packet(f, ps, c, "10.9.1.1", "10.77.0.1", &next), -EACCES);
	/* a next hop that no link leads to, our own address: the route stands by */
	configure(ps, "Route", "10.10.0.0/16 via 10.77.0.99");
	configure(ps, "Route", "10.11.0.0/16 via 10.77.0.1");
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.10.1.1", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.11.1.1", &next), -ENETUNREACH);
	make_link(ps, "d", "10.77.0.96/28", NULL);
	configure(ps, NULL, NULL); /* as after every change of links */
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.10.1.1", &next), 0);
	link_remove(b);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.9.1.1", &next), -ENETUNREACH);
	configure(ps, NULL, NULL);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.9.1.1", &next), -ENETUNREACH);
}

static void test_gateway(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "gw", "10.77.0.1/24");
	struct link *b = make_link(ps, "b", "10.77.0.2/32 192.0.2.0/24", NULL);
	struct core_next next;

	configure(ps, "Gateway", "192.0.2.0/24");
	assert_int_equal(packet(f, ps, b, "10.77.0.2", "192.0.2.7", &next), 0);
	assert_int_equal(next.kind, CORE_NEXT_GATEWAY); /* before any link's */
	assert_int_equal(packet(f, ps, b, "10.77.0.2", "192.0.3.7", &next), -ENETUNREACH);
}

static void test_settings_of_rip(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24 fd00::1/64");
	const struct prefix own = prefix("10.77.0.0/24");
	struct core_rip_config rip;

	assert_int_equal(core_rip_config(f->core, ps, &rip), 0);
	assert_false(rip.on);
	free(rip.networks);
	configure(ps, "Routing", "rip");
	assert_int_equal(core_rip_config(f->core, ps, &rip), 0);
	assert_true(rip.on);
	assert_int_equal(rip.update_s, CONFIG_RIP_UPDATE_S);
	assert_int_equal(rip.nnetworks, 2); /* those of the addresses */
	assert_true(addr_equal(&rip.networks[0].addr, &own.addr));
	assert_int_equal(rip.networks[0].len, own.len);
	free(rip.networks);
	configure(ps, "Network", "10.0.0.0/8");
	configure(ps, "RipUpdate", "5");
	assert_int_equal(core_rip_config(f->core, ps, &rip), 0);
	assert_int_equal(rip.update_s, 5);
	assert_int_equal(rip.nnetworks, 1);
	assert_int_equal(rip.networks[0].len, 96 + 8);
	free(rip.networks);
}

static void test_table_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *b = make_link(ps, "b", "10.1.0.0/16 10.3.0.0/16", NULL);
	struct link *c = make_link(ps, "c", "10.2.0.0/16", NULL);
	struct core_route_info r[3];

	assert_int_equal(learn(f, c, "10.1.0.0/16", 4), 0);
	core_link_silent(f->core, c, true);
	assert_int_equal(core_routes(f->core, ps, NULL, r, 3), 3);
	assert_string_equal(r[0].link, "b");
	assert_true(r[0].best && r[0].source == RIB_LINK && !r[0].silent);
	assert_string_equal(r[1].link, "c");
	assert_true(!r[1].best && r[1].source == RIB_RIP && r[1].metric == 4 && r[1].silent);
	assert_string_equal(r[2].link, "c");
	assert_int_equal(core_routes(f->core, ps, &r[2].prefix, r, 3), 1);
	assert_string_equal(r[0].link, b->name);
	assert_int_equal(core_routes(f->core, ps, &r[0].prefix, r, 3), 0);
	/* candidates of one prefix stay together */
	assert_int_equal(learn(f, b, "10.2.0.0/16", 4), 0);
	assert_int_equal(core_routes(f->core, ps, NULL, r, 3), 2);
	assert_int_equal(core_routes(f->core, ps, &r[1].prefix, r, 1), 1);
	assert_int_equal(core_routes(f->core, ps, &r[0].prefix, r, 3), 1);
}

static void test_age_is_of_the_route(void **state)
{
	struct fixture *f = *state;
	const uint64_t before = core_now_ms();
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	const struct prefix p = prefix("10.2.0.0/16"), other = prefix("10.3.0.0/16");
	struct core_route_info r[4];
	uint64_t since, added;

	make_link(ps, "b", "10.77.0.2/32", NULL);
	assert_int_equal(core_routes(f->core, ps, NULL, r, 4), 1);
	assert_in_range(r[0].since_ms, before, core_now_ms());
	configure(ps, "Route", "10.2.0.0/16 via 10.77.0.2");
	since = rib_get(ps->rib, &p)->since_ms;
	assert_in_range(since, before, core_now_ms());
	while ((added = core_now_ms()) == since)
		sched_yield();
	configure(ps, "Route", "10.3.0.0/16 via 10.77.0.2");
	assert_int_equal(rib_get(ps->rib, &p)->since_ms, since); /* it stayed as it was */
	assert_in_range(rib_get(ps->rib, &other)->since_ms, added, core_now_ms());
}

/* Whatever a link that is removed still brings goes nowhere, nor does anything go over it. */
static void test_removed_link_is_refused(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24 fd00::1/64");
	struct link *link = make_link(ps, "b", "10.77.0.2/32 fd00::2/128", NULL);
	struct core_next next;
	char near[ADDR_STRLEN], own[ADDR_STRLEN];

	addr_format(&link->link_local, near);
	addr_format(&ps->link_local, own);
	assert_int_equal(packet(f, ps, link, near, own, &next), 0);
	assert_int_equal(packet(f, ps, NULL, own, near, &next), 0);
	link_ref(link);
	link_remove(link);
	assert_int_equal(packet(f, ps, link, "10.77.0.2", "10.77.0.1", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, link, "10.77.0.2", "224.0.0.9", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, link, "10.9.9.9", "10.77.0.1", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, link, near, own, &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, link, near, "ff02::9", &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, own, near, &next), -ENETUNREACH);
	assert_int_equal(packet(f, ps, NULL, "10.77.0.1", "10.77.0.2", &next), -ENETUNREACH);
	link_unref(link);
}

static void test_datagrams_find_their_socket(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct porttab_request req = {
		.proto = IPPROTO_UDP, .flags = ASK_REUSEPORT, .local = endpoint("0.0.0.0:53")};
	struct endpoint dst = endpoint("10.77.0.1:53");
	uint64_t inode, again;
	uint16_t port;
	bool seen[4] = {false};

	for (req.inode = 1; req.inode <= 3; req.inode++)
		assert_int_equal(porttab_bind(ps->porttab, &req, &port), 0);
	for (uint32_t hash = 0; hash < 64; hash++) {
		assert_int_equal(core_udp_lookup(f->core, ps, &dst, hash, &inode), 0);
		assert_int_equal(core_udp_lookup(f->core, ps, &dst, hash, &again), 0);
		assert_int_equal(inode, again);
		seen[inode] = true;
	}
	assert_true(seen[1] && seen[2] && seen[3]);
	dst.port = 54;
	assert_int_equal(core_udp_lookup(f->core, ps, &dst, 0, &inode), -ECONNREFUSED);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_take_the_route),
		T(link_local_addresses),
		T(learned_routes),
		T(silent_neighbour),
		T(static_routes),
		T(gateway),
		T(settings_of_rip),
		T(table_in_pieces),
		T(age_is_of_the_route),
		T(removed_link_is_refused),
		T(datagrams_find_their_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

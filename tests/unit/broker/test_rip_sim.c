/* SPDX-License-Identifier: MIT */
/* rip in networks of up to 200 portspaces, in virtual time (rip_lab.h): does everybody find the
 * shortest way to everybody, how long does it take after a cut, does it ever go in circles for
 * ever, and what can a liar do? The times that are asserted are virtual: bounds that follow from
 * the protocol's timers.
 *
 * With `--pcap FILE` no test runs: the packets of a network go to FILE (raw IP). */
#include "rip_lab.h"

#include <inttypes.h>
#include <string.h>

/* --- topologies --- */

static void line(unsigned n)
{
	lab_nodes(n);
	for (unsigned i = 1; i < n; i++)
		join(i - 1, i);
	start();
}

static void ring(unsigned n)
{
	lab_nodes(n);
	for (unsigned i = 0; i < n; i++)
		join(i, (i + 1) % n);
	start();
}

static void mesh(unsigned n)
{
	lab_nodes(n);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			join(i, j);
	start();
}

/* A random tree, and as many more links. */
static void random_graph(unsigned n, unsigned more)
{
	lab_nodes(n);
	for (unsigned i = 1; i < n; i++)
		join(i, random_below(i));
	for (unsigned i = 0; i < more; i++) {
		const unsigned a = random_below(n), b = random_below(n);

		if (a != b)
			join(a, b);
	}
	start();
}

static void test_line(void **state)
{
	(void)state;
	line(REACH + 1);
	settle("line", 90); /* 14 hops, each at most 5 s behind */
}

static void test_line_longer_than_infinity(void **state)
{
	(void)state;
	line(20);
	settle("long line", 120); /* beyond 14 hops nobody is known */
}

static void test_ring(void **state)
{
	(void)state;
	ring(25);
	settle("ring", 90);
	pull(&lab.cables[3]);
	/* What was 12 hops away is up to 24: known is what is within 14. */
	settle("ring, a link removed", 150);
}

static void test_ring_silent_cut(void **state)
{
	(void)state;
	ring(14);
	settle("ring", 90);
	lab.cables[5].cut = true;
	settle("ring, a link cut silently", TIMEOUT + 90);
}

static void test_mesh_and_node_loss(void **state)
{
	(void)state;
	mesh(20);
	settle("mesh", 30);
	kill_node(&lab.nodes[7]);
	/* All lose it at the same time, and there is nobody left to count to infinity with. */
	settle("mesh, a node dies", TIMEOUT + 90);
}

static void test_random_graph(void **state)
{
	(void)state;
	random_graph(NODES_MAX, NODES_MAX);
	settle("random graph", 90);
	for (int i = 0; i < 10; i++)
		pull(&lab.cables[NODES_MAX + 3 * i]);
	settle("random graph, 10 links removed", 120);
	for (int i = 0; i < 10; i++)
		lab.cables[NODES_MAX + 40 + 3 * i].cut = true;
	settle("random graph, 10 links cut silently", TIMEOUT + 120);
	kill_node(&lab.nodes[150]);
	kill_node(&lab.nodes[120]);
	settle("random graph, 2 nodes die", TIMEOUT + 200);
}

/* As brokers do it: each end announces the prefix of the link's peer too. */
static void test_prefixes_of_links(void **state)
{
	(void)state;
	lab.links_announced = true;
	random_graph(80, 80);
	settle("prefixes of links", 90);
	lab.cables[100].cut = true;
	lab.cables[120].cut = true;
	settle("prefixes of links, 2 links cut silently", TIMEOUT + 120);
	assert_true(lab.cables[100].side[0].silent && lab.cables[100].side[1].silent);
	lab.cables[100].cut = false;
	settle("prefixes of links, one is back", 60);
	run_until(lab.now + UPDATE);
	assert_false(lab.cables[100].side[0].silent || lab.cables[100].side[1].silent);
	kill_node(&lab.nodes[79]);
	settle("prefixes of links, a node dies", TIMEOUT + 200);
}

static void test_count_to_infinity_is_bounded(void **state)
{
	struct cable *stub;

	(void)state;
	/* Three in a triangle, a fourth behind one of them: split horizon does not help the
	 * triangle, so the metric counts up, a triggered update at a time. */
	lab_nodes(4);
	join(0, 1);
	join(1, 2);
	join(2, 0);
	stub = join(2, 3);
	start();
	settle("triangle", 30);
	pull(stub);
	settle("triangle, the stub is gone", 16 * 5 + 10);
	run_until(lab.now + (GARBAGE + 60) * SECOND);
	for (unsigned i = 0; i < 3; i++) {
		struct rip_stats stats;

		rip_stats(lab.nodes[i].rip, &stats);
		assert_int_equal(stats.destinations, 6); /* forgotten, not only unreachable */
	}
}

static void test_partition_heals(void **state)
{
	enum { HALF = 20 };
	struct cable *bridge[2];

	(void)state;
	lab_nodes(2 * HALF);
	for (unsigned i = 0; i < HALF; i++) {
		join(i, (i + 1) % HALF);
		join(HALF + i, HALF + (i + 1) % HALF);
		join(i, (i + 5) % HALF);
		join(HALF + i, HALF + (i + 5) % HALF);
	}
	bridge[0] = join(0, HALF);
	bridge[1] = join(10, HALF + 10);
	start();
	settle("two halves", 90);
	bridge[0]->cut = bridge[1]->cut = true;
	settle("two halves parted", TIMEOUT + 120);
	run_until(lab.now + 600 * SECOND);
	assert_true(converged());
	bridge[0]->cut = bridge[1]->cut = false;
	settle("two halves joined again", 90);
}

static void test_lossy_links(void **state)
{
	unsigned wrong = 0, looks = 0;

	(void)state;
	random_graph(60, 60);
	lab.loss = 20;
	run_until(lab.now + 300 * SECOND);
	for (int i = 0; i < 60; i++, looks++) {
		run_until(lab.now + 10 * SECOND);
		wrong += !converged();
	}
	/* Six updates in a row must be lost for a route to go: one in 15,000. */
	print_message(
		"# a fifth of all packets lost: not converged at %u of %u looks\n", wrong, looks);
	assert_true(wrong < looks / 4);
	lab.loss = 0;
	settle("no more loss", 90);
}

static void test_restart_of_a_node(void **state)
{
	struct node *node;

	(void)state;
	random_graph(40, 40);
	settle("before a restart", 90);
	node = &lab.nodes[20];
	rip_stop(node->rip, lab.now); /* says goodbye */
	node->dead = true;
	node->deadline = UINT64_MAX;
	run_until(lab.now + SECOND);
	kill_node(node);
	settle("a node leaves", 90);
	boot(node);
	memset(node->learned, 0, sizeof(node->learned));
	for (unsigned i = 0; i < node->degree; i++) {
		struct cable *cable = node->cables[i];
		const int end = cable->node[1] == node;

		cable->cut = false;
		plug(cable, end);
	}
	set_locals(node);
	settle("it is back", 60);
}

/* --- a liar --- */

static void lie(struct cable *cable, const struct rip_entry *entries, size_t n)
{
	const int end = 0; /* the liar's victim */
	struct node *victim = cable->node[end];
	uint8_t buf[1500];
	struct rip_writer writer;

	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		const struct endpoint src = {v == RIP_V2 ? address(v, cable->node[1]->number)
							 : link_local(cable->node[1]->number),
			v == RIP_V2 ? RIP_V2_PORT : RIP_NG_PORT};

		rip_write(&writer, v, RIP_RESPONSE, buf, sizeof(buf));
		for (size_t i = 0; i < n; i++)
			if (version_of(&entries[i].prefix) == v)
				rip_write_entry(&writer, &entries[i]);
		(void)rip_input(victim->rip, cable->link[end], v, &src,
			v == RIP_V2 ? &rip_group4 : &rip_group6, v == RIP_V2 ? 1 : 255, buf,
			writer.wr.len, lab.now);
	}
	victim->deadline = rip_deadline(victim->rip);
}

static void test_liar_is_confined(void **state)
{
	static const char *const outside[] = {"0.0.0.0/0", "192.0.2.0/24", "10.0.0.0/7",
		"127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16", "0.0.0.0/8",
		"255.255.255.255/32", "::/0", "2001:db8::/32", "fe80::/64", "ff00::/8", "::1/128",
		"fc00::/7"};
	struct rip_entry entries[sizeof(outside) / sizeof(outside[0])];
	struct rip_entry own[2];
	struct cable *cable;

	(void)state;
	random_graph(30, 30);
	cable = join(0, 29); /* 29 lies to 0 */
	set_locals(&lab.nodes[0]);
	set_locals(&lab.nodes[29]);
	settle("before the lies", 90);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		entries[i] = (struct rip_entry){.metric = 1, .next_hop = addr_any6};
		assert_int_equal(prefix_parse(outside[i], &entries[i].prefix), 0);
	}
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++)
		own[v] = (struct rip_entry){
			.prefix = host(v, 0), .metric = 1, .next_hop = addr_any6};
	for (int i = 0; i < 20; i++) {
		lie(cable, entries, sizeof(entries) / sizeof(entries[0]));
		lie(cable, own, 2); /* the victim's own addresses: asserted in learned() */
		run_until(lab.now + 10 * SECOND);
		assert_true(converged());
	}
	for (unsigned i = 0; i < lab.n; i++)
		assert_int_equal(lab.nodes[i].foreign, 0);
}

/* A liar inside the network can attract the traffic of others; when it stops they find back. */
static void test_lies_about_others_end(void **state)
{
	struct rip_entry all[2 * 15];
	struct cable *cable;
	size_t n = 0;

	(void)state;
	ring(16);
	cable = join(0, 8);
	set_locals(&lab.nodes[0]);
	set_locals(&lab.nodes[8]);
	settle("before the lies", 90);
	for (unsigned i = 1; i < 16; i++)
		for (enum rip_version v = RIP_V2; v <= RIP_NG; v++)
			all[n++] = (struct rip_entry){
				.prefix = host(v, i), .metric = 1, .next_hop = addr_any6};
	for (int i = 0; i < 10; i++) {
		lie(cable, all, n);
		run_until(lab.now + 20 * SECOND);
	}
	settle("after the lies", 90);
}

static int write_pcap(const char *path)
{
	/* Magic, version 2.4, zone, accuracy, snap length, LINKTYPE_RAW (pcap-savefile(5)). */
	const uint32_t head[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 101};

	lab_setup(NULL);
	lab.pcap = fopen(path, "wb");
	if (!lab.pcap)
		return 1;
	fwrite(head, sizeof(head), 1, lab.pcap);
	lab.links_announced = true;
	random_graph(90, 40);
	run_until(lab.now + 120 * SECOND);
	kill_node(&lab.nodes[60]);
	run_until(lab.now + 300 * SECOND);
	printf("%" PRIu64 " packets\n", lab.packets);
	lab_teardown(NULL);
	return fclose(lab.pcap) != 0;
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, lab_setup, lab_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(line),
		T(line_longer_than_infinity),
		T(ring),
		T(ring_silent_cut),
		T(mesh_and_node_loss),
		T(random_graph),
		T(prefixes_of_links),
		T(count_to_infinity_is_bounded),
		T(partition_heals),
		T(lossy_links),
		T(restart_of_a_node),
		T(liar_is_confined),
		T(lies_about_others_end),
	};

	if (argc == 3 && strcmp(argv[1], "--pcap") == 0)
		return write_pcap(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

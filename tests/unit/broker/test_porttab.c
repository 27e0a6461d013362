/* SPDX-License-Identifier: MIT */
/* porttab: errors, stale entries, files, lookup, quotas. The rules of bind and listen are compared
 * with the kernel in test_porttab_kernel.c; leases are in test_lease.c. */
#include "porttab_world.h"

/* --- bind --- */

static void test_invalid_requests(void **state)
{
	struct porttab_request r;
	uint16_t port = 7;

	(void)state;
	assert_int_equal(bind_to(IPPROTO_ICMP, "10.0.0.1", 80, 0, 1), -EINVAL);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 0), -EINVAL);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, ASK_V6ONLY, 1), -EINVAL);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, ASK_V6ONLY | ASK_V6, 1), -EINVAL);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 16, 1), -EINVAL);
	r = req(TCP, "fd00::1", 80, 0, 1);
	r.flags = 0;
	assert_int_equal(porttab_bind(w.tab, &r, &port), -EINVAL);
	assert_int_equal(port, 7);
	assert_int_equal(porttab_count(w.tab), 0);
}

static void test_any_port_is_free_to_bind(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "0.0.0.0", 1, 0, 1), 0);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 80, 0, 2), 0);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 65535, 0, 3), 0);
	assert_int_equal(porttab_count(w.tab), 3);
}

static void test_protocols_are_separate(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "0.0.0.0", 53, 0, 1), 0);
	assert_int_equal(bind_to(UDP, "0.0.0.0", 53, 0, 2), 0);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 53, 0, 3), -EADDRINUSE);
	assert_int_equal(bind_to(UDP, "0.0.0.0", 53, 0, 3), -EADDRINUSE);
}

static void test_same_inode(void **state)
{
	struct porttab_request other = req(TCP, "10.0.0.1", 81, 0, 1);
	uint16_t port;
	int chosen;

	(void)state;
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 1), 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 1), 0); /* asked again */
	assert_int_equal(porttab_count(w.tab), 1);
	/* The same process, another socket with the number of a dead one. */
	assert_int_equal(bind_to(TCP, "10.0.0.1", 81, 0, 1), 0);
	assert_int_equal(porttab_count(w.tab), 1);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 2), 0);
	/* Another process cannot take it over, nor can it once it listens. */
	other.pid = 2;
	assert_int_equal(porttab_bind(w.tab, &other, &port), -EINVAL);
	listen_at("10.0.0.1", 81, 0, 1, 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 82, 0, 1), -EINVAL);
	/* Port 0 again gives the port chosen before. */
	chosen = bind_to(TCP, "10.0.0.1", 0, 0, 3);
	assert_true(chosen > 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 0, 0, 3), chosen);
}

static void test_stale_entry_gives_way(void **state)
{
	(void)state;
	listen_at("0.0.0.0", 80, 0, 1, 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 2), -EADDRINUSE);
	w.dead[1] = true;
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 2), 0);
	assert_string_equal(w.dropped, "tcp.00000000.80 ");
	assert_int_equal(porttab_count(w.tab), 1);
	/* One that never listened has no file. */
	w.dead[2] = true;
	assert_int_equal(bind_to(TCP, "::", 80, 0, 3), 0);
	assert_int_equal(w.drops, 1);
}

static void test_all_stale_entries_in_the_way_are_dropped(void **state)
{
	(void)state;
	listen_at("10.0.0.1", 80, 0, 1, 0);
	listen_at("10.0.0.2", 80, 0, 2, 0);
	listen_at("fd00::1", 80, 0, 3, 0);
	w.dead[1] = w.dead[2] = w.dead[3] = true;
	assert_int_equal(bind_to(TCP, "0.0.0.0", 80, 0, 4), 0);
	assert_string_equal(w.dropped, "tcp.0a000001.80 tcp.0a000002.80 ");
	assert_int_equal(porttab_count(w.tab), 2); /* fd00::1 was not in the way */
}

static void test_no_probe_without_conflict(void **state)
{
	(void)state;
	listen_at("10.0.0.1", 80, 0, 1, 0);
	assert_int_equal(bind_to(TCP, "10.0.0.2", 80, 0, 2), 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 81, 0, 3), 0);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 0, 0, 4) > 0, 1);
	assert_int_equal(w.probes, 0);
}

static void test_without_ops_everything_is_alive(void **state)
{
	static const struct porttab_ops none;
	const struct porttab_request a = req(TCP, "0.0.0.0", 80, 0, 1),
				     b = req(TCP, "0.0.0.0", 80, 0, 2);
	char file[SOCKNAME_FILE_MAX];
	struct porttab *tab;
	uint16_t port;

	(void)state;
	assert_int_equal(porttab_new(&none, NULL, &tab), 0);
	assert_int_equal(porttab_listen(tab, &a, &port, file), 0);
	assert_int_equal(porttab_bind(tab, &b, &port), -EADDRINUSE);
	assert_false(porttab_verify(tab, file));
	assert_int_equal(porttab_reap(tab, 10), 0);
	assert_int_equal(porttab_drop(tab, 1), 0);
	assert_int_equal(porttab_count(tab), 0);
	porttab_free(tab);
	porttab_free(NULL);
}

/* --- port 0 --- */

static void test_ephemeral_ports(void **state)
{
	static bool seen[65536];
	int first = 0, neighbours = 0, last = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 1; i <= 1000; i++) {
		const int port = bind_to(TCP, "10.0.0.1", 0, 0, i);

		assert_in_range(port, PORTTAB_EPHEMERAL_FIRST, PORTTAB_EPHEMERAL_LAST);
		assert_false(seen[port]);
		seen[port] = true;
		first = first ? first : port;
		neighbours += port == last + 1;
		last = port;
	}
	assert_true(neighbours < 100); /* random, not in a row */
}

static void test_port_0_never_shares(void **state)
{
	const uint8_t both = ASK_REUSEADDR | ASK_REUSEPORT;
	static bool seen[65536];

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 1; i <= 4000; i++) {
		const int port = bind_to(UDP, i % 2 ? "0.0.0.0" : "::", 0, both, i);

		assert_true(port > 0);
		assert_false(seen[port]);
		seen[port] = true;
	}
}

static void test_all_ephemeral_ports_taken(void **state)
{
	const unsigned n = PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1;

	(void)state;
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			bind_to(TCP, "10.0.0.1", (uint16_t)(PORTTAB_EPHEMERAL_FIRST + i), 0, i + 1),
			0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 0, 0, n + 1), -EADDRINUSE);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 0, 0, n + 1), -EADDRINUSE);
	assert_true(bind_to(TCP, "10.0.0.2", 0, 0, n + 1) > 0);
	assert_int_equal(w.probes > 0, 1);
	memset(w.dead, true, n);
	assert_true(bind_to(TCP, "10.0.0.1", 0, 0, n + 2) > 0);
}

/* --- listen --- */

static void test_files(void **state)
{
	(void)state;
	assert_string_equal(listen_at("10.77.0.1", 80, 0, 1, 0), "tcp.0a4d0001.80");
	assert_string_equal(listen_at("0.0.0.0", 81, 0, 2, 0), "tcp.00000000.81");
	assert_string_equal(listen_at("::", 82, 0, 3, 0), "tcp.any.82");
	assert_string_equal(listen_at("::", 83, ASK_V6ONLY, 4, 0), "tcp.any6.83");
	assert_string_equal(listen_at("fd00::1", 84, ASK_V6ONLY, 5, 0),
		"tcp.fd000000000000000000000000000001.84");
	assert_string_equal(listen_at("::ffff:10.77.0.1", 85, ASK_V6, 6, 0), "tcp.0a4d0001.85");
	assert_string_equal(listen_at("::", 82, 0, 3, 1), "tcp.any.82"); /* again */
}

static void test_listen_binds_when_unknown(void **state)
{
	const struct porttab_request r = req(TCP, "0.0.0.0", 0, 0, 1);
	char file[SOCKNAME_FILE_MAX], expected[SOCKNAME_FILE_MAX];
	uint16_t port;

	(void)state;
	assert_int_equal(porttab_listen(w.tab, &r, &port, file), 0);
	assert_in_range(port, PORTTAB_EPHEMERAL_FIRST, PORTTAB_EPHEMERAL_LAST);
	snprintf(expected, sizeof(expected), "tcp.00000000.%u", port);
	assert_string_equal(file, expected);
	assert_int_equal(served_by(TCP, "10.0.0.1", port), 1);
}

static void test_listen_uses_what_was_bound(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, 0, 1), 0);
	assert_string_equal(listen_at("0.0.0.0", 0, 0, 1, 0), "tcp.0a000001.80");
}

static void test_second_listener(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "0.0.0.0", 80, ASK_REUSEADDR, 1), 0);
	assert_int_equal(bind_to(TCP, "0.0.0.0", 80, ASK_REUSEADDR, 2), 0);
	listen_at("0.0.0.0", 80, ASK_REUSEADDR, 1, 0);
	listen_at("0.0.0.0", 80, ASK_REUSEADDR, 2, -EADDRINUSE);
	listen_at("0.0.0.0", 80, ASK_REUSEADDR, 3, -EADDRINUSE); /* not bound: nothing stays */
	assert_int_equal(porttab_count(w.tab), 2);
	w.dead[1] = true;
	assert_string_equal(listen_at("0.0.0.0", 80, ASK_REUSEADDR, 2, 0), "tcp.00000000.80");
	assert_string_equal(w.dropped, "tcp.00000000.80 ");
}

static void test_listen_errors(void **state)
{
	struct porttab_request r = req(UDP, "0.0.0.0", 80, 0, 1);
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;

	(void)state;
	assert_int_equal(porttab_listen(w.tab, &r, &port, file), -EOPNOTSUPP);
	assert_int_equal(bind_to(UDP, "0.0.0.0", 80, 0, 1), 0);
	listen_at("0.0.0.0", 80, 0, 1, -EINVAL); /* a UDP socket by its inode */
	listen_at("0.0.0.0", 80, 0, 0, -EINVAL);
}

static void test_options_set_after_bind(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "0.0.0.0", 80, 0, 1), 0);
	assert_string_equal(listen_at("0.0.0.0", 80, ASK_REUSEPORT, 1, 0), "tcp.00000000.80.0");
	assert_string_equal(listen_at("0.0.0.0", 80, ASK_REUSEPORT, 2, 0), "tcp.00000000.80.1");
}

static void test_reuseport_members_have_their_own_files(void **state)
{
	(void)state;
	assert_string_equal(listen_at("::", 80, ASK_REUSEPORT, 1, 0), "tcp.any.80.0");
	assert_string_equal(listen_at("::", 80, ASK_REUSEPORT, 2, 0), "tcp.any.80.1");
	assert_string_equal(listen_at("10.0.0.1", 80, ASK_REUSEPORT, 3, 0), "tcp.0a000001.80.2");
	assert_string_equal(listen_at("::", 80, ASK_REUSEPORT, 2, 1), "tcp.any.80.1");
	listen_at("::", 80, 0, 4, -EADDRINUSE);
}

static void test_listening_moves_the_charge(void **state)
{
	struct porttab_request r = req(TCP, "0.0.0.0", 80, 0, 1);
	struct endpoint dst = {addr_loopback4, 80};
	struct porttab_entry entry;
	char file[SOCKNAME_FILE_MAX], again[SOCKNAME_FILE_MAX];
	uint16_t port;

	(void)state;
	assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
	r.pid = 2; /* its child */
	assert_int_equal(porttab_listen(w.tab, &r, &port, file), 0);
	assert_int_equal(porttab_lookup(w.tab, TCP, &dst, &entry), 0);
	assert_int_equal(entry.pid, 2);
	assert_true(entry.listening);
	assert_string_equal(entry.file, file);
	/* Again, also by the other process that has the socket: nothing is to be unlinked. */
	r.pid = 1;
	assert_int_equal(porttab_listen(w.tab, &r, &port, again), 1);
	assert_string_equal(again, file);
}

/* --- lookup --- */

static void test_lookup_order(void **state)
{
	(void)state;
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), -ECONNREFUSED);
	listen_at("::", 80, ASK_REUSEPORT, 1, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), 1);
	assert_int_equal(served_by(TCP, "fd00::1", 80), 1);
	listen_at("0.0.0.0", 80, ASK_REUSEPORT, 2, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), 2);
	assert_int_equal(served_by(TCP, "fd00::1", 80), 1);
	listen_at("::", 80, ASK_REUSEPORT | ASK_V6ONLY, 3, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), 2);
	assert_int_equal(served_by(TCP, "fd00::1", 80), 3);
	listen_at("10.0.0.1", 80, ASK_REUSEPORT, 4, 0);
	listen_at("fd00::1", 80, ASK_REUSEPORT, 5, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), 4);
	assert_int_equal(served_by(TCP, "fd00::1", 80), 5);
	assert_int_equal(served_by(TCP, "10.0.0.2", 80), 2);
	assert_int_equal(served_by(TCP, "fd00::2", 80), 3);
	assert_int_equal(served_by(TCP, "10.0.0.1", 81), -ECONNREFUSED);
	assert_int_equal(served_by(UDP, "10.0.0.1", 80), -ECONNREFUSED);
}

static void test_lookup_families(void **state)
{
	(void)state;
	listen_at("::", 80, ASK_V6ONLY, 1, 0);
	listen_at("0.0.0.0", 81, 0, 2, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), -ECONNREFUSED);
	assert_int_equal(served_by(TCP, "fd00::1", 81), -ECONNREFUSED);
	assert_int_equal(served_by(TCP, "::1", 80), 1);
	assert_int_equal(served_by(TCP, "127.0.0.1", 81), 2);
}

static void test_lookup_needs_a_listener_for_tcp(void **state)
{
	(void)state;
	assert_int_equal(bind_to(TCP, "10.0.0.1", 80, ASK_REUSEADDR, 1), 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), -ECONNREFUSED);
	listen_at("0.0.0.0", 80, ASK_REUSEADDR, 2, 0);
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), 2); /* not the exact one */
	assert_int_equal(bind_to(UDP, "10.0.0.1", 80, 0, 3), 0);
	assert_int_equal(served_by(UDP, "10.0.0.1", 80), 3);
}

static void test_lookup_takes_turns(void **state)
{
	unsigned got[5] = {0};

	(void)state;
	listen_at("0.0.0.0", 80, ASK_REUSEPORT, 1, 0);
	listen_at("0.0.0.0", 80, ASK_REUSEPORT, 2, 0);
	listen_at("0.0.0.0", 80, ASK_REUSEPORT, 3, 0);
	listen_at("::", 80, ASK_REUSEPORT, 4, 0);
	for (int i = 0; i < 30; i++)
		got[served_by(TCP, "10.0.0.1", 80)]++;
	assert_int_equal(got[1], 10);
	assert_int_equal(got[2], 10);
	assert_int_equal(got[3], 10);
	assert_int_equal(porttab_drop(w.tab, 2), 0);
	for (int i = 0; i < 20; i++)
		got[served_by(TCP, "10.0.0.1", 80)]++;
	assert_int_equal(got[1], 20);
	assert_int_equal(got[2], 10);
	assert_int_equal(got[3], 20);
}

static void test_lookup_udp_prefers_the_newest(void **state)
{
	(void)state;
	assert_int_equal(bind_to(UDP, "0.0.0.0", 53, ASK_REUSEADDR, 1), 0);
	assert_int_equal(bind_to(UDP, "0.0.0.0", 53, ASK_REUSEADDR, 2), 0);
	assert_int_equal(served_by(UDP, "10.0.0.1", 53), 2);
	assert_int_equal(porttab_drop(w.tab, 2), 0);
	assert_int_equal(served_by(UDP, "10.0.0.1", 53), 1);
}

/* --- drop, verify, reap, adopt, each --- */

static void test_drop(void **state)
{
	(void)state;
	assert_int_equal(porttab_drop(w.tab, 1), -ENOENT);
	listen_at("10.0.0.1", 80, 0, 1, 0);
	assert_int_equal(porttab_drop(w.tab, 1), 0);
	assert_string_equal(w.dropped, "tcp.0a000001.80 ");
	assert_int_equal(porttab_drop(w.tab, 1), -ENOENT);
	assert_int_equal(w.probes, 0);
}

static void test_verify(void **state)
{
	(void)state;
	listen_at("10.0.0.1", 80, 0, 1, 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 81, 0, 2), 0);
	w.dead[2] = true;
	assert_false(porttab_verify(w.tab, "tcp.0a000001.80"));
	assert_int_equal(w.probes, 1);
	assert_false(porttab_verify(w.tab, "tcp.0a000001.81")); /* has no file */
	assert_false(porttab_verify(w.tab, "tcp.0a000001.80.0"));
	assert_false(porttab_verify(w.tab, "tcp.any.80"));
	assert_false(porttab_verify(w.tab, "rubbish"));
	w.dead[1] = true;
	assert_true(porttab_verify(w.tab, "tcp.0a000001.80"));
	assert_string_equal(w.dropped, "tcp.0a000001.80 ");
	assert_int_equal(served_by(TCP, "10.0.0.1", 80), -ECONNREFUSED);
}

static void test_reap_goes_round(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 10; i++) {
		assert_int_equal(bind_to(TCP, "10.0.0.1", (uint16_t)i, 0, i), 0);
		w.dead[i] = i % 2;
	}
	assert_int_equal(porttab_reap(w.tab, 4), 2);
	assert_int_equal(w.probes, 4);
	assert_int_equal(porttab_reap(w.tab, 4), 2); /* goes on at the fifth */
	assert_int_equal(porttab_reap(w.tab, 100), 1);
	assert_int_equal(porttab_count(w.tab), 5);
	assert_int_equal(porttab_reap(w.tab, 100), 0);
	w.probes = 0;
	assert_int_equal(porttab_reap(w.tab, 0), 0);
	assert_int_equal(w.probes, 0);
}

static void test_adopt(void **state)
{
	(void)state;
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.80", 1, 0), 0);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any6.81", 2, 5), 0);
	assert_int_equal(porttab_adopt(w.tab, "tcp.0a000001.82.7", 3, 5), 0);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.80", 9, 0), -EEXIST);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.90", 1, 0), -EEXIST);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.90", 0, 0), -EINVAL);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.0", 9, 0), -EINVAL);
	assert_int_equal(porttab_adopt(w.tab, "udp.any.90", 9, 0), -EINVAL);
	assert_int_equal(porttab_adopt(w.tab, "", 9, 0), -EINVAL);
	assert_int_equal(served_by(TCP, "10.0.0.5", 80), 1);
	assert_int_equal(served_by(TCP, "10.0.0.5", 81), -ECONNREFUSED);
	assert_int_equal(served_by(TCP, "fd00::1", 81), 2);
	assert_int_equal(served_by(TCP, "10.0.0.1", 82), 3);
	listen_at("0.0.0.0", 80, 0, 10, -EADDRINUSE);
	/* The group goes on, and no member gets a number that is taken. */
	for (uint64_t i = 0; i < 10; i++) {
		char expected[SOCKNAME_FILE_MAX];

		snprintf(expected, sizeof(expected), "tcp.0a000001.82.%d", (int)(i + (i >= 7)));
		assert_string_equal(listen_at("10.0.0.1", 82, ASK_REUSEPORT, 20 + i, 0), expected);
	}
	/* Its own process asks again after the restart. */
	assert_string_equal(listen_at("::", 80, 0, 1, 1), "tcp.any.80");
}

static int describe(const struct porttab_entry *entry, void *arg)
{
	char text[ENDPOINT_STRLEN], line[256];

	snprintf(line, sizeof(line), "%d %s %d %d %d %s;", entry->proto,
		endpoint_format(&entry->local, text), (int)entry->inode, entry->pid,
		entry->listening, entry->file);
	strcat(arg, line);
	return entry->inode == 2 ? 5 : 0;
}

static void test_each(void **state)
{
	char text[512] = "";

	(void)state;
	assert_int_equal(porttab_each(w.tab, describe, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(bind_to(UDP, "10.0.0.1", 53, 0, 1), 0);
	listen_at("10.0.0.1", 80, 0, 2, 0);
	listen_at("10.0.0.1", 81, 0, 3, 0);
	assert_int_equal(porttab_each(w.tab, describe, text), 5);
	assert_string_equal(text, "17 10.0.0.1:53 1 1 0 ;6 10.0.0.1:80 2 1 1 tcp.0a000001.80;");
}

/* --- quotas --- */

static void test_quota_of_a_process(void **state)
{
	struct porttab_request r = req(TCP, "10.0.0.1", 9, 0, 9);
	uint16_t port;

	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(bind_to(TCP, "10.0.0.1", (uint16_t)i, 0, i), 0);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 5, 0, 5), -ENOBUFS);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 0, 0, 5), -ENOBUFS);
	listen_at("10.0.0.1", 5, 0, 5, -ENOBUFS);
	assert_int_equal(bind_to(TCP, "10.0.0.1", 4, 0, 5), -EADDRINUSE);
	r.pid = 2;
	assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
	w.dead[3] = true;
	assert_int_equal(bind_to(TCP, "10.0.0.1", 5, 0, 5), 0);
	assert_int_equal(porttab_count(w.tab), 5);
}

static void test_quota_when_all_of_a_process_is_stale(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 4; i++) {
		assert_int_equal(bind_to(TCP, "10.0.0.1", (uint16_t)i, 0, i), 0);
		w.dead[i] = true;
	}
	assert_int_equal(bind_to(TCP, "10.0.0.1", 5, 0, 5), 0);
	assert_int_equal(porttab_count(w.tab), 1);
}

static void test_quota_of_a_portspace(void **state)
{
	struct porttab_request r = req(TCP, "10.0.0.1", 0, 0, 0);
	uint16_t port;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++) {
		r.inode = i;
		r.pid = (pid_t)i;
		assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
	}
	r.inode = 11;
	assert_int_equal(porttab_bind(w.tab, &r, &port), -ENOBUFS);
	assert_int_equal(porttab_adopt(w.tab, "tcp.any.80", 12, 0), -ENOBUFS);
	w.dead[7] = true;
	assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
	assert_int_equal(porttab_count(w.tab), 10);
}

static void test_default_quotas(void **state)
{
	struct porttab_request r = req(TCP, "10.0.0.1", 0, 0, 0);
	uint16_t port;

	(void)state;
	for (unsigned i = 0; i < PORTTAB_ENTRIES_MAX; i++) {
		r.inode = i + 1;
		r.pid = (pid_t)(1 + i / PORTTAB_PID_MAX);
		assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
		if (i + 1 == PORTTAB_PID_MAX) {
			r.inode = 60000;
			w.probes = 0;
			assert_int_equal(porttab_bind(w.tab, &r, &port), -ENOBUFS);
			assert_true(w.probes <= 64); /* a full table costs a bounded search */
		}
	}
	r.inode = 60000;
	r.pid = 100;
	w.probes = 0;
	assert_int_equal(porttab_bind(w.tab, &r, &port), -ENOBUFS);
	assert_true(w.probes <= 64);
}

static void test_pid_gone(void **state)
{
	(void)state;
	listen_at("10.0.0.1", 80, 0, 1, 0);
	listen_at("10.0.0.1", 81, 0, 2, 0);
	w.dead[1] = true;
	porttab_pid_gone(w.tab, 1);
	assert_string_equal(w.dropped, "tcp.0a000001.80 ");
	assert_int_equal(served_by(TCP, "10.0.0.1", 81), 2); /* a child still has it */
	porttab_pid_gone(w.tab, 77);
	porttab_pid_gone(w.tab, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_tab(test_invalid_requests),
		with_tab(test_any_port_is_free_to_bind),
		with_tab(test_protocols_are_separate),
		with_tab(test_same_inode),
		with_tab(test_stale_entry_gives_way),
		with_tab(test_all_stale_entries_in_the_way_are_dropped),
		with_tab(test_no_probe_without_conflict),
		with_tab(test_without_ops_everything_is_alive),
		with_tab(test_ephemeral_ports),
		with_tab(test_port_0_never_shares),
		with_large(test_all_ephemeral_ports_taken),
		with_tab(test_files),
		with_tab(test_listen_binds_when_unknown),
		with_tab(test_listen_uses_what_was_bound),
		with_tab(test_second_listener),
		with_tab(test_listen_errors),
		with_tab(test_options_set_after_bind),
		with_tab(test_reuseport_members_have_their_own_files),
		with_tab(test_listening_moves_the_charge),
		with_tab(test_lookup_order),
		with_tab(test_lookup_families),
		with_tab(test_lookup_needs_a_listener_for_tcp),
		with_tab(test_lookup_takes_turns),
		with_tab(test_lookup_udp_prefers_the_newest),
		with_tab(test_drop),
		with_tab(test_verify),
		with_tab(test_reap_goes_round),
		with_tab(test_adopt),
		with_tab(test_each),
		with_small(test_quota_of_a_process),
		with_small(test_quota_when_all_of_a_process_is_stale),
		with_small(test_quota_of_a_portspace),
		with_tab(test_default_quotas),
		with_tab(test_pid_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

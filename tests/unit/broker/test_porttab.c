/* SPDX-License-Identifier: MIT */
/* porttab: errors, stale entries, files, lookup, leases, quotas. The rules of bind and listen are
 * compared with the kernel in test_porttab_kernel.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "porttab.h"

enum { TCP = IPPROTO_TCP, UDP = IPPROTO_UDP, INODES = 70000, PIDS = 4096 };

/* What the table is told of the world. */
static struct world {
	struct porttab *tab;
	bool dead[INODES];
	bool dead_pid[PIDS];
	unsigned probes;
	unsigned drops;
	char dropped[512]; /* file names, each with a space behind */
} w;

static bool alive(uint64_t inode, void *arg)
{
	assert_ptr_equal(arg, &w);
	w.probes++;
	return inode >= INODES || !w.dead[inode];
}

static bool pid_alive(pid_t pid, void *arg)
{
	assert_ptr_equal(arg, &w);
	return pid >= PIDS || !w.dead_pid[pid];
}

static void dropped(const char *file, void *arg)
{
	assert_ptr_equal(arg, &w);
	if (w.drops++ < 8)
		strcat(strcat(w.dropped, file), " ");
}

static const struct porttab_ops ops = {
	.alive = alive, .pid_alive = pid_alive, .dropped = dropped, .arg = &w};

static int setup_with(size_t entries_max, size_t pid_max)
{
	const struct porttab_limits limits = {entries_max, pid_max};

	memset(&w, 0, sizeof(w));
	return sodium_init() < 0 || porttab_new(&ops, &limits, &w.tab);
}

static int setup(void **state)
{
	(void)state;
	return setup_with(0, 0);
}

static int setup_small(void **state)
{
	(void)state;
	return setup_with(10, 4);
}

static int teardown(void **state)
{
	const unsigned drops = w.drops;

	(void)state;
	porttab_free(w.tab);
	return w.drops != drops; /* free calls no ops */
}

static struct porttab_request req(
	uint8_t proto, const char *at, uint16_t port, uint8_t flags, uint64_t inode)
{
	struct porttab_request r = {
		.proto = proto, .flags = flags, .inode = inode, .pid = 1, .local.port = port};

	assert_int_equal(addr_parse(at, &r.local.addr), 0);
	if (!addr_is_v4(&r.local.addr))
		r.flags |= ASK_V6;
	return r;
}

/* Result of a bind to an explicit port, or the port that was chosen. */
static int bind_to(uint8_t proto, const char *at, uint16_t port, uint8_t flags, uint64_t inode)
{
	const struct porttab_request r = req(proto, at, port, flags, inode);
	uint16_t got = 0;
	const int err = porttab_bind(w.tab, &r, &got);

	if (err)
		return err;
	if (port)
		assert_int_equal(got, port);
	return port ? 0 : got;
}

/* Listens; "" and the error, or the file's name. */
static const char *listen_at(
	const char *at, uint16_t port, uint8_t flags, uint64_t inode, int expected)
{
	static char file[SOCKNAME_FILE_MAX];
	const struct porttab_request r = req(TCP, at, port, flags, inode);
	uint16_t got = 0;

	file[0] = '\0';
	assert_int_equal(porttab_listen(w.tab, &r, &got, file), expected);
	if (expected)
		assert_string_equal(file, "");
	else if (port)
		assert_int_equal(got, port);
	return file;
}

/* Who serves the address? The inode, or negative errno. */
static int64_t served_by(uint8_t proto, const char *at, uint16_t port)
{
	struct endpoint dst = {.port = port};
	struct porttab_entry entry;
	int r;

	assert_int_equal(addr_parse(at, &dst.addr), 0);
	r = porttab_lookup(w.tab, proto, &dst, &entry);
	return r ? r : (int64_t)entry.inode;
}

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

static int setup_large(void **state)
{
	(void)state;
	return setup_with(60000, 60000);
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
	assert_string_equal(listen_at("::", 82, 0, 3, 0), "tcp.any.82"); /* again */
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
	assert_string_equal(listen_at("::", 80, ASK_REUSEPORT, 2, 0), "tcp.any.80.1");
	listen_at("::", 80, 0, 4, -EADDRINUSE);
}

static void test_listening_moves_the_charge(void **state)
{
	struct porttab_request r = req(TCP, "0.0.0.0", 80, 0, 1);
	struct endpoint dst = {addr_loopback4, 80};
	struct porttab_entry entry;
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;

	(void)state;
	assert_int_equal(porttab_bind(w.tab, &r, &port), 0);
	r.pid = 2; /* its child */
	assert_int_equal(porttab_listen(w.tab, &r, &port, file), 0);
	assert_int_equal(porttab_lookup(w.tab, TCP, &dst, &entry), 0);
	assert_int_equal(entry.pid, 2);
	assert_true(entry.listening);
	assert_string_equal(entry.file, file);
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
	assert_string_equal(listen_at("::", 80, 0, 1, 0), "tcp.any.80");
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

/* --- leases --- */

static uint16_t lease(pid_t pid, unsigned expected)
{
	uint16_t first, count;

	assert_int_equal(porttab_lease(w.tab, TCP, pid, &first, &count), 0);
	assert_int_equal(count, expected);
	assert_true(first >= PORTTAB_EPHEMERAL_FIRST);
	assert_true(first + count - 1 <= PORTTAB_EPHEMERAL_LAST);
	return first;
}

static void test_leases_grow_and_do_not_overlap(void **state)
{
	static bool seen[65536];
	const unsigned sizes[] = {16, 64, 256, 256};

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (pid_t pid = 1; pid <= 20; pid++) {
		for (unsigned i = 0; i < 4; i++) {
			const uint16_t first = lease(pid, sizes[i]);

			for (unsigned p = first; p < first + sizes[i]; p++) {
				assert_false(seen[p]);
				seen[p] = true;
			}
		}
	}
}

static void test_lease_errors(void **state)
{
	uint16_t first = 1, count = 2;

	(void)state;
	assert_int_equal(porttab_lease(w.tab, IPPROTO_ICMP, 1, &first, &count), -EINVAL);
	assert_int_equal(porttab_lease(w.tab, TCP, 0, &first, &count), -EINVAL);
	assert_int_equal(porttab_lease(w.tab, TCP, -1, &first, &count), -EINVAL);
	assert_int_equal(first, 1);
	assert_int_equal(count, 2);
}

static void test_lease_of_one_process_is_bounded(void **state)
{
	uint16_t first, count;
	unsigned total = 0;
	int r;

	(void)state;
	while (!(r = porttab_lease(w.tab, TCP, 1, &first, &count)))
		total += count;
	assert_int_equal(r, -EADDRNOTAVAIL);
	assert_int_equal(total, PORTTAB_LEASE_PID_MAX);
	lease(2, 16);
	assert_int_equal(porttab_lease(w.tab, UDP, 1, &first, &count), 0);
	assert_int_equal(count, 16); /* protocols are separate */
}

static void test_bind_avoids_leases_while_it_can(void **state)
{
	static bool leased[65536];
	uint16_t first, count;
	const unsigned n = PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1;

	(void)state;
	memset(leased, 0, sizeof(leased));
	for (pid_t pid = 1; !porttab_lease(w.tab, TCP, pid, &first, &count); pid++) {
		for (unsigned p = first; p < (unsigned)first + count; p++)
			leased[p] = true;
	}
	/* What is left over is not a whole run of 16; all else is leased. */
	for (unsigned i = 0; i < n % 16; i++) {
		const int port = bind_to(TCP, "10.0.0.1", 0, 0, i + 1);

		assert_true(port > 0);
		assert_false(leased[port]);
	}
	/* Now it takes a leased one rather than fail. */
	assert_true(leased[bind_to(TCP, "10.0.0.1", 0, 0, 100)]);
	/* A process that is dead holds none. */
	w.dead_pid[5] = true;
	assert_false(porttab_lease(w.tab, TCP, 3000, &first, &count));
}

static void test_explicit_bind_ignores_leases(void **state)
{
	const uint16_t first = lease(1, 16);

	(void)state;
	assert_int_equal(bind_to(TCP, "10.0.0.1", first, 0, 1), 0);
}

static void test_lease_avoids_bound_ports(void **state)
{
	(void)state;
	/* One port in each run of 16, but for the last whole one. */
	for (unsigned p = PORTTAB_EPHEMERAL_FIRST; p + 31 <= PORTTAB_EPHEMERAL_LAST; p += 16)
		assert_int_equal(bind_to(TCP, "10.0.0.1", (uint16_t)(p + 5), 0,
					 p - PORTTAB_EPHEMERAL_FIRST + 1),
			0);
	assert_int_equal(lease(1, 16), 60976);
	/* None without a bound port is left: take one with. */
	lease(2, 16);
}

static void test_leases_of_dead_processes_are_taken_back(void **state)
{
	uint16_t first, count;
	pid_t pid;

	(void)state;
	for (pid = 1; !porttab_lease(w.tab, TCP, pid, &first, &count); pid++)
		assert_int_equal(count, 16);
	assert_int_equal(pid, 1 + (PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1) / 16);
	assert_int_equal(porttab_lease(w.tab, TCP, 1, &first, &count), -EADDRNOTAVAIL);
	w.dead_pid[7] = true;
	lease(pid, 16);
	assert_int_equal(porttab_lease(w.tab, TCP, pid, &first, &count), -EADDRNOTAVAIL);
	porttab_pid_gone(w.tab, 8);
	lease(pid, 16); /* the second would be 64: less is better than none */
	porttab_pid_gone(w.tab, pid);
	lease(pid, 16); /* starts again */
}

#define with_tab(fn)   cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define with_small(fn) cmocka_unit_test_setup_teardown(fn, setup_small, teardown)
#define with_large(fn) cmocka_unit_test_setup_teardown(fn, setup_large, teardown)

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
		with_tab(test_leases_grow_and_do_not_overlap),
		with_tab(test_lease_errors),
		with_tab(test_lease_of_one_process_is_bounded),
		with_tab(test_bind_avoids_leases_while_it_can),
		with_tab(test_explicit_bind_ignores_leases),
		with_tab(test_lease_avoids_bound_ports),
		with_tab(test_leases_of_dead_processes_are_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

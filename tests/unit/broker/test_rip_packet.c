/* SPDX-License-Identifier: MIT */
/* rip_packet: both formats, well-formed and not; linklocal: the addresses that RIPng speaks from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "linklocal.h"
#include "rip_packet.h"

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

struct message {
	uint8_t data[1500];
	size_t len;
};

/* A response with one entry, tag 7. */
static struct message response(enum rip_version version, const char *text, uint8_t metric)
{
	const struct rip_entry e = {
		.prefix = prefix(text), .metric = metric, .tag = 7, .next_hop = addr_any6};
	struct message m = {.len = 0};
	struct rip_writer w;

	rip_write(&w, version, RIP_RESPONSE, m.data, sizeof(m.data));
	assert_true(rip_write_entry(&w, &e));
	m.len = w.wr.len;
	return m;
}

static void test_v2_layout(void **state)
{
	static const uint8_t want[] = {
		2, 2, 0, 0, 0, 2, 0, 7, 10, 1, 2, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 3};
	const struct message m = response(RIP_V2, "10.1.2.0/24", 3);

	(void)state;
	assert_int_equal(m.len, sizeof(want));
	assert_memory_equal(m.data, want, sizeof(want));
}

static void test_ng_layout(void **state)
{
	static const uint8_t want[] = {
		2, 1, 0, 0, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 32, 3};
	const struct message m = response(RIP_NG, "fd00:1::/32", 3);

	(void)state;
	assert_int_equal(m.len, sizeof(want));
	assert_memory_equal(m.data, want, sizeof(want));
}

static void test_v2_entries_that_are_refused(void **state)
{
	static const uint8_t bad[][20] = {
		{0, 1, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},  /* family */
		{0, 2, 0, 0, 10, 1, 0, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 1},  /* mask */
		{0, 2, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},	    /* no mask */
		{0, 2, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},  /* metric 0 */
		{0, 2, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17}, /* 17 */
		{0, 2, 0, 0, 10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1},  /* 257 */
		{0xff, 0xff, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}, /* later auth */
	};
	struct message m = response(RIP_V2, "10.9.0.0/16", 1);
	struct rip_reader reader;
	struct rip_entry e;

	(void)state;
	memcpy(m.data + m.len, bad, sizeof(bad));
	m.len += sizeof(bad);
	assert_int_equal(rip_read(&reader, RIP_V2, m.data, m.len), 0);
	assert_true(rip_read_entry(&reader, &e));
	assert_int_equal(e.prefix.len, 112);
	assert_false(rip_read_entry(&reader, &e));
	assert_int_equal(reader.refused, sizeof(bad) / sizeof(bad[0]));
}

static void test_v2_mask_and_next_hop(void **state)
{
	static const uint8_t packet[] = {2, 2, 0, 0,
		/* host bits are cut off, the next hop is read */
		0, 2, 0, 0, 10, 1, 2, 3, 255, 255, 0, 0, 10, 0, 0, 9, 0, 0, 0, 16,
		/* the default route */
		0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
	struct rip_reader reader;
	struct rip_entry e;
	struct addr hop = addr("10.0.0.9");

	(void)state;
	assert_int_equal(rip_read(&reader, RIP_V2, packet, sizeof(packet)), 0);
	assert_true(rip_read_entry(&reader, &e));
	assert_true(addr_equal(&e.prefix.addr, &(struct addr){.b = {[10] = 255, 255, 10, 1}}));
	assert_true(addr_equal(&e.next_hop, &hop));
	assert_int_equal(e.metric, 16);
	assert_true(rip_read_entry(&reader, &e));
	assert_int_equal(e.prefix.len, 96);
	assert_int_equal(e.metric, 5);
	assert_false(rip_read_entry(&reader, &e));
}

static void test_ng_next_hop_entries(void **state)
{
	struct message m = response(RIP_NG, "fe80::9/0", 16);
	const struct message one = response(RIP_NG, "fd00:1::/32", 1);
	struct rip_reader reader;
	struct rip_entry e;
	struct addr hop = addr("fe80::9");

	(void)state;
	/* "The next hop of what follows is fe80::9", an entry, "... is the sender", an entry. */
	memcpy(m.data + 4, hop.b, 16);
	m.data[4 + 19] = 0xff;
	memcpy(m.data + 24, one.data + 4, 20);
	memset(m.data + 44, 0, 20);
	m.data[44 + 19] = 0xff;
	memcpy(m.data + 64, one.data + 4, 20);
	m.len = 84;
	assert_int_equal(rip_read(&reader, RIP_NG, m.data, m.len), 0);
	assert_true(rip_read_entry(&reader, &e));
	assert_true(addr_equal(&e.next_hop, &hop));
	assert_true(rip_read_entry(&reader, &e));
	assert_true(addr_equal(&e.next_hop, &addr_any6));
	assert_false(rip_read_entry(&reader, &e));
	assert_int_equal(reader.refused, 0);
}

static void test_malformed_packets(void **state)
{
	struct message m = response(RIP_V2, "10.9.0.0/16", 1), n = m;
	struct rip_reader reader;

	(void)state;
	for (size_t len = 0; len < m.len; len++)
		assert_int_equal(rip_read(&reader, RIP_V2, m.data, len), len == 4 ? 0 : -EPROTO);
	n.data[0] = 3;
	assert_int_equal(rip_read(&reader, RIP_V2, n.data, n.len), -EPROTO);
	n = m;
	n.data[1] = 1; /* RIP version 1 */
	assert_int_equal(rip_read(&reader, RIP_V2, n.data, n.len), -EPROTO);
	n.data[1] = 3; /* a later version */
	assert_int_equal(rip_read(&reader, RIP_V2, n.data, n.len), 0);
	n = m;
	memset(n.data + 4, 0xff, 2); /* authentication */
	assert_int_equal(rip_read(&reader, RIP_V2, n.data, n.len), -EPROTO);
	memset(n.data + 4, 0, sizeof(n.data) - 4);
	assert_int_equal(rip_read(&reader, RIP_V2, n.data, 4 + 26 * 20), -EPROTO);
	n = response(RIP_NG, "fd00:1::/32", 1);
	n.data[1] = 2;
	assert_int_equal(rip_read(&reader, RIP_NG, n.data, n.len), -EPROTO);
}

static void test_writer_is_full(void **state)
{
	const struct rip_entry e = {.prefix = prefix("10.1.0.0/16"), .metric = 1};
	uint8_t buf[1500];
	struct rip_writer w;

	(void)state;
	rip_write(&w, RIP_V2, RIP_RESPONSE, buf, sizeof(buf));
	for (int i = 0; i < 25; i++)
		assert_true(rip_write_entry(&w, &e));
	assert_false(rip_write_entry(&w, &e));
	assert_int_equal(w.wr.len, RIP_V2_MAX);
	rip_write(&w, RIP_NG, RIP_RESPONSE, buf, 63);
	assert_int_equal(w.max, 2);
}

static void test_whole_table(void **state)
{
	(void)state;
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		uint8_t buf[64];
		struct rip_reader reader;
		struct rip_writer w;
		struct rip_entry e;

		rip_write(&w, v, RIP_REQUEST, buf, sizeof(buf));
		rip_write_whole(&w);
		assert_int_equal(w.wr.len, 24);
		assert_int_equal(rip_read(&reader, v, buf, w.wr.len), 0);
		assert_true(reader.whole);
		assert_false(rip_read_entry(&reader, &e));
		buf[0] = RIP_RESPONSE;
		assert_int_equal(rip_read(&reader, v, buf, w.wr.len), 0);
		assert_false(reader.whole);
	}
}

static void test_link_local_addresses(void **state)
{
	struct key key = {{1}}, other = {{2}};
	struct addr a, same, c;

	(void)state;
	addr_link_local(&key, &a);
	addr_link_local(&key, &same);
	addr_link_local(&other, &c);
	assert_true(addr_equal(&a, &same));
	assert_false(addr_equal(&a, &c));
	assert_true(addr_is_link_local(&a));
	assert_int_equal(a.b[8] & 3, 0);
	a = addr("fec0::1");
	assert_false(addr_is_link_local(&a));
	a = addr("169.254.255.255");
	assert_true(addr_is_link_local(&a));
	a = addr("169.255.0.0");
	assert_false(addr_is_link_local(&a));
}

#define T(name) cmocka_unit_test(test_##name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(v2_layout),
		T(ng_layout),
		T(v2_entries_that_are_refused),
		T(v2_mask_and_next_hop),
		T(ng_next_hop_entries),
		T(malformed_packets),
		T(writer_is_full),
		T(whole_table),
		T(link_local_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

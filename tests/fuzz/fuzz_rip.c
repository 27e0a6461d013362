/* SPDX-License-Identifier: MIT */
/* RIP: packets to a speaker with two links. Input: records of a head (bits 0: version, 1: link, 2:
 * to the group, 3: from the RIP port, 4 to 7: seconds that pass) and a length (16 bits), then the
 * packet. What is learned has to be inside the networks and none of the own addresses; what is sent
 * has to be readable; what was read encodes back. */
#include "fuzz.h"
#include "rip.h"

static struct prefix network4 = {{{[10] = 0xff, 0xff, 10}}, 104};
static struct prefix network6 = {{{0xfd}}, 8};
static const struct addr own4 = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};

static void send_packet(
	void *arg, void *link, const struct rip_out *out, uint8_t *packet, size_t len)
{
	struct rip_reader reader;
	struct rip_entry e;

	(void)arg;
	(void)link;
	FUZZ_CHECK(rip_read(&reader, out->version, packet, len) == 0);
	while (rip_read_entry(&reader, &e))
		FUZZ_CHECK(e.metric >= 1 && e.metric <= RIP_INFINITY);
	FUZZ_CHECK(reader.refused == 0);
}

static void route(void *arg, void *link, const struct prefix *prefix, const struct addr *next_hop,
	uint8_t metric, uint16_t tag)
{
	(void)arg;
	(void)link;
	(void)next_hop;
	(void)tag;
	FUZZ_CHECK(metric > 1 && metric < RIP_INFINITY);
	FUZZ_CHECK((prefix->len >= 104 && prefix_contains(&network4, &prefix->addr)) ||
		   (prefix->len >= 8 && prefix_contains(&network6, &prefix->addr)));
	FUZZ_CHECK(prefix->len != 128 || !addr_equal(&prefix->addr, &own4));
}

static void withdraw(void *arg, const struct prefix *prefix)
{
	(void)arg;
	(void)prefix;
}

static void silent(void *arg, void *link, bool is)
{
	(void)arg;
	(void)link;
	(void)is;
}

static uint32_t least(void *arg, uint32_t n)
{
	(void)arg;
	(void)n;
	return 0;
}

/* Entries of a response survive being written and read again, but for RIPng's next hops. */
static void check_codec(enum rip_version version, const uint8_t *packet, size_t len)
{
	struct rip_reader reader, again;
	struct rip_entry e, f;
	uint8_t buf[RIP_V2_MAX];
	struct rip_writer w;

	if (rip_read(&reader, version, packet, len) < 0)
		return;
	while (rip_read_entry(&reader, &e)) {
		rip_write(&w, version, RIP_RESPONSE, buf, sizeof(buf));
		FUZZ_CHECK(rip_write_entry(&w, &e));
		FUZZ_CHECK(rip_read(&again, version, buf, w.wr.len) == 0);
		FUZZ_CHECK(rip_read_entry(&again, &f));
		FUZZ_CHECK(e.metric == f.metric && e.tag == f.tag && e.prefix.len == f.prefix.len);
		FUZZ_CHECK(addr_equal(&e.prefix.addr, &f.prefix.addr));
		FUZZ_CHECK(version == RIP_NG || addr_equal(&e.next_hop, &f.next_hop));
	}
}

static struct rip *speaker(struct rip_link *link[2], uint64_t now)
{
	const struct rip_ops ops = {.send = send_packet,
		.route = route,
		.withdraw = withdraw,
		.silent = silent,
		.random = least};
	const struct prefix networks[] = {network4, network6};
	const struct rip_config config = {.update_ns = 1000000000,
		.networks = networks,
		.nnetworks = 2,
		.own = &own4,
		.nown = 1,
		.link_local = {{0xfe, 0x80, [15] = 1}},
		.v2 = true,
		.ng = true,
		.routes_max = 40};
	const struct rip_local local = {.prefix = {own4, 128}, .metric = 1};
	struct rip *rip;

	FUZZ_CHECK(rip_new(&ops, &config, now, &rip) == 0);
	for (int i = 0; i < 2; i++)
		FUZZ_CHECK(rip_link_add(rip, NULL, 1420, now, &link[i]) == 0);
	FUZZ_CHECK(rip_set_locals(rip, &local, 1, now) == 0);
	return rip;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1000000000000;
	struct rip_link *link[2];
	struct rip *rip = speaker(link, now);
	struct rip_stats stats;
	struct buf_rd rd;

	for (buf_rd_init(&rd, data, size); rd.left >= 3;) {
		const uint8_t head = buf_get_u8(&rd);
		const enum rip_version version = head & 1 ? RIP_NG : RIP_V2;
		size_t len = buf_get_u16(&rd);
		const uint8_t *packet;
		struct endpoint src = {{{[10] = 0xff, 0xff, 10, 0, 0, 2}}, 520};
		struct addr dst = head & 4 ? rip_group4 : own4;

		if (version == RIP_NG) {
			src = (struct endpoint){{{0xfe, 0x80, [15] = 2}}, 521};
			dst = rip_group6;
		}
		if (!(head & 8))
			src.port = 4000;
		len = len < rd.left ? len : rd.left;
		packet = buf_get_ptr(&rd, len);
		check_codec(version, packet, len);
		(void)rip_input(rip, link[head >> 1 & 1], version, &src, &dst,
			version == RIP_V2 ? 1 : 255, packet, len, now);
		now += (uint64_t)(head >> 4) * 1000000000;
		(void)rip_tick(rip, now);
	}
	rip_stats(rip, &stats);
	FUZZ_CHECK(stats.destinations <= 1 + 2 * 40);
	rip_link_remove(rip, link[0], now);
	rip_stop(rip, now);
	rip_free(rip);
	return 0;
}

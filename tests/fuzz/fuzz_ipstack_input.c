/* SPDX-License-Identifier: MIT */
/* A stack between two links. The input is a sequence of packets: a byte of flags, a length, the
 * bytes. Flags: 1 the other link; 2 checksums are made right, so that what is behind them is
 * reached; 4 seconds pass. Whatever comes, what is sent must be sound, and nothing with a source
 * that its link may not use goes any further. */
#include <errno.h>
#include <sodium.h>

#include "buf.h"
#include "fuzz.h"
#include "icmp.h"
#include "ipstack.h"

enum { FLAG_LINK = 1, FLAG_FIX = 2, FLAG_TIME = 4, LINKS = 2 };

struct world {
	struct ipstack *st;
	uint64_t now_ns;
	char link[LINKS]; /* their addresses are the links */
	const char *from; /* of the packet in work; NULL: none */
};

static struct world world;
static const uint32_t mtus[LINKS] = {1420, 600};
static struct addr own[2], group[2];
static struct prefix nets[LINKS][2], gateways[2];

static struct addr to_addr(const char *text)
{
	struct addr a;

	FUZZ_CHECK(addr_parse(text, &a) == 0);
	return a;
}

static void init(void)
{
	FUZZ_CHECK(sodium_init() >= 0);
	own[0] = to_addr("10.0.0.1");
	own[1] = to_addr("fd00::1");
	group[0] = to_addr("224.0.0.9");
	group[1] = to_addr("ff02::9");
	FUZZ_CHECK(prefix_parse("10.1.0.0/16", &nets[0][0]) == 0);
	FUZZ_CHECK(prefix_parse("fd01::/16", &nets[0][1]) == 0);
	FUZZ_CHECK(prefix_parse("10.2.0.0/16", &nets[1][0]) == 0);
	FUZZ_CHECK(prefix_parse("fd02::/16", &nets[1][1]) == 0);
	FUZZ_CHECK(prefix_parse("192.0.2.0/24", &gateways[0]) == 0);
	FUZZ_CHECK(prefix_parse("2001:db8::/32", &gateways[1]) == 0);
}

static bool is_own(const struct addr *a)
{
	return addr_equal(a, &own[0]) || addr_equal(a, &own[1]);
}

static bool in_net(const struct addr *a, const struct prefix *both)
{
	return prefix_contains(&both[0], a) || prefix_contains(&both[1], a);
}

static bool owns(void *arg, void *link, const struct addr *a)
{
	(void)arg;
	return is_own(a) || (link && (addr_equal(a, &group[0]) || addr_equal(a, &group[1])));
}

static int route(void *arg, void *from, const struct addr *src, const struct addr *dst,
	struct ipstack_next *nextp)
{
	(void)arg;
	if (from ? !in_net(src, nets[(char *)from - world.link]) : !is_own(src))
		return -EACCES;
	if (is_own(dst)) {
		*nextp = (struct ipstack_next){.where = IPSTACK_LOCAL};
		return 0;
	}
	if (in_net(dst, gateways)) {
		*nextp = (struct ipstack_next){.where = IPSTACK_GATEWAY};
		return 0;
	}
	for (int i = 0; i < LINKS; i++) {
		if (!in_net(dst, nets[i]))
			continue;
		*nextp = (struct ipstack_next){
			.where = IPSTACK_LINK, .link = &world.link[i], .mtu = mtus[i]};
		return 0;
	}
	return dst->b[15] % 2 ? -ENETUNREACH : -EHOSTUNREACH;
}

static uint32_t mtu(void *arg, void *link)
{
	(void)arg;
	return mtus[(char *)link - world.link];
}

static bool address(void *arg, void *link, bool v6, struct addr *ap)
{
	(void)arg;
	(void)link;
	*ap = own[v6];
	return true;
}

/* What we say ourselves is right to the last bit. */
static void check_own(const uint8_t *packet, const struct ip_header *h)
{
	const uint8_t *p = packet + h->head;
	size_t len = h->total - h->head;

	if (h->proto == IP_PROTO_ICMP || h->proto == IP_PROTO_ICMPV6)
		FUZZ_CHECK(icmp_open(&h->src, &h->dst, p, len) >= 0);
	else
		FUZZ_CHECK(h->proto == IP_PROTO_TCP && len == 20 &&
			   ip_sum_finish(ip_sum(p, len,
				   ip_sum_pseudo(&h->src, &h->dst, IP_PROTO_TCP, len))) == 0);
}

static void transmit(void *arg, void *link, uint8_t *packet, size_t len)
{
	struct ip_header h;
	struct ip_problem problem;

	(void)arg;
	FUZZ_CHECK(len <= mtus[(char *)link - world.link]);
	FUZZ_CHECK(ip_parse(packet, len, &h) == 0 && h.total == len && h.ttl > 0);
	if (is_own(&h.src)) {
		FUZZ_CHECK(ip_walk(packet, len, &h, &problem) == 0);
		if (!ip_is_fragment(&h))
			check_own(packet, &h);
	} else {
		FUZZ_CHECK(world.from && in_net(&h.src, nets[world.from - world.link]));
		FUZZ_CHECK(h.ttl < 255);
	}
	memset(packet - IPSTACK_INPUT_HEADROOM, 0xee,
		IPSTACK_INPUT_HEADROOM + len + IPSTACK_INPUT_TAILROOM);
}

static void deliver(void *arg, const struct ipstack_delivery *d)
{
	uint16_t sport, dport;
	uint8_t *data;
	size_t len;

	(void)arg;
	FUZZ_CHECK(d->payload >= d->packet && d->payload + d->len == d->packet + d->packet_len);
	FUZZ_CHECK(d->gateway ? in_net(&d->dst, gateways) : owns(NULL, d->link, &d->dst));
	if (d->proto == IP_PROTO_TCP)
		ipstack_tcp_refuse(world.st, world.now_ns, d);
	else if (d->proto != IP_PROTO_UDP)
		ipstack_bad_protocol(world.st, world.now_ns, d);
	else if (ipstack_udp_open(d, &sport, &dport, &data, &len) == 0) {
		FUZZ_CHECK(data >= d->payload && data + len <= d->payload + d->len);
		if (d->gateway) /* nobody there */
			ipstack_unreachable(world.st, world.now_ns, d, ICMP4_HOST, ICMP6_ADDRESS);
		else
			ipstack_unreachable(world.st, world.now_ns, d, ICMP4_PORT, ICMP6_PORT);
	}
}

static bool on_error(void *arg, const struct ipstack_error *e)
{
	volatile uint8_t sum = 0;

	(void)arg;
	FUZZ_CHECK(e->err > 0 && e->len >= 8);
	FUZZ_CHECK(is_own(&e->src) || in_net(&e->src, gateways));
	for (size_t i = 0; i < e->len; i++)
		sum = (uint8_t)(sum + e->payload[i]);
	return e->payload[0] & 1;
}

/* Makes the checksums of a packet right, as far as it can be read. */
static void fix(uint8_t *p, size_t len)
{
	struct ip_header h;
	struct ip_problem problem;
	size_t at = SIZE_MAX, head;

	if (len >= IP4_HEAD && p[0] >> 4 == 4) {
		head = (size_t)(p[0] & 15) * 4;
		if (head < IP4_HEAD || head > len)
			return;
		ip_put16(p + 10, 0);
		ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, head, 0)));
	}
	if (ip_parse(p, len, &h) < 0 || ip_walk(p, h.total, &h, &problem) < 0 || ip_is_fragment(&h))
		return;
	len = h.total - h.head;
	if (h.proto == IP_PROTO_UDP)
		at = 6;
	else if (h.proto == IP_PROTO_TCP)
		at = 16;
	else if (h.proto == (h.v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP))
		at = 2;
	if (at == SIZE_MAX || len < at + 2)
		return;
	p += h.head;
	ip_put16(p + at, 0);
	ip_put_sum(p + at,
		ip_sum_finish(ip_sum(p, len,
			h.proto == IP_PROTO_ICMP ? 0
						 : ip_sum_pseudo(&h.src, &h.dst, h.proto, len))));
}

static void one_packet(struct buf_rd *rd)
{
	uint8_t flags = buf_get_u8(rd), *memory, *packet;
	size_t len = buf_get_u16(rd);
	const uint8_t *p;

	if (len > rd->left)
		len = rd->left;
	p = buf_get_ptr(rd, len);
	if (!p)
		return;
	memory = malloc(IPSTACK_INPUT_HEADROOM + len + IPSTACK_INPUT_TAILROOM);
	FUZZ_CHECK(memory);
	packet = memory + IPSTACK_INPUT_HEADROOM;
	memcpy(packet, p, len);
	if (flags & FLAG_FIX)
		fix(packet, len);
	world.now_ns += flags & FLAG_TIME ? UINT64_C(20000000000) : 1000;
	world.from = &world.link[flags & FLAG_LINK];
	ipstack_input(world.st, &world.link[flags & FLAG_LINK], world.now_ns, packet, len);
	world.from = NULL;
	ipstack_tick(world.st, world.now_ns);
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ipstack_ops ops = {.route = route,
		.transmit = transmit,
		.deliver = deliver,
		.error = on_error,
		.mtu = mtu,
		.owns = owns,
		.address = address};
	struct buf_rd rd;

	if (addr_is_any(&own[1]))
		init();
	world.now_ns = UINT64_C(1000000000000);
	FUZZ_CHECK(ipstack_new(&ops, &world.st) == 0);
	buf_rd_init(&rd, data, size);
	while (rd.left > 0 && !rd.bad)
		one_packet(&rd);
	world.now_ns += UINT64_C(61000000000);
	ipstack_tick(world.st, world.now_ns);
	FUZZ_CHECK(!ipstack_busy(world.st));
	ipstack_free(world.st);
	return 0;
}

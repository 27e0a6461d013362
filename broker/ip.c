/* SPDX-License-Identifier: MIT */
/* Headers and checksums of IPv4 and IPv6. See ip.h.
 *
 * Base headers are on the path of every packet: their length is checked once, and then fields are
 * read at fixed offsets. Options and extension headers, whose layout is the sender's choice, go
 * through the bounded cursor of buf.h.
 *
 * References: RFC 791; RFC 8200, sections 4 and 8.1; RFC 1071 and 1624 (checksums); RFC 5095 (type
 * 0 routing headers, treated like any unknown type); RFC 6946 (atomic fragments); RFC 7112 (first
 * fragments hold the whole chain); RFC 7126 (IPv4 source routes are not obeyed: dropped). */
#include "ip.h"

#include <errno.h>

#include "buf.h"

enum {
	OPT4_END = 0,
	OPT4_NOP = 1,
	OPT4_LSRR = 131,
	OPT4_SSRR = 137,
	OPT6_PAD1 = 0,
	OPT6_PADN = 1,
	OPT6_ROUTER_ALERT = 5,
	FRAG_DF = 0x4000,
	FRAG_MORE4 = 0x2000,
	FRAG_OFFSET4 = 0x1fff,
	FRAG_MORE6 = 1,
	FRAG_OFFSET6 = 0xfff8,
	PROBLEM_HEADER = 0, /* codes of ICMPv6's parameter problem: RFC 4443, section 3.4 */
	PROBLEM_OPTION = 2,
	PROBLEM_CHAIN = 3 /* RFC 7112 */
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

enum ip_class ip_classify(const struct addr *a)
{
	const uint8_t *b = a->b;

	if (ip_is_v4(a)) {
		if (b[12] == 0)
			return IP_UNUSABLE;
		if (b[12] == 127)
			return IP_LOOPBACK;
		return addr_is_multicast(a) ? IP_MULTICAST : IP_UNICAST;
	}
	if (b[0] == 0xff) /* scopes 0 (reserved) and 1 (interface-local): RFC 4291, 2.7 */
		return (b[1] & 0xf) <= 1 ? IP_UNUSABLE : IP_MULTICAST;
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return IP_LINK_LOCAL;
	if (b[0] != 0)
		return IP_UNICAST;
	if (addr_equal(a, &addr_any6))
		return IP_UNUSABLE;
	return addr_equal(a, &addr_loopback6) ? IP_LOOPBACK : IP_UNICAST;
}

uint64_t ip_sum(const void *p, size_t len, uint64_t sum)
{
	const uint8_t *b = p;
	uint64_t lane[4] = {0};
	uint32_t w[4];
	uint16_t half;

	/* 32-bit words into 64-bit lanes: no carry is lost, and compilers make vectors of it. */
	for (; len >= sizeof(w); len -= sizeof(w), b += sizeof(w)) {
		memcpy(w, b, sizeof(w));
		for (int i = 0; i < 4; i++)
			lane[i] += w[i];
	}
	sum += lane[0] + lane[1] + lane[2] + lane[3];
	for (; len >= sizeof(half); len -= sizeof(half), b += sizeof(half)) {
		memcpy(&half, b, sizeof(half));
		sum += half;
	}
	if (len) {
		half = 0;
		memcpy(&half, b, 1); /* padded with a zero byte behind */
		sum += half;
	}
	return sum;
}

uint64_t ip_sum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, size_t len)
{
	/* The upper half of IPv6's 32-bit length is zero: no packet is longer than 64 KiB. */
	uint64_t sum = (uint64_t)htons(proto) + htons((uint16_t)len);
	size_t skip = ip_is_v4(src) ? 12 : 0;

	sum = ip_sum(src->b + skip, 16 - skip, sum);
	return ip_sum(dst->b + skip, 16 - skip, sum);
}

static void get_addr4(const uint8_t *p, struct addr *ap)
{
	memcpy(ap->b, mapped, sizeof(mapped));
	memcpy(ap->b + 12, p, 4);
}

static int parse4(const uint8_t *p, size_t len, bool quoted, struct ip_header *hp)
{
	uint16_t frag;
	size_t head;

	if (len < IP4_HEAD)
		return -EPROTO;
	head = (size_t)(p[0] & 0xf) * 4;
	hp->total = ip_get16(p + 2);
	if (head < IP4_HEAD || head > len || hp->total < head)
		return -EPROTO;
	if (!quoted && (hp->total > len || ip_sum_finish(ip_sum(p, head, 0)) != 0))
		return -EPROTO;
	hp->v6 = false;
	hp->tos = p[1];
	hp->id = ip_get16(p + 4);
	frag = ip_get16(p + 6);
	hp->dontfrag = frag & FRAG_DF;
	hp->more = frag & FRAG_MORE4;
	hp->offset = (uint32_t)(frag & FRAG_OFFSET4) * 8;
	hp->ttl = p[8];
	hp->proto = p[9];
	hp->head = (uint32_t)head;
	hp->next_at = 0;
	get_addr4(p + 12, &hp->src);
	get_addr4(p + 16, &hp->dst);
	return 0;
}

static int parse6(const uint8_t *p, size_t len, bool quoted, struct ip_header *hp)
{
	if (len < IP6_HEAD)
		return -EPROTO;
	hp->total = IP6_HEAD + (uint32_t)ip_get16(p + 4);
	if (!quoted && hp->total > len)
		return -EPROTO;
	hp->v6 = true;
	hp->dontfrag = true;
	hp->more = false;
	hp->tos = (uint8_t)(ip_get16(p) >> 4);
	hp->ttl = p[7];
	hp->proto = p[6];
	hp->id = 0;
	hp->offset = 0;
	hp->head = IP6_HEAD;
	hp->next_at = 6;
	memcpy(hp->src.b, p + 8, 16);
	memcpy(hp->dst.b, p + 24, 16);
	return ip_is_v4(&hp->src) || ip_is_v4(&hp->dst) ? -EPROTO : 0;
}

static int parse(const uint8_t *packet, size_t len, bool quoted, struct ip_header *hp)
{
	if (len == 0)
		return -EPROTO;
	if (packet[0] >> 4 == 4)
		return parse4(packet, len, quoted, hp);
	if (packet[0] >> 4 == 6)
		return parse6(packet, len, quoted, hp);
	return -EPROTO;
}

int ip_parse(const uint8_t *packet, size_t len, struct ip_header *hp)
{
	return parse(packet, len, false, hp);
}

int ip_parse_quoted(const uint8_t *packet, size_t len, struct ip_header *hp)
{
	return parse(packet, len, true, hp);
}

static int problem(struct ip_problem *problemp, uint8_t code, size_t pointer)
{
	*problemp = (struct ip_problem){true, code, (uint32_t)pointer};
	return -EPROTO;
}

/* IPv4 options: each must be inside the header. */
static int walk4(const uint8_t *packet, const struct ip_header *h, struct ip_problem *problemp)
{
	struct buf_rd rd;
	size_t at;
	uint8_t type, len;

	buf_rd_init(&rd, packet + IP4_HEAD, h->head - IP4_HEAD);
	while (rd.left > 0) {
		at = h->head - rd.left;
		type = buf_get_u8(&rd);
		if (type == OPT4_END)
			break;
		if (type == OPT4_NOP)
			continue;
		if (type == OPT4_LSRR || type == OPT4_SSRR)
			return -EPROTO;
		len = buf_get_u8(&rd);
		if (rd.bad || len < 2 || !buf_get_ptr(&rd, len - 2u))
			return problem(problemp, 0, at);
	}
	return 0;
}

/* Options of a hop-by-hop or destination options header of `len` bytes at `at`. RFC 8200, section
 * 4.2: the upper two bits of an unknown type say what to do. */
static int walk_options(const uint8_t *packet, size_t at, size_t len, const struct ip_header *h,
	struct ip_problem *problemp)
{
	struct buf_rd rd;
	uint8_t type, size;
	size_t where;

	buf_rd_init(&rd, packet + at + 2, len - 2);
	while (rd.left > 0) {
		where = at + len - rd.left;
		type = buf_get_u8(&rd);
		if (type == OPT6_PAD1)
			continue;
		size = buf_get_u8(&rd);
		if (rd.bad || !buf_get_ptr(&rd, size))
			return problem(problemp, PROBLEM_HEADER, where + 1);
		if (type == OPT6_PADN || type == OPT6_ROUTER_ALERT || type >> 6 == 0)
			continue;
		if (type >> 6 == 1 || (type >> 6 == 3 && addr_is_multicast(&h->dst)))
			return -EPROTO;
		return problem(problemp, PROBLEM_OPTION, where);
	}
	return 0;
}

/* Where an extension header chain is. */
struct chain {
	size_t at;	/* the next header */
	size_t next_at; /* the byte that named it */
	uint8_t next;	/* its type */
};

static bool is_extension(uint8_t proto)
{
	return proto == IP_PROTO_HOPOPTS || proto == IP_PROTO_ROUTING ||
	       proto == IP_PROTO_FRAGMENT || proto == IP_PROTO_DSTOPTS;
}

/* One extension header other than the fragment header. -EPROTO without an answer when it is cut. */
static int walk_one(const uint8_t *packet, size_t len, struct chain *c, const struct ip_header *h,
	struct ip_problem *problemp)
{
	size_t size;
	int r = 0;

	if (c->next == IP_PROTO_HOPOPTS && c->at != IP6_HEAD)
		return problem(problemp, 1, c->next_at); /* only right behind the base header */
	if (len - c->at < 8)
		return -EPROTO;
	size = 8 + (size_t)packet[c->at + 1] * 8;
	if (size > len - c->at)
		return -EPROTO;
	if (c->next != IP_PROTO_ROUTING)
		r = walk_options(packet, c->at, size, h, problemp);
	else if (packet[c->at + 3] != 0) /* segments left, of a type that we do not know */
		r = problem(problemp, PROBLEM_HEADER, c->at + 2);
	c->next = packet[c->at];
	c->next_at = c->at;
	c->at += size;
	return r;
}

/* Bytes that a first fragment must have of the header of `proto` (RFC 7112, section 5). */
static size_t upper_head(uint8_t proto)
{
	if (proto == IP_PROTO_TCP)
		return 20;
	return proto == IP_PROTO_UDP || proto == IP_PROTO_ICMPV6 ? 8 : 0;
}

/* The chain behind a first fragment's header, which reassembly will see again; here only its end
 * is looked for. */
static int walk_first(
	const uint8_t *packet, size_t len, struct chain c, struct ip_problem *problemp)
{
	for (int i = 0; i < IP6_CHAIN_MAX && is_extension(c.next); i++) {
		if (c.next == IP_PROTO_FRAGMENT || len - c.at < 8)
			break;
		c.next = packet[c.at];
		if (8 + (size_t)packet[c.at + 1] * 8 > len - c.at)
			return problem(problemp, PROBLEM_CHAIN, 0);
		c.at += 8 + (size_t)packet[c.at + 1] * 8;
	}
	if (is_extension(c.next) || len - c.at < upper_head(c.next))
		return problem(problemp, PROBLEM_CHAIN, 0);
	return 0;
}

/* The fragment header at c->at. Returns 1: a fragment, the walk ends; 0: an atomic one, go on. */
static int walk_fragment(const uint8_t *packet, size_t len, struct chain *c, struct ip_header *h,
	struct ip_problem *problemp)
{
	const uint8_t *p = packet + c->at;
	uint16_t frag;

	if (len - c->at < IP6_FRAG_HEAD)
		return -EPROTO;
	frag = ip_get16(p + 2);
	h->next_at = (uint32_t)c->next_at;
	c->next_at = c->at;
	c->next = p[0];
	c->at += IP6_FRAG_HEAD;
	if (!(frag & (FRAG_MORE6 | FRAG_OFFSET6)))
		return 0;
	h->more = frag & FRAG_MORE6;
	h->offset = frag & FRAG_OFFSET6;
	h->id = ip_get32(p + 4);
	if (h->offset == 0 && len == h->total && walk_first(packet, len, *c, problemp) < 0)
		return -EPROTO;
	return 1;
}

static int walk6(
	const uint8_t *packet, size_t len, struct ip_header *h, struct ip_problem *problemp)
{
	struct chain c = {.at = IP6_HEAD, .next_at = 6, .next = h->proto};
	int r = 0, n = 0;

	while (r == 0 && is_extension(c.next)) {
		if (++n > IP6_CHAIN_MAX)
			return -EPROTO;
		if (c.next == IP_PROTO_FRAGMENT)
			r = walk_fragment(packet, len, &c, h, problemp);
		else
			r = walk_one(packet, len, &c, h, problemp);
	}
	if (r < 0)
		return r;
	if (r == 0)
		h->next_at = (uint32_t)c.next_at;
	h->proto = c.next;
	h->head = (uint32_t)c.at;
	return 0;
}

int ip_walk(const uint8_t *packet, size_t len, struct ip_header *h, struct ip_problem *problemp)
{
	*problemp = (struct ip_problem){0};
	if (h->v6)
		return is_extension(h->proto) ? walk6(packet, len, h, problemp) : 0;
	return h->head > IP4_HEAD ? walk4(packet, h, problemp) : 0;
}

void ip_decrement_ttl(uint8_t *packet)
{
	uint32_t sum;

	if (packet[0] >> 4 == 6) {
		packet[7]--;
		return;
	}
	/* The word TTL|protocol loses 0x0100, so its complement's sum gains it. */
	packet[8]--;
	sum = ip_get16(packet + 10) + 0x0100u;
	ip_put16(packet + 10, (uint16_t)(sum + (sum >= 0xffff)));
}

uint8_t *ip_push(uint8_t *payload, size_t len, const struct ip_build *b)
{
	uint8_t *p;

	if (!ip_is_v4(b->src)) {
		p = payload - IP6_HEAD;
		ip_put32(p, 6u << 28 | (uint32_t)b->tos << 20);
		ip_put16(p + 4, (uint16_t)len);
		p[6] = b->proto;
		p[7] = b->ttl;
		memcpy(p + 8, b->src->b, 16);
		memcpy(p + 24, b->dst->b, 16);
		return p;
	}
	p = payload - IP4_HEAD;
	p[0] = 0x45;
	p[1] = b->tos;
	ip_put16(p + 2, (uint16_t)(IP4_HEAD + len));
	ip_put16(p + 4, b->id);
	ip_put16(p + 6, b->dontfrag ? FRAG_DF : 0);
	p[8] = b->ttl;
	p[9] = b->proto;
	ip_put16(p + 10, 0);
	memcpy(p + 12, b->src->b + 12, 4);
	memcpy(p + 16, b->dst->b + 12, 4);
	ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, IP4_HEAD, 0)));
	return p;
}

/* SPDX-License-Identifier: MIT */
/* The IP layer of one portspace: input, forwarding, and what is for us. See ipstack.h.
 *
 * The path of a packet: base header (ip_parse) - is its source one that can be on a link -
 * ops.route (may this link claim that source, and where to) - forwarded, or walked to its payload,
 * reassembled and delivered. Nothing is allocated but for reassembly.
 *
 * References: RFC 1122, section 3.2; RFC 1812, sections 4.2.2, 4.3.3, 5.2 and 5.3; RFC 8200; RFC
 * 4007, section 9 (link-local packets are not forwarded). */
#include "ipstack.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "ipstack_priv.h"

int ipstack_new(const struct ipstack_ops *ops, struct ipstack **stp)
{
	struct ipstack *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	if (ip_reass_new(NULL, &st->reass) < 0) {
		free(st);
		return -ENOMEM;
	}
	st->ops = *ops;
	randombytes_buf(st->ids, sizeof(st->ids));
	randombytes_buf(&st->salt, sizeof(st->salt));
	*stp = st;
	return 0;
}

void ipstack_free(struct ipstack *st)
{
	if (!st)
		return;
	ip_reass_free(st->reass);
	ip_pmtu_free(st->pmtu);
	ratelimit_free(st->answers);
	ratelimit_free(st->resets);
	free(st);
}

const struct ipstack_stats *ipstack_stats(const struct ipstack *st)
{
	return &st->stats;
}

/* Sends an error with the family's own type and code. */
static void complain(struct ipstack *st, const struct ipstack_packet *packet, uint8_t type4,
	uint8_t code4, uint8_t type6, uint8_t code6, uint32_t info)
{
	const struct ipstack_fault fault = {.type = packet->h.v6 ? type6 : type4,
		.code = packet->h.v6 ? code6 : code4,
		.info = info};

	ipstack_complain(st, packet, &fault);
}

/* True when the packet may not go one hop further. */
static bool expired(struct ipstack *st, const struct ipstack_packet *packet)
{
	if (packet->h.ttl > 1)
		return false;
	st->stats.ttl_exceeded++;
	complain(st, packet, ICMP4_EXPIRED, 0, ICMP6_EXPIRED, 0, 0);
	return true;
}

static void tell_problem(
	struct ipstack *st, const struct ipstack_packet *packet, const struct ip_problem *problem)
{
	st->stats.bad_header++;
	if (problem->answer)
		complain(st, packet, ICMP4_PROBLEM, problem->code, ICMP6_PROBLEM, problem->code,
			problem->pointer);
}

void ipstack_deliver(struct ipstack *st, const struct ipstack_packet *packet, bool gateway)
{
	const struct ip_header *h = &packet->h;
	struct ipstack_delivery d = {
		.link = packet->link,
		.proto = h->proto,
		.ttl = h->ttl,
		.tos = h->tos,
		.gateway = gateway,
		.dontfrag = h->dontfrag && !h->v6,
		.src = h->src,
		.dst = h->dst,
		.payload = packet->p + h->head,
		.len = h->total - h->head,
		.packet = packet->p,
		.packet_len = h->total,
	};

	st->stats.delivered++;
	if (h->proto == (h->v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP))
		ipstack_icmp_input(st, &d);
	else if (!h->v6 || h->proto != IP_PROTO_NONE)
		st->ops.deliver(st->ops.arg, &d);
}

/* A fragment for us. What comes out whole is walked again, now to its end. */
static void reassemble(struct ipstack *st, const struct ipstack_packet *packet, bool gateway)
{
	struct ipstack_packet whole = {.link = packet->link};
	struct ip_problem problem = {0};
	struct ip_whole w;
	int r;

	st->stats.fragments_in++;
	r = ip_reass_add(st->reass, packet->link, st->now_ns, packet->p, &packet->h, &problem, &w);
	st->stats.reassembly_failed = ip_reass_lost(st->reass);
	if (r == -EPROTO)
		tell_problem(st, packet, &problem);
	if (r <= 0)
		return;
	st->stats.reassembled++;
	whole.p = w.packet;
	if (ip_parse(w.packet, w.len, &whole.h) < 0 ||
		ip_walk(w.packet, w.len, &whole.h, &problem) < 0)
		tell_problem(st, &whole, &problem);
	else if (ip_is_fragment(&whole.h)) /* fragments inside of fragments */
		st->stats.bad_header++;
	else
		ipstack_deliver(st, &whole, gateway);
	free(w.memory);
}

static void input_local(struct ipstack *st, struct ipstack_packet *packet, bool gateway)
{
	struct ip_problem problem;

	if (gateway && expired(st, packet))
		return;
	if (ip_walk(packet->p, packet->h.total, &packet->h, &problem) < 0)
		tell_problem(st, packet, &problem);
	else if (ip_is_fragment(&packet->h))
		reassemble(st, packet, gateway);
	else
		ipstack_deliver(st, packet, gateway);
}

static void forward(
	struct ipstack *st, const struct ipstack_packet *packet, const struct ipstack_next *next)
{
	const struct ip_header *h = &packet->h;

	if (expired(st, packet))
		return;
	if (ip_classify(&h->src) == IP_LINK_LOCAL) {
		st->stats.no_route++;
		complain(st, packet, 0, 0, ICMP6_UNREACHABLE, ICMP6_SCOPE, 0);
		return;
	}
	if (h->total > next->mtu && h->dontfrag) {
		st->stats.too_big++;
		complain(st, packet, ICMP4_UNREACHABLE, ICMP4_TOO_BIG, ICMP6_TOO_BIG, 0, next->mtu);
		return;
	}
	st->stats.forwarded++;
	ip_decrement_ttl(packet->p);
	if (h->total <= next->mtu)
		st->ops.transmit(st->ops.arg, next->link, packet->p, h->total);
	else
		ipstack_cut(st, next->link, packet->p, h->total, next->mtu);
}

static void unroutable(struct ipstack *st, const struct ipstack_packet *packet, int err)
{
	st->stats.no_route++;
	if (err == -EHOSTUNREACH)
		complain(st, packet, ICMP4_UNREACHABLE, ICMP4_HOST, ICMP6_UNREACHABLE,
			ICMP6_ADDRESS, 0);
	else
		complain(st, packet, ICMP4_UNREACHABLE, ICMP4_NET, ICMP6_UNREACHABLE,
			ICMP6_NO_ROUTE, 0);
}

/* By the addresses, before any route: -EACCES, or whether only ops.owns decides (1) or not (0). */
static int judge_addresses(const struct ip_header *h)
{
	const enum ip_class src = ip_classify(&h->src), dst = ip_classify(&h->dst);

	if ((src != IP_UNICAST && src != IP_LINK_LOCAL) || dst == IP_LOOPBACK || dst == IP_UNUSABLE)
		return -EACCES;
	return dst != IP_UNICAST;
}

void ipstack_input(struct ipstack *st, void *link, uint64_t now_ns, uint8_t *p, size_t len)
{
	struct ipstack_packet packet = {.link = link, .p = p};
	struct ipstack_next next;
	struct ip_problem problem;
	int scoped, r;

	st->now_ns = now_ns;
	st->stats.in++;
	if (ip_parse(p, len, &packet.h) < 0) {
		st->stats.bad_header++;
		return;
	}
	scoped = judge_addresses(&packet.h);
	r = scoped < 0 ? scoped
		       : st->ops.route(st->ops.arg, link, &packet.h.src, &packet.h.dst, &next);
	if (r == -EACCES) {
		st->stats.bad_source++;
		return;
	}
	/* IPv4 options are every hop's business. */
	if (!packet.h.v6 && ip_walk(p, packet.h.total, &packet.h, &problem) < 0)
		tell_problem(st, &packet, &problem);
	else if (scoped && !st->ops.owns(st->ops.arg, link, &packet.h.dst))
		st->stats.no_route++;
	else if (scoped)
		input_local(st, &packet, false);
	else if (r < 0)
		unroutable(st, &packet, r);
	else if (next.where == IPSTACK_LINK)
		forward(st, &packet, &next);
	else
		input_local(st, &packet, next.where == IPSTACK_GATEWAY);
}

void ipstack_link_gone(struct ipstack *st, void *link)
{
	ip_reass_drop_link(st->reass, link);
	st->stats.reassembly_failed = ip_reass_lost(st->reass);
}

/* RFC 792 and RFC 4443, section 3.3: time exceeded, code 1, when the first fragment is there. */
static void reassembly_expired(void *arg, void *link, const uint8_t *first, size_t len)
{
	struct ipstack *st = arg;
	struct ipstack_packet packet = {.link = link};

	/* Only quoted. */
	packet.p = (uint8_t *)(uintptr_t)first;
	if (ip_parse_quoted(first, len, &packet.h) == 0)
		complain(st, &packet, ICMP4_EXPIRED, ICMP_REASSEMBLY, ICMP6_EXPIRED,
			ICMP_REASSEMBLY, 0);
}

void ipstack_tick(struct ipstack *st, uint64_t now_ns)
{
	st->now_ns = now_ns;
	ip_reass_expire(st->reass, now_ns, reassembly_expired, st);
	st->stats.reassembly_failed = ip_reass_lost(st->reass);
}

bool ipstack_busy(const struct ipstack *st)
{
	return ip_reass_count(st->reass) > 0;
}

/* SPDX-License-Identifier: MIT */
/* The IP layer of one portspace: what the stack says itself. ICMP errors, echo replies, RSTs; and
 * what it makes of ICMP errors that come.
 *
 * Answers to links are bounded by token buckets for each source and for all (RFC 1812, section
 * 4.3.2.8; RFC 4443, section 2.4 (f)); the buckets are made when the first answer is due. Answers
 * to ourselves are not bounded: nobody else has part in them. They are built in a buffer of their
 * own, because what they quote may still be in use. */
#include "ipstack.h"

#include <errno.h>

#include "ipstack_priv.h"

enum {
	TCP_HEAD = 20,
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
	TOS_CONTROL = 0xc0 /* precedence of ICMP errors: RFC 1812, section 4.3.2.5 */
};

/* True when an answer to `source` on `link` may go now. */
static bool may_send(
	struct ipstack *st, struct ratelimit **bucket, const void *link, const struct addr *source)
{
	static const struct ratelimit_config config = {.per_source_s = IPSTACK_ANSWERS_SOURCE,
		.burst = IPSTACK_ANSWERS_BURST,
		.total_s = IPSTACK_ANSWERS_TOTAL};

	if (!link)
		return true;
	if (!*bucket && ratelimit_new(&config, bucket) < 0)
		return false;
	if (ratelimit_take(*bucket, source, st->now_ns / 1000000))
		return true;
	st->stats.icmp_limited++;
	return false;
}

/* Sends a message of ours. 0 or why not. */
static int send_own(
	struct ipstack *st, const struct ipstack_out *out, uint8_t *payload, size_t len, bool roomy)
{
	struct ipstack_plan plan;
	int r = ipstack_plan(st, out, len, &plan, NULL);

	return r < 0 ? r : ipstack_emit(st, out, &plan, payload, len, roomy);
}

/* Link-local addresses mean something on their link only. */
static void *scope_link(const struct addr *dst, void *link)
{
	return ip_classify(dst) == IP_LINK_LOCAL ? link : NULL;
}

void ipstack_complain(
	struct ipstack *st, const struct ipstack_packet *packet, const struct ipstack_fault *fault)
{
	uint8_t buf[IPSTACK_HEADROOM + ICMP_ERROR_MAX + IPSTACK_TAILROOM];
	uint8_t *msg = buf + IPSTACK_HEADROOM;
	const struct ip_header *h = &packet->h;
	struct ipstack_out out = {.proto = h->v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP,
		.tos = h->v6 ? 0 : TOS_CONTROL,
		.link = scope_link(&h->src, packet->link),
		.dst = h->src};
	struct icmp_build b = {.type = fault->type,
		.code = fault->code,
		.info = fault->info,
		.src = &out.src,
		.dst = &out.dst,
		.packet = packet->p,
		.len = h->total};
	size_t len;

	if (!icmp_may_answer(h, packet->p, fault->type, fault->code) ||
		!may_send(st, &st->answers, packet->link, &h->src))
		return;
	if (fault->from)
		out.src = *fault->from;
	else if (!st->ops.address(st->ops.arg, packet->link, h->v6, &out.src))
		return;
	len = icmp_build_error(&b, msg);
	if (send_own(st, &out, msg, len, true) == 0)
		st->stats.icmp_out++;
}

static void answer_echo(struct ipstack *st, struct ipstack_delivery *d)
{
	const bool v6 = !ip_is_v4(&d->src);
	struct ipstack_out out = {.proto = d->proto,
		.tos = d->tos,
		.link = scope_link(&d->src, d->link),
		.src = d->dst,
		.dst = d->src};
	const bool multicast = ip_classify(&d->dst) == IP_MULTICAST;

	/* RFC 1122, section 3.2.2.6 allows silence; RFC 4443, section 4.2 wants an answer. */
	if (multicast && (!v6 || !st->ops.address(st->ops.arg, d->link, v6, &out.src)))
		return;
	icmp_echo_reply(v6, d->payload);
	if (multicast)
		icmp_seal(&out.src, &out.dst, d->payload, d->len);
	send_own(st, &out, d->payload, d->len, false);
}

/* An error about a packet of ours: its quoted source is who the error was sent to. */
static void take_error(struct ipstack *st, const struct ipstack_delivery *d)
{
	const bool v6 = !ip_is_v4(&d->src);
	struct ipstack_error error = {.offender = d->src};
	struct icmp_error e;
	uint32_t told = 0;
	bool too_big;

	if (icmp_parse_error(v6, d->payload, d->len, &e) < 0) {
		st->stats.bad_header++;
		return;
	}
	if (!addr_equal(&e.quoted.src, &d->dst)) {
		st->stats.bad_source++;
		return;
	}
	too_big = icmp_is_too_big(v6, e.type, e.code);
	if (e.quoted.offset) /* without a transport header: about the first one it was said, too */
		return;
	if (too_big) {
		if (ip_classify(&e.quoted.dst) != IP_UNICAST)
			return;
		told = e.info;
		e.info = ip_pmtu_judge(st->pmtu, &e.quoted.dst, st->now_ns, told, e.quoted.total);
		if (!e.info)
			return;
	}
	error.type = e.type;
	error.code = e.code;
	error.info = e.info;
	error.err = icmp_errno(v6, e.type, e.code, &error.hard);
	error.src = e.quoted.src;
	error.dst = e.quoted.dst;
	error.proto = e.quoted.proto;
	error.payload = e.payload;
	error.len = e.len;
	if (st->ops.error(st->ops.arg, &error) && too_big &&
		(st->pmtu || ip_pmtu_new(&st->pmtu) == 0))
		ip_pmtu_learn(st->pmtu, &error.dst, st->now_ns, told, e.quoted.total);
}

void ipstack_icmp_input(struct ipstack *st, struct ipstack_delivery *d)
{
	const int kind = icmp_open(&d->src, &d->dst, d->payload, d->len);

	if (kind < 0)
		st->stats.bad_header++;
	else if (kind == ICMP_ERROR)
		take_error(st, d);
	else if (kind == ICMP_ECHO_ANSWER || d->gateway)
		st->ops.deliver(st->ops.arg, d);
	else if (kind == ICMP_ECHO_REQUEST)
		answer_echo(st, d);
}

/* Reads a delivery's own packet again. */
static bool reopen(const struct ipstack_delivery *d, struct ipstack_packet *packetp)
{
	struct ip_problem problem;

	packetp->link = d->link;
	/* Only quoted. */
	packetp->p = (uint8_t *)(uintptr_t)d->packet;
	return ip_parse_quoted(d->packet, d->packet_len, &packetp->h) == 0 &&
	       ip_walk(d->packet, d->packet_len, &packetp->h, &problem) == 0;
}

void ipstack_unreachable(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d,
	uint8_t code4, uint8_t code6)
{
	struct ipstack_packet packet;
	struct ipstack_fault fault = {.from = d->gateway ? NULL : &d->dst};

	st->now_ns = now_ns;
	if (!reopen(d, &packet))
		return;
	fault.type = packet.h.v6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE;
	fault.code = packet.h.v6 ? code6 : code4;
	ipstack_complain(st, &packet, &fault);
}

void ipstack_bad_protocol(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d)
{
	struct ipstack_packet packet;
	struct ipstack_fault fault = {.from = d->gateway ? NULL : &d->dst};

	st->now_ns = now_ns;
	if (!reopen(d, &packet))
		return;
	fault.type = packet.h.v6 ? ICMP6_PROBLEM : ICMP4_UNREACHABLE;
	fault.code = packet.h.v6 ? ICMP6_BAD_NEXT : ICMP4_PROTOCOL;
	fault.info = packet.h.v6 ? packet.h.next_at : 0;
	ipstack_complain(st, &packet, &fault);
}

/* A segment's checksum is right and its header whole. */
static bool tcp_sound(const struct ipstack_delivery *d)
{
	size_t head;

	if (d->len < TCP_HEAD || d->len > IP_LEN_MAX)
		return false;
	head = (size_t)(d->payload[12] >> 4) * 4;
	return head >= TCP_HEAD && head <= d->len &&
	       ip_sum_finish(ip_sum(d->payload, d->len,
		       ip_sum_pseudo(&d->src, &d->dst, IP_PROTO_TCP, d->len))) == 0;
}

void ipstack_tcp_refuse(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d)
{
	uint8_t buf[IPSTACK_HEADROOM + TCP_HEAD + IPSTACK_TAILROOM];
	uint8_t *p = buf + IPSTACK_HEADROOM, flags;
	const struct ipstack_out out = {.proto = IP_PROTO_TCP,
		.dontfrag = true,
		.link = scope_link(&d->src, d->link),
		.src = d->dst,
		.dst = d->src};
	uint32_t len;

	st->now_ns = now_ns;
	if (!tcp_sound(d))
		return;
	flags = d->payload[13];
	if ((flags & TCP_RST) || ip_classify(&d->dst) == IP_MULTICAST ||
		!may_send(st, &st->resets, d->link, &d->src))
		return;
	memset(p, 0, TCP_HEAD);
	memcpy(p, d->payload + 2, 2);
	memcpy(p + 2, d->payload, 2);
	p[12] = TCP_HEAD / 4 << 4;
	p[13] = TCP_RST;
	if (flags & TCP_ACK) {
		memcpy(p + 4, d->payload + 8, 4); /* where they expect us */
	} else {
		len = (uint32_t)d->len - (uint32_t)(d->payload[12] >> 4) * 4;
		len += ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
		ip_put32(p + 8, ip_get32(d->payload + 4) + len);
		p[13] |= TCP_ACK;
	}
	ip_put_sum(p + 16, ip_sum_finish(ip_sum(p, TCP_HEAD,
				   ip_sum_pseudo(&out.src, &out.dst, IP_PROTO_TCP, TCP_HEAD))));
	send_own(st, &out, p, TCP_HEAD, true);
}

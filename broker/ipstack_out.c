/* SPDX-License-Identifier: MIT */
/* The IP layer of one portspace: output. See ipstack.h.
 *
 * A payload is first planned (route, path MTU, may it be cut), then its checksum is made where it
 * leaves by a link, then it is emitted: header in front, and by a link whole or in pieces, or up
 * again when it is for ourselves. */
#include "ipstack.h"

#include <errno.h>
#include <stdlib.h>

#include "ipstack_priv.h"

/* Without a link: 1 when ops.route is to be asked, 0 for us (where is set), or an error. */
static int plan_inside(struct ipstack *st, const struct ipstack_out *out, enum ip_class src,
	enum ip_class dst, struct ipstack_next *next)
{
	*next = (struct ipstack_next){.where = IPSTACK_LOCAL};
	if (dst == IP_LOOPBACK)
		return 0;
	if (dst == IP_MULTICAST)
		return -ENETUNREACH;
	if (src == IP_LOOPBACK)
		return st->ops.owns(st->ops.arg, NULL, &out->dst) ? 0 : -EINVAL;
	return 1;
}

static int plan_next(struct ipstack *st, const struct ipstack_out *out, struct ipstack_next *next)
{
	const enum ip_class src = ip_classify(&out->src), dst = ip_classify(&out->dst);
	int r;

	if (ip_is_v4(&out->src) != ip_is_v4(&out->dst) || src == IP_UNUSABLE ||
		src == IP_MULTICAST || dst == IP_UNUSABLE)
		return -EINVAL;
	if (!out->link) {
		r = plan_inside(st, out, src, dst, next);
		return r <= 0 ? r : st->ops.route(st->ops.arg, NULL, &out->src, &out->dst, next);
	}
	if (src == IP_LOOPBACK || dst == IP_LOOPBACK)
		return -EINVAL;
	if (!out->foreign && !st->ops.owns(st->ops.arg, out->link, &out->src))
		return -EACCES;
	*next = (struct ipstack_next){.where = IPSTACK_LOCAL};
	if (dst == IP_MULTICAST || !st->ops.owns(st->ops.arg, out->link, &out->dst)) {
		next->where = IPSTACK_LINK;
		next->link = out->link;
		next->mtu = st->ops.mtu(st->ops.arg, out->link);
	}
	return 0;
}

int ipstack_plan(struct ipstack *st, const struct ipstack_out *out, size_t len,
	struct ipstack_plan *planp, uint32_t *mtup)
{
	const size_t head = ip_head_len(&out->dst),
		     max = head == IP4_HEAD ? IP_LEN_MAX - head : IP_LEN_MAX;
	struct ipstack_plan plan = {.dontfrag = out->dontfrag};
	struct ip_pmtu_value path;
	int r = plan_next(st, out, &plan.next);

	if (r < 0)
		return r;
	plan.mtu = (uint32_t)(max + head);
	if (plan.next.where == IPSTACK_LINK) {
		if (plan.next.mtu < plan.mtu)
			plan.mtu = plan.next.mtu;
		if (ip_pmtu_find(st->pmtu, &out->dst, st->now_ns, &path) && path.mtu < plan.mtu) {
			plan.mtu = path.mtu;
			plan.dontfrag = out->dontfrag && !path.locked;
		}
		plan.fragment = head + len > plan.mtu;
	}
	if (len > max || (plan.fragment && out->dontfrag)) {
		if (mtup)
			*mtup = plan.mtu;
		return -EMSGSIZE;
	}
	*planp = plan;
	return 0;
}

/* Counters shared by destinations, so that no peer can count what others are sent (RFC 7739,
 * section 5.1). */
static uint32_t next_id(struct ipstack *st, const struct addr *dst)
{
	uint64_t upper, lower;

	memcpy(&upper, dst->b, sizeof(upper));
	memcpy(&lower, dst->b + 8, sizeof(lower));
	lower = (lower ^ st->salt) * UINT64_C(0x9e3779b97f4a7c15);
	lower = (lower ^ lower >> 32 ^ upper) * UINT64_C(0xc2b2ae3d27d4eb4f);
	return st->ids[(lower >> 32) % IPSTACK_IDS]++;
}

struct by_link {
	struct ipstack *st;
	void *link;
};

static void emit_fragment(void *arg, uint8_t *packet, size_t len)
{
	const struct by_link *to = arg;

	to->st->stats.fragments_out++;
	to->st->ops.transmit(to->st->ops.arg, to->link, packet, len);
}

void ipstack_cut(struct ipstack *st, void *link, uint8_t *packet, size_t len, uint32_t mtu)
{
	struct by_link to = {st, link};
	struct ip_header h;

	if (ip_parse_quoted(packet, len, &h) == 0)
		ip_fragment(packet, len, mtu, h.v6 ? next_id(st, &h.dst) : 0, emit_fragment, &to);
}

/* What we sent to ourselves comes in again, as deep as callbacks may answer each other. */
static int loop(struct ipstack *st, const struct ipstack_out *out, uint8_t *p, size_t len,
	const struct ip_build *b, bool gateway)
{
	const size_t head = ip_head_len(&out->dst);
	struct ipstack_packet packet = {
		.p = p,
		.h = {.v6 = head == IP6_HEAD,
			.dontfrag = head == IP6_HEAD || b->dontfrag,
			.tos = b->tos,
			.ttl = b->ttl,
			.proto = b->proto,
			.head = (uint32_t)head,
			.total = (uint32_t)len,
			.src = out->src,
			.dst = out->dst},
	};

	if (st->depth >= IPSTACK_DEPTH)
		return -ENOBUFS;
	st->depth++;
	ipstack_deliver(st, &packet, gateway);
	st->depth--;
	return 0;
}

/* IPv6 fragments are longer in front than the room there is: rare, a big echo answered where the
 * way back has a smaller MTU. */
static int emit_copy(
	struct ipstack *st, const struct ipstack_plan *plan, const uint8_t *packet, size_t len)
{
	uint8_t *memory = malloc(IPSTACK_HEADROOM + len + IPSTACK_TAILROOM);

	if (!memory)
		return -ENOBUFS;
	memcpy(memory + IPSTACK_HEADROOM, packet, len);
	ipstack_cut(st, plan->next.link, memory + IPSTACK_HEADROOM, len, plan->mtu);
	free(memory);
	return 0;
}

int ipstack_emit(struct ipstack *st, const struct ipstack_out *out, const struct ipstack_plan *plan,
	uint8_t *payload, size_t len, bool roomy)
{
	const size_t head = ip_head_len(&out->dst);
	const struct ip_build b = {.proto = out->proto,
		.ttl = out->ttl ? out->ttl : IPSTACK_TTL,
		.tos = out->tos,
		.dontfrag = plan->dontfrag,
		/* Unfragmented ones with DF need none: RFC 6864, section 4.1. */
		.id = head == IP4_HEAD && !plan->dontfrag ? (uint16_t)next_id(st, &out->dst) : 0,
		.src = &out->src,
		.dst = &out->dst};
	uint8_t *packet = ip_push(payload, len, &b);

	st->stats.out++;
	if (plan->next.where != IPSTACK_LINK)
		return loop(st, out, packet, head + len, &b, plan->next.where == IPSTACK_GATEWAY);
	if (!plan->fragment)
		st->ops.transmit(st->ops.arg, plan->next.link, packet, head + len);
	else if (head == IP6_HEAD && !roomy)
		return emit_copy(st, plan, packet, head + len);
	else
		ipstack_cut(st, plan->next.link, packet, head + len, plan->mtu);
	return 0;
}

int ipstack_output(struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out,
	uint8_t *payload, size_t len, uint32_t *mtup)
{
	struct ipstack_plan plan;
	int r;

	st->now_ns = now_ns;
	r = ipstack_plan(st, out, len, &plan, mtup);
	return r < 0 ? r : ipstack_emit(st, out, &plan, payload, len, true);
}

int ipstack_udp_send(struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out,
	uint16_t sport, uint16_t dport, uint8_t *data, size_t len, uint32_t *mtup)
{
	struct ipstack_out udp = *out;
	struct ipstack_plan plan;
	uint8_t *p = data - UDP_HEAD;
	uint16_t sum = 0;
	int r;

	st->now_ns = now_ns;
	udp.proto = IP_PROTO_UDP;
	len += UDP_HEAD;
	r = ipstack_plan(st, &udp, len, &plan, mtup);
	if (r < 0)
		return r;
	ip_put16(p, sport);
	ip_put16(p + 2, dport);
	ip_put16(p + 4, (uint16_t)len);
	ip_put16(p + 6, 0);
	if (plan.next.where == IPSTACK_LINK) {
		sum = ip_sum_finish(
			ip_sum(p, len, ip_sum_pseudo(&out->src, &out->dst, IP_PROTO_UDP, len)));
		ip_put_sum(p + 6, sum ? sum : 0xffff); /* 0 means none: RFC 768 */
	}
	return ipstack_emit(st, &udp, &plan, p, len, true);
}

int ipstack_path_mtu(
	struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out, uint32_t *mtup)
{
	struct ipstack_plan plan;
	int r;

	st->now_ns = now_ns;
	r = ipstack_plan(st, out, 0, &plan, NULL);
	if (r == 0)
		*mtup = plan.mtu;
	return r;
}

int ipstack_udp_open(const struct ipstack_delivery *d, uint16_t *sportp, uint16_t *dportp,
	uint8_t **datap, size_t *lenp)
{
	const uint8_t *p = d->payload;
	size_t len;

	if (d->len < UDP_HEAD)
		return -EPROTO;
	len = ip_get16(p + 4);
	if (len < UDP_HEAD || len > d->len)
		return -EPROTO;
	if (d->link && ip_get16(p + 6) == 0 && !ip_is_v4(&d->src))
		return -EPROTO; /* RFC 8200, section 8.1 */
	if (d->link && ip_get16(p + 6) != 0 &&
		ip_sum_finish(ip_sum(p, len, ip_sum_pseudo(&d->src, &d->dst, IP_PROTO_UDP, len))) !=
			0)
		return -EPROTO;
	*sportp = ip_get16(p);
	*dportp = ip_get16(p + 2);
	*datap = d->payload + UDP_HEAD;
	*lenp = len - UDP_HEAD;
	return 0;
}

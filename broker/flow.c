/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "flow"
#include "core_priv.h"
#include "flow_priv.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "dgrams.h"
#include "inherit.h"
#include "ip.h"
#include "log.h"

enum { PORT_TRIES = 64 };

/* ---- to the peer ---- */

int flow_send_back(struct flow *flow, uint8_t ttl, uint8_t tos, uint8_t *payload, size_t len)
{
	struct plane_ps *pps = flow->owner->pps;
	const struct endpoint *src = &flow->key.b, *dst = &flow->key.a;
	const struct plane_udp inside = {.pps = pps,
		.src = *src,
		.dst = *dst,
		.ttl = ttl ? ttl : IPSTACK_TTL,
		.tos = tos,
		.payload = payload,
		.len = len};
	const struct ipstack_out out = {.ttl = ttl,
		.tos = tos,
		.link = flow->link,
		.foreign = flow->kind == FLOW_SUPER || flow->kind == FLOW_BASE,
		.src = src->addr,
		.dst = dst->addr};

	flow_touch(flow, true);
	if (!flow->link)
		return dgram_input(&inside);
	return ipstack_udp_send(
		pps->ip, pps->plane->now_ns, &out, src->port, dst->port, payload, len, NULL);
}

static void codes(int err, uint8_t *code4, uint8_t *code6)
{
	switch (err) {
	case ECONNREFUSED:
		*code4 = ICMP_PORT_UNREACH;
		*code6 = ICMP6_DST_UNREACH_NOPORT;
		break;
	case EACCES:
	case EPERM:
		*code4 = ICMP_PKT_FILTERED;
		*code6 = ICMP6_DST_UNREACH_ADMIN;
		break;
	case ENETUNREACH:
		*code4 = ICMP_NET_UNREACH;
		*code6 = ICMP6_DST_UNREACH_NOROUTE;
		break;
	default:
		*code4 = ICMP_HOST_UNREACH;
		*code6 = ICMP6_DST_UNREACH_ADDR;
		break;
	}
}

/* What it sent is not kept; who gets an error looks at the addresses and ports of the quote. */
void flow_unreachable(struct flow *flow, int err)
{
	uint8_t buf[IP6_HEAD + UDP_HEAD] = {0}, *udp = buf + IP6_HEAD;
	const struct endpoint *peer = &flow->key.a, *called = &flow->key.b;
	const struct ip_build head = {
		.proto = IPPROTO_UDP, .ttl = IPSTACK_TTL, .src = &peer->addr, .dst = &called->addr};
	struct ipstack_delivery d = {.link = flow->link,
		.proto = IPPROTO_UDP,
		.ttl = IPSTACK_TTL,
		.gateway = flow->kind == FLOW_BASE || flow->kind == FLOW_SUPER,
		.src = peer->addr,
		.dst = called->addr,
		.payload = udp,
		.len = UDP_HEAD};
	uint8_t code4, code6;

	ip_put16(udp, peer->port);
	ip_put16(udp + 2, called->port);
	ip_put16(udp + 4, UDP_HEAD);
	d.packet = ip_push(udp, UDP_HEAD, &head);
	d.packet_len = (size_t)(udp + UDP_HEAD - d.packet);
	codes(err, &code4, &code6);
	ipstack_unreachable(flow->owner->pps->ip, flow->plane->now_ns, &d, code4, code6);
}

/* ---- from the peer ---- */

static int send_inherited(struct flow *flow, const struct plane_udp *udp)
{
	struct plane_udp there = *udp;

	there.pps = flow->server->pps;
	there.link = NULL;
	there.src = flow->back.b;
	there.dst = flow->local;
	return dgram_input_shared(&there);
}

static int send_super(struct flow *flow, const struct plane_udp *udp)
{
	const struct plane_udp_out out = {
		.src = {addr_is_v4(&udp->dst.addr) ? addr_any4 : addr_any6, flow->back.a.port},
		.dst = flow->back.b,
		.ttl = udp->link ? udp->ttl - 1 : udp->ttl, /* the stack saw that it is above 1 */
		.tos = udp->tos};

	return plane_udp_send(flow->server->pps, &out, udp->payload, udp->len);
}

static int send_on(struct flow *flow, const struct plane_udp *udp)
{
	flow_touch(flow, false);
	flow->link = udp->link; /* it may have moved to another way */
	switch (flow->kind) {
	case FLOW_INHERITED:
		return send_inherited(flow, udp);
	case FLOW_SUPER:
		return send_super(flow, udp);
	case FLOW_HOST:
	case FLOW_BASE:
		flow_base_send(flow, udp->payload, udp->len);
		break;
	}
	return 0;
}

/* ---- inherited services ---- */

/* Servers trust loopback, so a peer inside shows an address of its portspace. */
static bool outside(const struct plane_ps *pps, struct addr *ap)
{
	const struct info *info = &pps->ps->info;

	if (!addr_is_loopback(ap))
		return true;
	for (unsigned i = 0; i < info->naddr; i++)
		if (addr_is_v4(&info->addr[i].addr) == addr_is_v4(ap)) {
			*ap = info->addr[i].addr;
			return true;
		}
	return false;
}

/* The address by which the application of the other portspace sees itself called. */
static bool local_there(const struct plane_ps *server, const struct inherit_found *found,
	const struct endpoint *dst, struct endpoint *localp)
{
	const struct info *info = &server->ps->info;

	localp->port = dst->port;
	localp->addr = found->entry.local.addr;
	if (!addr_is_any(&localp->addr))
		return true;
	for (unsigned i = 0; i < info->naddr; i++)
		if (addr_is_v4(&info->addr[i].addr) == addr_is_v4(&dst->addr)) {
			localp->addr = info->addr[i].addr;
			return true;
		}
	return false;
}

static struct flow *inherit_from(
	const struct plane_udp *udp, const struct flow_key *key, const struct inherit_found *found)
{
	struct plane_ps *server = plane_ps_get(udp->pps->plane, found->server);
	struct endpoint peer = udp->src, local;
	struct flow *flow;

	if (!server || !outside(udp->pps, &peer.addr) ||
		!local_there(server, found, &udp->dst, &local))
		return NULL;
	flow = flow_new(udp->pps, FLOW_INHERITED, udp->link, key);
	if (!flow)
		return NULL;
	if (!flow_bind(flow, server, local.port, &peer)) {
		flow_end(flow);
		return NULL;
	}
	flow->local = local;
	return flow;
}

static struct flow *inherit_from_host(const struct plane_udp *udp, const struct flow_key *key)
{
	struct endpoint at;
	struct flow *flow;

	if (!flow_host_service(udp->pps->plane, &udp->dst, &at))
		return NULL;
	flow = flow_new(udp->pps, FLOW_HOST, udp->link, key);
	if (flow && flow_base_open(flow, &at, true) < 0) {
		flow_end(flow);
		return NULL;
	}
	return flow;
}

int flow_input(const struct plane_udp *udp)
{
	const struct flow_key key = {.a = udp->src, .b = udp->dst};
	struct plane *plane = udp->pps->plane;
	struct flow *flow = flow_find(udp->pps->flows, &key);
	struct inherit_found found;
	int r;

	if (addr_is_multicast(&udp->dst.addr))
		return -ECONNREFUSED;
	if (flow) {
		if (send_on(flow, udp) == 0)
			return 0;
		flow_end(flow); /* the server is gone; somebody else may have the port */
	}
	if (inherit_udp(plane->core, udp->pps->ps, &udp->dst, &found) < 0)
		return -ECONNREFUSED;
	flow = found.server ? inherit_from(udp, &key, &found) : inherit_from_host(udp, &key);
	portspace_unref(found.server);
	if (!flow)
		return -ECONNREFUSED;
	r = send_on(flow, udp);
	if (r < 0)
		flow_end(flow);
	return r;
}

bool flow_answer(struct plane_ps *pps, const struct endpoint *src, const struct endpoint *dst,
	uint8_t ttl, uint8_t tos, uint8_t *payload, size_t len, int *rp)
{
	struct flow *flow = flow_find_back(pps, src->port, dst);

	if (!flow || flow->kind != FLOW_INHERITED)
		return false;
	*rp = flow_send_back(flow, ttl, tos, payload, len);
	return true;
}

/* ---- gateways ---- */

static struct flow *open_super(
	struct plane_ps *pps, const struct plane_udp *udp, const struct flow_key *key)
{
	struct portspace *above = atomic_load(&pps->ps->super);
	struct plane_ps *server = above ? plane_ps_get(pps->plane, above) : NULL;
	struct flow *flow = server ? flow_new(pps, FLOW_SUPER, udp->link, key) : NULL;

	for (int i = 0; flow && i < PORT_TRIES; i++) {
		uint16_t port = (uint16_t)(PORTTAB_EPHEMERAL_FIRST +
					   randombytes_uniform(PORTTAB_EPHEMERAL_LAST -
							       PORTTAB_EPHEMERAL_FIRST + 1));

		if (!plane_dgrams_have_port(server->dgrams, port) &&
			!plane_service_find(server, port) &&
			flow_bind(flow, server, port, &udp->dst))
			return flow;
	}
	if (flow)
		flow_end(flow);
	return NULL;
}

static struct flow *open_gateway(
	struct plane_ps *pps, const struct plane_udp *udp, const struct flow_key *key, int *errp)
{
	struct flow *flow;

	*errp = EHOSTUNREACH;
	if (!inherit_udp_gateway(pps->plane->core, pps->ps, &udp->dst.addr))
		return NULL;
	if (pps->ps->below)
		return open_super(pps, udp, key);
	flow = flow_new(pps, FLOW_BASE, udp->link, key);
	if (!flow)
		return NULL;
	*errp = -flow_base_open(flow, &udp->dst, false);
	if (*errp) {
		flow_end(flow);
		return NULL;
	}
	return flow;
}

void flow_gateway(struct plane_ps *pps, const struct ipstack_delivery *d)
{
	struct plane_udp udp = {.pps = pps,
		.link = d->link,
		.src.addr = d->src,
		.dst.addr = d->dst,
		.ttl = d->ttl,
		.tos = d->tos};
	uint8_t code4, code6;
	struct flow_key key;
	struct flow *flow;
	int err = EHOSTUNREACH;

	if (d->proto == IPPROTO_TCP) {
		ipstack_tcp_refuse(pps->ip, pps->plane->now_ns, d); /* streams come by carriers */
		return;
	}
	if (d->proto == IPPROTO_UDP) {
		if (ipstack_udp_open(d, &udp.src.port, &udp.dst.port, &udp.payload, &udp.len) < 0)
			return;
		key = (struct flow_key){.a = udp.src, .b = udp.dst};
		flow = flow_find(pps->flows, &key);
		if (!flow)
			flow = open_gateway(pps, &udp, &key, &err);
		if (flow)
			err = -send_on(flow, &udp);
		if (err == 0)
			return;
	}
	codes(err, &code4, &code6);
	ipstack_unreachable(pps->ip, pps->plane->now_ns, d, code4, code6);
}

bool flow_returned(const struct plane_udp *udp)
{
	struct flow *flow = flow_find_back(udp->pps, udp->dst.port, &udp->src);

	if (!flow)
		return false;
	if (flow->kind == FLOW_SUPER) {
		(void)flow_send_back(flow, 0, udp->tos, udp->payload, udp->len);
		return true;
	}
	/* A peer of its own that looks just the same: now the answers are for that one. */
	if (udp->link)
		flow_end(flow);
	return false;
}

/* ---- errors ---- */

/* Does it say that the peer is not there any more? A path that is broken for now, or narrower than
 * thought, says nothing of the peer (RFC 1122, sections 3.2.2.1 and 4.2.3.9). */
static bool is_final(const struct ipstack_error *e)
{
	return e->hard && e->err != EMSGSIZE;
}

bool flow_error(struct plane_ps *pps, const struct ipstack_error *e)
{
	struct ipstack_error there = *e;
	struct flow_key key;
	struct flow *flow;

	if (!pps->flows || e->proto != IPPROTO_UDP || e->len < UDP_HEAD)
		return false;
	/* Our packet was an answer to the peer. */
	key.a = (struct endpoint){e->dst, ip_get16(e->payload + 2)};
	key.b = (struct endpoint){e->src, ip_get16(e->payload)};
	flow = flow_find(pps->flows, &key);
	if (flow && flow->kind == FLOW_INHERITED) {
		there.src = flow->local.addr;
		there.dst = flow->back.b.addr;
		return dgram_error_input(flow->server->pps, &there);
	}
	if (flow) {
		if (is_final(e))
			flow_end(flow);
		return true;
	}
	flow = flow_find_back(pps, key.b.port, &key.a);
	if (!flow || flow->kind != FLOW_SUPER)
		return false;
	if (e->err != EMSGSIZE) /* later ones are cut to fit; the peer has no part in it */
		flow_unreachable(flow, e->err);
	return true;
}

/* ---- ends ---- */

static void end_all(struct plane_flows *flows)
{
	while (flows->fresh)
		flow_end(flows->fresh);
	while (flows->answered)
		flow_end(flows->answered);
}

static bool is_below(const struct portspace *ps, const struct portspace *above)
{
	while (ps && ps != above)
		ps = atomic_load(&ps->super);
	return ps;
}

void flow_rules_changed(struct plane_ps *changed)
{
	struct plane_ps *pps, *tmp;

	HASH_ITER(hh, changed->plane->portspaces, pps, tmp)
	{
		if (pps->flows && is_below(pps->ps, changed->ps))
			end_all(pps->flows);
	}
}

void flow_link_gone(struct plane_link *pl)
{
	struct plane_flows *flows = pl->pps->flows;
	struct flow *flow, *tmp;

	if (!flows)
		return;
	HASH_ITER(hh, flows->flows, flow, tmp)
	{
		if (flow->link == pl)
			flow_end(flow);
	}
}

void flow_ps_gone(struct plane_ps *pps)
{
	struct plane_flows *flows = pps->flows;
	struct flow *flow, *tmp;

	if (!flows)
		return;
	end_all(flows);
	HASH_ITER(hh_back, flows->back, flow, tmp)
	flow_end(flow);
	plane_timer_set(pps->plane, &flows->timer, UINT64_MAX);
	free(flows);
	pps->flows = NULL;
}

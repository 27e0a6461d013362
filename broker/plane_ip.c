/* SPDX-License-Identifier: MIT */
/* Between WireGuard, the IP stack and those who want UDP (plane_priv.h).
 *
 * The way in: underlay -> plane_underlay_input() -> wg_input() -> ipstack_input() -> deliver() ->
 * services, applications, the flows of gateways and inherited services; or -> transmit() when the
 * packet is forwarded. The way out: plane_udp_send() or dgram_send.c -> ipstack_udp_send() ->
 * transmit() -> wg_output() -> send_message() -> underlay. All of it in place. */
#define LOG_MODULE "plane"
#include "core_priv.h"
#include "plane_priv.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <utlist.h>

#include "dgrams.h"
#include "flow.h"
#include "ip.h"
#include "linklocal.h"
#include "log.h"

enum { TICK_NS = 1000000000 };

/* ---- WireGuard ---- */

static void send_message(
	void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct plane *plane = arg;
	struct plane_link *pl = wg_peer_user(peer);

	if (plane->reply_to && endpoint_equal(to, plane->reply_from))
		pl->underlay = plane->reply_to;
	plane_link_moved(pl);
	if (pl->underlay)
		pl->underlay->ops->send(pl->underlay, to, msg, len);
}

/* A link is reached only in the network of its super-portspace. */
static bool wanted(void *arg, void *local_user)
{
	const struct plane *plane = arg;
	const struct plane_ps *pps = local_user;
	const struct portspace *network = plane->reply_to->network;

	return network ? network == atomic_load(&pps->ps->super) : !pps->ps->below;
}

static void send_reply(void *arg, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct plane *plane = arg;

	plane->reply_to->ops->send(plane->reply_to, to, msg, len);
}

static void peer_changed(void *arg, struct wg_peer *peer)
{
	(void)arg;
	plane_link_moved(wg_peer_user(peer));
}

const struct wg_ops plane_wg_ops = {
	.send = send_message,
	.reply = send_reply,
	.changed = peer_changed,
	.wanted = wanted,
};

bool plane_underlay_input(struct plane *plane, struct underlay *underlay,
	const struct endpoint *from, uint8_t *msg, size_t len)
{
	struct underlay *outer = plane->reply_to;
	const struct endpoint *outer_from = plane->reply_from;
	struct wg_peer *peer = NULL;
	struct plane_link *pl;
	uint8_t *packet;
	int n;

	plane->reply_to = underlay;
	plane->reply_from = from;
	n = wg_input(
		plane->wg, plane->now_ns, plane_wall_ns(plane), from, msg, len, &packet, &peer);
	/* What is sent from here on is no answer to the message, but to what was inside. */
	plane->reply_to = outer;
	plane->reply_from = outer_from;
	if (n < 0 || !peer)
		return false;
	pl = wg_peer_user(peer);
	pl->underlay = underlay;
	plane_link_moved(pl);
	if (n > 0) {
		ipstack_input(pl->pps->ip, pl, plane->now_ns, packet, (size_t)n);
		plane_ip_watch(pl->pps);
	}
	return true;
}

/* ---- the IP stack ---- */

void plane_ip_watch(struct plane_ps *pps)
{
	if (!pps->ip_timer.prev && ipstack_busy(pps->ip))
		plane_timer_set(pps->plane, &pps->ip_timer, pps->plane->now_ns + TICK_NS);
}

static struct plane_group *group_find(const struct plane_ps *pps, const struct addr *a)
{
	struct plane_group *group;

	HASH_FIND(hh, pps->groups, a, sizeof(*a), group);
	return group;
}

static bool group_joined(const struct plane_ps *pps, const struct addr *a)
{
	static const struct addr all4 = {{[10] = 0xff, 0xff, 224, 0, 0, 1}};
	static const struct addr all6 = {{0xff, 0x02, [15] = 1}};
	static const struct addr broadcast = {{[10] = 0xff, 0xff, 255, 255, 255, 255}};

	if (addr_equal(a, &all4) || addr_equal(a, &all6) || addr_equal(a, &broadcast))
		return true;
	return group_find(pps, a);
}

bool plane_owns(const struct plane_ps *pps, const struct plane_link *link, const struct addr *a)
{
	if (addr_is_loopback(a))
		return !link;
	return addr_is_multicast(a) ? group_joined(pps, a) : portspace_owns(pps->ps, a);
}

int plane_group_join(struct plane_ps *pps, const struct addr *addr)
{
	struct plane_group *group = group_find(pps, addr);

	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			return -ENOMEM;
		group->addr = *addr;
		HASH_ADD(hh, pps->groups, addr, sizeof(group->addr), group);
		if (!group->hh.tbl) {
			free(group);
			return -ENOMEM;
		}
	}
	group->count++;
	return 0;
}

void plane_group_leave(struct plane_ps *pps, const struct addr *addr)
{
	struct plane_group *group = group_find(pps, addr);

	if (!group || --group->count > 0)
		return;
	HASH_DEL(pps->groups, group);
	free(group);
}

static bool owns(void *arg, void *link, const struct addr *a)
{
	return plane_owns(arg, link, a);
}

static int route(void *arg, void *from, const struct addr *src, const struct addr *dst,
	struct ipstack_next *nextp)
{
	struct plane_ps *pps = arg;
	struct plane_link *pl = from;
	struct core_next next;
	int r;

	/* Of a packet to a group only the source can be wrong: it goes no further than here. */
	if (pl && addr_is_multicast(dst))
		dst = &pps->ps->link_local;
	r = core_packet_route(pps->plane->core, pps->ps, pl ? pl->link : NULL, src, dst, &next);
	if (r < 0)
		return r;
	nextp->mtu = pps->ps->info.mtu;
	nextp->link = NULL;
	switch (next.kind) {
	case CORE_NEXT_LOCAL:
		nextp->where = IPSTACK_LOCAL;
		break;
	case CORE_NEXT_GATEWAY:
		nextp->where = IPSTACK_GATEWAY;
		break;
	case CORE_NEXT_LINK:
		if (!next.plane)
			return -EHOSTUNREACH; /* it has no WireGuard side */
		nextp->where = IPSTACK_LINK;
		nextp->link = next.plane;
		break;
	}
	return 0;
}

static void transmit(void *arg, void *link, uint8_t *packet, size_t len)
{
	struct plane_ps *pps = arg;
	struct plane_link *pl = link;

	(void)wg_output(pl->peer, pps->plane->now_ns, plane_wall_ns(pps->plane), packet, len);
}

static uint32_t mtu(void *arg, void *link)
{
	(void)link;
	return ((const struct plane_ps *)arg)->ps->info.mtu;
}

static bool first_address(const struct plane_ps *pps, bool v6, struct addr *ap)
{
	const struct info *info = &pps->ps->info;

	for (unsigned i = 0; i < info->naddr; i++)
		if (addr_is_v4(&info->addr[i].addr) != v6) {
			*ap = info->addr[i].addr;
			return true;
		}
	return false;
}

static bool address(void *arg, void *link, bool v6, struct addr *ap)
{
	if (first_address(arg, v6, ap))
		return true;
	if (!v6 || !link)
		return false;
	*ap = ((const struct plane_ps *)arg)->ps->link_local;
	return true;
}

/* ---- what arrived ---- */

struct plane_service *plane_service_find(const struct plane_ps *pps, uint16_t port)
{
	struct plane_service *service;

	LL_SEARCH_SCALAR(pps->services, service, port, port);
	return service;
}

int plane_service_add(struct plane_ps *pps, struct plane_service *service)
{
	if (plane_service_find(pps, service->port) ||
		plane_dgrams_have_port(pps->dgrams, service->port))
		return -EADDRINUSE;
	LL_PREPEND(pps->services, service);
	return 0;
}

void plane_service_remove(struct plane_ps *pps, struct plane_service *service)
{
	LL_DELETE(pps->services, service);
}

int plane_udp_input(const struct plane_udp *udp)
{
	struct plane_service *service = plane_service_find(udp->pps, udp->dst.port);
	int r;

	if (service) {
		service->input(service, udp);
		return 0;
	}
	if (udp->pps->flows && flow_returned(udp))
		return 0;
	r = dgram_input(udp);
	return r == -ECONNREFUSED ? flow_input(udp) : r;
}

static void deliver_udp(struct plane_ps *pps, const struct ipstack_delivery *d)
{
	struct plane_udp udp = {.pps = pps,
		.link = d->link,
		.src.addr = d->src,
		.dst.addr = d->dst,
		.ttl = d->ttl,
		.tos = d->tos};

	if (ipstack_udp_open(d, &udp.src.port, &udp.dst.port, &udp.payload, &udp.len) < 0)
		return;
	if (plane_udp_input(&udp) < 0)
		ipstack_unreachable(pps->ip, pps->plane->now_ns, d, ICMP_PORT_UNREACH,
			ICMP6_DST_UNREACH_NOPORT);
}

static void deliver(void *arg, const struct ipstack_delivery *d)
{
	struct plane_ps *pps = arg;

	if (d->gateway) {
		flow_gateway(pps, d);
		return;
	}
	switch (d->proto) {
	case IPPROTO_UDP:
		deliver_udp(pps, d);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		dgram_icmp_input(pps, d);
		break;
	case IPPROTO_TCP:
		/* Streams come by carriers; a peer that only speaks WireGuard gets an answer. */
		ipstack_tcp_refuse(pps->ip, pps->plane->now_ns, d);
		break;
	default:
		ipstack_bad_protocol(pps->ip, pps->plane->now_ns, d);
		break;
	}
}

static bool error(void *arg, const struct ipstack_error *e)
{
	/* Links below (underlay_ps.c) send from the port of a service. */
	return flow_error(arg, e) || dgram_error_input(arg, e) ||
	       (e->proto == IPPROTO_UDP && plane_service_find(arg, ip_get16(e->payload)));
}

const struct ipstack_ops plane_ip_ops = {
	.route = route,
	.transmit = transmit,
	.deliver = deliver,
	.error = error,
	.mtu = mtu,
	.owns = owns,
	.address = address,
};

/* ---- sending ---- */

bool plane_source(const struct plane_ps *pps, const struct addr *dst, struct addr *srcp)
{
	const struct info *info = &pps->ps->info;
	const bool v6 = !addr_is_v4(dst);

	if (addr_is_loopback(dst) || (!addr_is_multicast(dst) && plane_owns(pps, NULL, dst))) {
		*srcp = *dst;
		return true;
	}
	if (v6 && (addr_is_link_local(dst) || (dst->b[0] == 0xff && (dst->b[1] & 0x0f) <= 2))) {
		*srcp = pps->ps->link_local;
		return true;
	}
	for (unsigned i = 0; i < info->naddr; i++)
		if (info->addr[i].len < 128 && prefix_contains(&info->addr[i], dst)) {
			*srcp = info->addr[i].addr;
			return true;
		}
	return first_address(pps, v6, srcp);
}

int plane_udp_send(
	struct plane_ps *pps, const struct plane_udp_out *out, uint8_t *payload, size_t len)
{
	struct ipstack_out ip = {.proto = IPPROTO_UDP,
		.ttl = out->ttl,
		.tos = out->tos,
		.dontfrag = out->dontfrag,
		.link = out->link,
		.src = out->src.addr,
		.dst = out->dst.addr};

	if (addr_is_any(&ip.src) && !plane_source(pps, &ip.dst, &ip.src))
		return -ENETUNREACH;
	if (!out->link && !addr_is_multicast(&ip.dst) && plane_owns(pps, NULL, &ip.dst)) {
		const struct plane_udp udp = {.pps = pps,
			.src = {ip.src, out->src.port},
			.dst = out->dst,
			.ttl = ip.ttl ? ip.ttl : IPSTACK_TTL,
			.tos = ip.tos,
			.payload = payload,
			.len = len};

		return plane_udp_input(&udp);
	}
	return ipstack_udp_send(
		pps->ip, pps->plane->now_ns, &ip, out->src.port, out->dst.port, payload, len, NULL);
}

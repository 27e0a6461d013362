/* SPDX-License-Identifier: MIT */
#include "netlink_view.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_priv.h"
#include "ifaddr.h"
#include "rib.h"

enum { LO_MTU = 65536, ROUTES_AT_ONCE = 256 };

/* --- interfaces --- */

static void add_link(struct netlink_portspace *v, const struct link *link)
{
	struct netlink_if *to = &v->ifs[v->view.nif++];
	const struct link_stats *st = &link->stats;

	*to = (struct netlink_if){.index = link_ifindex(link),
		.flags = IFF_UP | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST | IFF_RUNNING,
		.mtu = v->ps->info.mtu,
		.rx_bytes = atomic_load(&st->rx_bytes) + atomic_load(&st->wg_rx_bytes),
		.tx_bytes = atomic_load(&st->tx_bytes) + atomic_load(&st->wg_tx_bytes)};
	snprintf(to->name, sizeof(to->name), "%s", link->name);
}

static int fill_ifs(struct netlink_portspace *v, const struct link *gone)
{
	size_t n = gone ? 2 : 1;

	for (const struct link *link = v->ps->links; link; link = link->next)
		n++;
	v->ifs = calloc(n, sizeof(*v->ifs));
	if (!v->ifs)
		return -ENOMEM;
	v->ifs[v->view.nif++] = (struct netlink_if){.name = "lo",
		.index = NETLINK_LO_INDEX,
		.flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
		.mtu = LO_MTU};
	for (const struct link *link = v->ps->links; link; link = link->next)
		add_link(v, link);
	if (gone)
		add_link(v, gone);
	v->view.ifs = v->ifs;
	return 0;
}

static int fill_addrs(struct netlink_portspace *v)
{
	size_t nif = v->view.nif;

	v->addrs = calloc(nif * IFADDR_MAX, sizeof(*v->addrs));
	if (!v->addrs)
		return -ENOMEM;
	for (size_t i = 0; i < nif; i++) {
		struct prefix own[IFADDR_MAX];
		size_t n = ifaddr_of(&v->ps->info, i == 0, nif, own);

		for (size_t k = 0; k < n; k++)
			v->addrs[v->view.naddr++] =
				(struct netlink_addr){.index = v->ifs[i].index, .prefix = own[k]};
	}
	v->view.addrs = v->addrs;
	return 0;
}

/* --- routes --- */

static const struct link *link_of(const struct rib_via *via)
{
	return (const struct link *)((const char *)via - offsetof(struct link, via));
}

static struct netlink_route convert(const struct rib_route *from)
{
	static const uint8_t protocols[] = {[RIB_GATEWAY] = RTPROT_STATIC,
		[RIB_STATIC] = RTPROT_STATIC,
		[RIB_LINK] = RTPROT_BOOT, /* as wg-quick(8) sets them */
		[RIB_RIP] = RTPROT_RIP};

	return (struct netlink_route){.dst = from->prefix,
		/* what a gateway takes out of the network leaves by none of our links */
		.index = from->via ? link_ifindex(link_of(from->via)) : NETLINK_LO_INDEX,
		.priority =
			from->source == RIB_LINK || from->source == RIB_GATEWAY ? 0 : from->metric,
		.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.protocol = protocols[from->source],
		.has_via = from->via && !addr_is_any(&from->next_hop),
		.via = from->next_hop};
}

/* A piece of the table, copied under the lock and reported without. */
struct piece {
	struct netlink_route routes[ROUTES_AT_ONCE];
	size_t n;
};

static int collect(const struct rib_route *best, void *arg)
{
	struct piece *piece = arg;

	piece->routes[piece->n++] = convert(best);
	return piece->n == ROUTES_AT_ONCE;
}

static int each_route(
	void *arg, int (*fn)(const struct netlink_route *route, void *fn_arg), void *fn_arg)
{
	struct netlink_portspace *v = arg;
	struct piece *piece = malloc(sizeof(*piece));
	struct prefix last;
	bool first = true;
	int r = 0;

	if (!piece)
		return -ENOMEM;
	do {
		piece->n = 0;
		pthread_mutex_lock(&v->core->lock);
		rib_each(v->ps->rib, first ? NULL : &last, collect, piece);
		pthread_mutex_unlock(&v->core->lock);
		for (size_t i = 0; i < piece->n && r == 0; i++)
			r = fn(&piece->routes[i], fn_arg);
		first = false;
		if (piece->n > 0)
			last = piece->routes[piece->n - 1].dst;
	} while (r == 0 && piece->n == ROUTES_AT_ONCE);
	free(piece);
	return r;
}

/* The entry of the table that decides; a host route where none does. */
static struct netlink_route entry_for(struct netlink_portspace *v, const struct addr *dst)
{
	struct netlink_route route = {.dst = {.addr = *dst, .len = 128},
		.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.protocol = RTPROT_KERNEL};
	const struct rib_route *found;

	pthread_mutex_lock(&v->core->lock);
	found = rib_lookup(v->ps->rib, dst);
	if (found)
		route = convert(found);
	pthread_mutex_unlock(&v->core->lock);
	return route;
}

static int lookup(
	void *arg, const struct addr *dst, const struct addr *src, struct netlink_route *routep)
{
	struct netlink_portspace *v = arg;
	struct netlink_route route;
	struct core_next next;
	struct addr own;
	int r = src ? 0 : ifaddr_source(&v->ps->info, dst, &own);

	if (r < 0)
		return r;
	if (src)
		own = *src;
	r = core_packet_route(v->core, v->ps, NULL, &own, dst, &next);
	if (r < 0)
		return r == -EACCES ? -EINVAL : r;
	if (next.kind == CORE_NEXT_LOCAL) {
		route = (struct netlink_route){.dst = {.addr = *dst, .len = 128},
			.index = NETLINK_LO_INDEX,
			.table = RT_TABLE_LOCAL,
			.type = RTN_LOCAL,
			.protocol = RTPROT_KERNEL};
	} else {
		route = entry_for(v, dst);
		if (next.kind == CORE_NEXT_LINK)
			route.index = link_ifindex(next.link);
	}
	route.has_src = true;
	route.src = own;
	*routep = route;
	return 0;
}

/* --- */

int netlink_view_fill(struct core *core, struct portspace *ps, const struct link *gone,
	struct netlink_portspace *v)
{
	int r;

	*v = (struct netlink_portspace){.core = core, .ps = ps};
	v->view.routes = each_route;
	v->view.lookup = lookup;
	v->view.arg = v;
	r = fill_ifs(v, gone);
	if (r == 0)
		r = fill_addrs(v);
	if (r < 0)
		netlink_view_clear(v);
	return r;
}

void netlink_view_clear(struct netlink_portspace *v)
{
	free(v->ifs);
	free(v->addrs);
	*v = (struct netlink_portspace){0};
}

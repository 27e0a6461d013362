/* SPDX-License-Identifier: MIT */
/* RIP in the packet plane. See plane_rip.h. */
#define LOG_MODULE "rip"
#include "plane_rip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "log.h"
#include "rip.h"

enum { ROUTES_AT_ONCE = 64, LOCALS_MAX = 65536, NS_PER_MS = 1000000 };

_Static_assert((int)RIP_HEADROOM >= (int)PLANE_HEADROOM && (int)RIP_TAILROOM >= (int)PLANE_TAILROOM,
	"the plane works in place");

struct plane_rip {
	struct plane_ps *pps;
	struct rip *rip;
	struct plane_service v2, ng;
	struct plane_timer timer;
	bool has_source; /* an IPv4 address to speak from */
	struct addr source;
	bool stale; /* links or local routes changed */
};

/* --- what RIP asks for --- */

static void send_packet(
	void *arg, void *link, const struct rip_out *out, uint8_t *packet, size_t len)
{
	struct plane_rip *r = arg;
	const bool v2 = out->version == RIP_V2;
	const struct plane_udp_out udp = {
		.src = {v2 ? r->source : r->pps->ps->link_local, v2 ? RIP_V2_PORT : RIP_NG_PORT},
		.dst = out->dst,
		.link = link,
		.ttl = out->ttl};

	(void)plane_udp_send(r->pps, &udp, packet, len); /* what is lost is sent again */
}

static void learned(void *arg, void *link, const struct prefix *prefix, const struct addr *next_hop,
	uint8_t metric, uint16_t tag)
{
	const struct plane_rip *r = arg;
	struct plane *plane = r->pps->plane;
	struct plane_link *pl = link;
	int error = core_rip_set(
		plane->core, pl->link, prefix, next_hop, metric, tag, plane->now_ns / NS_PER_MS);

	if (error == -ENOMEM)
		log_error("%s: out of memory: a learned route is not used", r->pps->ps->info.name);
}

static void withdraw(void *arg, const struct prefix *prefix)
{
	const struct plane_rip *r = arg;

	core_rip_remove(r->pps->plane->core, r->pps->ps, prefix);
}

static void silent(void *arg, void *link, bool silent)
{
	const struct plane_rip *r = arg;
	struct plane_link *pl = link;

	log_info("%s: the neighbour on link %s %s", r->pps->ps->info.name, pl->link->name,
		silent ? "is silent" : "is back");
	core_link_silent(r->pps->plane->core, pl->link, silent);
}

static uint64_t heard(void *arg, void *link)
{
	struct plane_link *pl = link;
	struct wg_peer_status status;

	(void)arg;
	wg_peer_status(pl->peer, &status);
	return status.heard_ns;
}

/* --- what the plane tells --- */

static void rearm(struct plane_rip *r)
{
	struct plane *plane = r->pps->plane;

	plane_timer_set(plane, &r->timer, r->stale ? plane->now_ns : rip_deadline(r->rip));
}

static void input(struct plane_rip *r, enum rip_version version, const struct plane_udp *udp)
{
	struct plane *plane = r->pps->plane;

	if (!udp->link || !udp->link->rip)
		return; /* neighbours are behind links */
	(void)rip_input(r->rip, udp->link->rip, version, &udp->src, &udp->dst.addr, udp->ttl,
		udp->payload, udp->len, plane->now_ns);
	rearm(r);
}

static void input_v2(struct plane_service *service, const struct plane_udp *udp)
{
	input((struct plane_rip *)((char *)service - offsetof(struct plane_rip, v2)), RIP_V2, udp);
}

static void input_ng(struct plane_service *service, const struct plane_udp *udp)
{
	input((struct plane_rip *)((char *)service - offsetof(struct plane_rip, ng)), RIP_NG, udp);
}

/* --- locals --- */

/* A prefix that a link leads to is a hop away, as if its neighbour had announced it. */
static struct rip_local local_of(const struct core_route_info *info)
{
	const struct plane_link *pl = info->plane;

	return (struct rip_local){.prefix = info->prefix,
		.link = pl ? pl->rip : NULL,
		.metric = info->source == RIB_LINK ? 2 : info->metric};
}

/* Own addresses, and what the table has that is not learned, best first. */
static size_t collect(struct plane_ps *pps, struct rip_local *locals, size_t max)
{
	struct core_route_info some[ROUTES_AT_ONCE];
	const struct info *info = &pps->ps->info;
	struct prefix after;
	size_t n = 0, got;

	for (unsigned i = 0; i < info->naddr && n < max; i++)
		locals[n++] = (struct rip_local){
			.prefix = {.addr = info->addr[i].addr, .len = 128}, .metric = 1};
	for (bool more = false; n < max; more = true) {
		got = core_routes(
			pps->plane->core, pps->ps, more ? &after : NULL, some, ROUTES_AT_ONCE);
		for (size_t i = 0; i < got && n < max; i++)
			if (some[i].source == RIB_GATEWAY ||
				(some[i].source != RIB_RIP && some[i].plane))
				locals[n++] = local_of(&some[i]);
		if (!got)
			break;
		after = some[got - 1].prefix;
	}
	return n;
}

static void set_locals(struct plane_rip *r)
{
	struct rip_local *locals = malloc(LOCALS_MAX * sizeof(*locals));
	int error = -ENOMEM;
	size_t n;

	if (locals) {
		n = collect(r->pps, locals, LOCALS_MAX);
		error = rip_set_locals(r->rip, locals, n, r->pps->plane->now_ns);
	}
	if (error < 0)
		log_error("%s: out of memory: not all routes are announced", r->pps->ps->info.name);
	free(locals);
}

/* --- starting and stopping --- */

static void set_links(struct plane_rip *r)
{
	struct plane_link *pl;

	DL_FOREACH(r->pps->links, pl)
	{
		if (!pl->rip && rip_link_add(r->rip, pl, r->pps->ps->info.mtu,
					r->pps->plane->now_ns, &pl->rip) < 0)
			log_error("%s: out of memory: no RIP on link %s", r->pps->ps->info.name,
				pl->link->name);
	}
}

/* Links and what is announced as they are now. */
static void refresh(struct plane_rip *r)
{
	r->stale = false;
	set_links(r);
	set_locals(r);
}

static void tick(struct plane_timer *timer, uint64_t now_ns)
{
	struct plane_rip *r =
		(struct plane_rip *)((char *)timer - offsetof(struct plane_rip, timer));

	if (r->stale)
		refresh(r);
	plane_timer_set(r->pps->plane, timer, rip_tick(r->rip, now_ns));
}

/* Many changes may come at once: they are looked at together, at the end of the turn. */
static void stale(struct plane_rip *r)
{
	r->stale = true;
	rearm(r);
}

static int open_ports(struct plane_rip *r)
{
	int error = plane_service_add(r->pps, &r->v2);

	if (error < 0)
		return error;
	error = plane_service_add(r->pps, &r->ng);
	if (error == 0)
		error = plane_group_join(r->pps, &rip_group4);
	if (error == 0) {
		error = plane_group_join(r->pps, &rip_group6);
		if (error < 0)
			plane_group_leave(r->pps, &rip_group4);
	}
	if (error < 0) {
		plane_service_remove(r->pps, &r->ng);
		plane_service_remove(r->pps, &r->v2);
	}
	return error;
}

/* The engine's configuration from the core's; `own` has room for the portspace's addresses. */
static struct rip_config config_of(
	struct plane_rip *r, const struct core_rip_config *from, struct addr own[INFO_ADDRS_MAX])
{
	const struct portspace *ps = r->pps->ps;
	struct rip_config config = {.update_ns = (uint64_t)from->update_s * 1000000000,
		.networks = from->networks,
		.nnetworks = from->nnetworks,
		.own = own,
		.nown = ps->info.naddr,
		.link_local = ps->link_local};

	r->has_source = false;
	for (unsigned i = 0; i < ps->info.naddr; i++) {
		own[i] = ps->info.addr[i].addr;
		if (!addr_is_v4(&own[i])) {
			config.ng = true;
		} else if (!r->has_source) {
			r->has_source = true;
			r->source = own[i];
		}
	}
	config.v2 = r->has_source;
	return config;
}

static int start(struct plane_ps *pps, const struct core_rip_config *from)
{
	struct plane_rip *r = calloc(1, sizeof(*r));
	struct rip_ops ops = {.send = send_packet,
		.route = learned,
		.withdraw = withdraw,
		.silent = silent,
		.heard = heard,
		.arg = r};
	struct addr own[INFO_ADDRS_MAX];
	struct rip_config config;
	int error;

	if (!r)
		return -ENOMEM;
	r->pps = pps;
	r->v2 = (struct plane_service){.input = input_v2, .port = RIP_V2_PORT};
	r->ng = (struct plane_service){.input = input_ng, .port = RIP_NG_PORT};
	r->timer.fn = tick;
	config = config_of(r, from, own);
	error = rip_new(&ops, &config, pps->plane->now_ns, &r->rip);
	if (error == 0)
		error = open_ports(r);
	if (error < 0) {
		rip_free(r->rip);
		free(r);
		return error;
	}
	pps->rip = r;
	return 0;
}

static int reconfigure(struct plane_rip *r, const struct core_rip_config *from)
{
	struct addr own[INFO_ADDRS_MAX];
	const struct rip_config config = config_of(r, from, own);

	return rip_configure(r->rip, &config, r->pps->plane->now_ns);
}

void plane_rip_update(struct plane_ps *pps)
{
	struct core_rip_config config;
	int error = core_rip_config(pps->plane->core, pps->ps, &config);

	if (error == 0 && config.on)
		error = pps->rip ? reconfigure(pps->rip, &config) : start(pps, &config);
	else if (error == 0)
		plane_rip_stop(pps);
	if (error < 0)
		log_error("%s: RIP cannot be started: %s", pps->ps->info.name,
			error == -EADDRINUSE ? "a program has port 520 or 521" : strerror(-error));
	if (error == 0)
		free(config.networks);
	if (!pps->rip)
		return;
	stale(pps->rip);
}

void plane_rip_link_new(struct plane_link *pl)
{
	if (pl->pps->rip)
		stale(pl->pps->rip);
}

void plane_rip_link_gone(struct plane_link *pl)
{
	struct plane_rip *r = pl->pps->rip;

	if (!pl->rip)
		return;
	rip_link_remove(r->rip, pl->rip, pl->pps->plane->now_ns);
	pl->rip = NULL;
	rearm(r);
}

void plane_rip_stop(struct plane_ps *pps)
{
	struct plane_rip *r = pps->rip;
	struct plane_link *pl;

	if (!r)
		return;
	rip_stop(r->rip, pps->plane->now_ns);
	DL_FOREACH(pps->links, pl)
	{
		pl->rip = NULL;
		core_link_silent(pps->plane->core, pl->link, false);
	}
	plane_group_leave(pps, &rip_group4);
	plane_group_leave(pps, &rip_group6);
	plane_service_remove(pps, &r->v2);
	plane_service_remove(pps, &r->ng);
	plane_timer_set(pps->plane, &r->timer, UINT64_MAX);
	rip_free(r->rip);
	free(r);
	pps->rip = NULL;
}

/* SPDX-License-Identifier: MIT */
/* The plane's portspaces and links: made when the control loop tells of them, kept in step with
 * what the core has, taken down again (plane_priv.h). */
#define LOG_MODULE "plane"
#include "core_priv.h"
#include "plane_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "dgrams.h"
#include "flow.h"
#include "log.h"
#include "plane_rip.h"

/* ---- portspaces ---- */

struct plane_ps *plane_ps_find(const struct plane *plane, const struct portspace *ps)
{
	struct plane_ps *pps;

	HASH_FIND_PTR(plane->portspaces, &ps, pps);
	return pps;
}

static void ip_tick(struct plane_timer *timer, uint64_t now_ns)
{
	struct plane_ps *pps =
		(struct plane_ps *)((char *)timer - offsetof(struct plane_ps, ip_timer));

	ipstack_tick(pps->ip, now_ns);
	plane_ip_watch(pps);
}

static void free_parts(struct plane_ps *pps)
{
	underlay_ps_detach(pps);
	if (pps->underlay != pps->plane->base)
		underlay_ps_put(pps->underlay);
	plane_dgrams_free(pps->dgrams);
	plane_timer_set(pps->plane, &pps->ip_timer, UINT64_MAX);
	wg_local_free(pps->wg);
	ipstack_free(pps->ip);
	while (pps->groups) {
		struct plane_group *group = pps->groups;

		HASH_DEL(pps->groups, group);
		free(group);
	}
	portspace_unref(pps->ps);
	free(pps);
}

void plane_ps_underlay(struct plane_ps *pps)
{
	struct portspace *super = atomic_load(&pps->ps->super);
	struct plane_ps *above;
	struct plane_link *pl;
	int r = -ENOMEM;

	if (pps->underlay)
		return;
	if (!pps->ps->below) {
		pps->underlay = pps->plane->base;
	} else if (super) {
		above = plane_ps_get(pps->plane, super);
		if (above)
			r = underlay_ps_get(above, pps->ps->listen_port, &pps->underlay);
		if (r < 0)
			log_error("%s: no datagrams over its links: port %u of %s: %s",
				pps->ps->info.name, pps->ps->listen_port, super->info.name,
				strerror(-r));
	}
	DL_FOREACH(pps->links, pl)
	{
		pl->underlay = pps->underlay;
	}
}

static struct plane_ps *make(struct plane *plane, struct portspace *ps)
{
	struct plane_ps *pps = calloc(1, sizeof(*pps));
	struct ipstack_ops ops = plane_ip_ops;
	int r;

	if (!pps)
		return NULL;
	pps->plane = plane;
	pps->ps = portspace_ref(ps);
	pps->ip_timer.fn = ip_tick;
	plane_ps_underlay(pps);
	ops.arg = pps;
	r = wg_local_add(plane->wg, ps->private_key, pps, &pps->wg);
	if (r == -EEXIST) {
		log_warning("%s: another portspace of this broker has the same key: no datagrams "
			    "over its links",
			ps->info.name);
		r = 0;
	}
	if (r == 0)
		r = ipstack_new(&ops, &pps->ip);
	if (r == 0)
		r = plane_dgrams_new(pps, &pps->dgrams);
	if (r == 0)
		HASH_ADD_PTR(plane->portspaces, ps, pps);
	if (r == 0 && pps->hh.tbl)
		return pps;
	free_parts(pps);
	return NULL;
}

struct plane_ps *plane_ps_get(struct plane *plane, struct portspace *ps)
{
	struct plane_ps *pps = plane_ps_find(plane, ps);

	if (pps || plane->stopping || atomic_load(&ps->removed))
		return pps;
	pps = make(plane, ps);
	if (!pps)
		log_error("%s: out of memory: no datagrams", ps->info.name);
	return pps;
}

static void link_free(struct plane_link *pl)
{
	struct plane *plane = pl->pps->plane;

	plane_rip_link_gone(pl);
	flow_link_gone(pl);
	/* Its last counts are seen, and nothing refers to it any more. */
	plane_links_mirror(plane);
	core_link_set_plane(plane->core, pl->link, NULL);
	pl->dirty = true; /* whatever wg says now is not listed */
	wg_peer_free(pl->peer);
	ipstack_link_gone(pl->pps->ip, pl);
	DL_DELETE(pl->pps->links, pl);
	link_unref(pl->link);
	free(pl);
}

void plane_ps_remove(struct plane_ps *pps)
{
	plane_rip_stop(pps);
	flow_ps_gone(pps);
	while (pps->links)
		link_free(pps->links);
	HASH_DEL(pps->plane->portspaces, pps);
	free_parts(pps);
}

/* ---- links ---- */

static struct wg_peer_config peer_config(struct plane_link *pl)
{
	struct link *link = pl->link;

	return (struct wg_peer_config){.public_key = link->peer,
		.psk = link->psk,
		.keepalive_s = link->keepalive_s,
		.mtu = link->portspace->info.mtu,
		.has_endpoint = pl->configured,
		.endpoint = pl->endpoint,
		.user = pl};
}

static void link_make(struct plane *plane, struct link *link)
{
	struct plane_ps *pps = plane_ps_get(plane, link->portspace);
	struct plane_link *pl = pps && pps->wg ? calloc(1, sizeof(*pl)) : NULL;
	struct wg_peer_config config;
	int r;

	if (!pl)
		return;
	pl->link = link_ref(link);
	pl->pps = pps;
	pl->underlay = pps->underlay;
	pl->ifindex = link_ifindex(link);
	pl->configured = core_link_endpoint(plane->core, link, &pl->endpoint);
	DL_APPEND(pps->links, pl);
	config = peer_config(pl);
	r = wg_peer_add(pps->wg, &config, plane->now_ns, &pl->peer);
	if (r < 0) {
		log_warning("link %s of %s carries no datagrams: %s", link->name,
			link->portspace->info.name, strerror(-r));
		link_free(pl);
		return;
	}
	core_link_set_plane(plane->core, link, pl);
	plane_rip_link_new(pl);
}

/* The endpoint that roaming found stays until the configured one (or its name's address) changes.
 */
static void link_endpoint(struct plane_link *pl)
{
	struct plane *plane = pl->pps->plane;
	struct endpoint ep;
	struct wg_peer_config config;

	if (!core_link_endpoint(plane->core, pl->link, &ep) ||
		(pl->configured && endpoint_equal(&ep, &pl->endpoint)))
		return;
	pl->configured = true;
	pl->endpoint = ep;
	pl->underlay = pl->pps->underlay;
	config = peer_config(pl);
	(void)wg_peer_update(pl->peer, &config, plane->now_ns);
	plane_link_moved(pl);
}

void plane_link_update(struct plane *plane, struct link *link)
{
	struct plane_link *pl = link->plane;

	if (atomic_load(&link->removed)) {
		if (pl)
			link_free(pl);
	} else if (pl) {
		link_endpoint(pl);
	} else {
		link_make(plane, link);
	}
}

struct plane_link *plane_link_by_index(const struct plane_ps *pps, uint32_t ifindex)
{
	struct plane_link *pl;

	DL_SEARCH_SCALAR(pps->links, pl, ifindex, ifindex);
	return pl;
}

struct plane_link *plane_link_by_remote(const struct plane_ps *pps, const struct addr *a)
{
	struct plane_link *pl;

	DL_FOREACH(pps->links, pl)
	{
		if (addr_equal(&pl->link->link_local, a))
			break;
	}
	return pl;
}

/* ---- counters ---- */

void plane_link_moved(struct plane_link *pl)
{
	struct plane *plane = pl->pps->plane;

	if (pl->dirty)
		return;
	pl->dirty = true;
	pl->next_dirty = plane->dirty;
	plane->dirty = pl;
}

static void set(atomic_uint_fast64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static void mirror(struct plane_link *pl)
{
	struct link_stats *stats = &pl->link->stats;
	struct wg_peer_status status;

	if (!pl->peer)
		return;
	wg_peer_status(pl->peer, &status);
	set(&stats->wg_rx_bytes, status.rx_bytes);
	set(&stats->wg_tx_bytes, status.tx_bytes);
	set(&stats->wg_rx_packets, status.rx_packets);
	set(&stats->wg_tx_packets, status.tx_packets);
	set(&stats->wg_rejected, status.rejected);
	set(&stats->wg_handshake_ms, status.handshake_wall_ns / 1000000);
	atomic_store_explicit(&stats->wg_session, status.session, memory_order_relaxed);
	if (status.has_endpoint &&
		(!pl->has_heard || !endpoint_equal(&status.endpoint, &pl->heard))) {
		pl->has_heard = true;
		pl->heard = status.endpoint;
		core_link_heard(pl->pps->plane->core, pl->link, &pl->heard);
	}
}

void plane_links_mirror(struct plane *plane)
{
	while (plane->dirty) {
		struct plane_link *pl = plane->dirty;

		plane->dirty = pl->next_dirty;
		pl->dirty = false;
		mirror(pl);
	}
}

/* SPDX-License-Identifier: MIT */
/* The tables of flows, their bounds and their time (flow_priv.h). */
#include "flow_priv.h"

#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#define SECOND_NS UINT64_C(1000000000)

static bool has_socket(const struct flow *flow)
{
	return flow->kind == FLOW_HOST || flow->kind == FLOW_BASE;
}

static uint64_t ends_ns(const struct flow *flow)
{
	return flow->used_ns + (flow->answered ? FLOW_ANSWERED_S : FLOW_FRESH_S) * SECOND_NS;
}

static void set_timer(struct plane_flows *flows)
{
	uint64_t at = UINT64_MAX;

	if (flows->fresh)
		at = ends_ns(flows->fresh);
	if (flows->answered && ends_ns(flows->answered) < at)
		at = ends_ns(flows->answered);
	plane_timer_set(flows->pps->plane, &flows->timer, at);
}

static void expire(struct plane_timer *timer, uint64_t now_ns)
{
	struct plane_flows *flows =
		(struct plane_flows *)((char *)timer - offsetof(struct plane_flows, timer));

	while (flows->fresh && ends_ns(flows->fresh) <= now_ns)
		flow_end(flows->fresh);
	while (flows->answered && ends_ns(flows->answered) <= now_ns)
		flow_end(flows->answered);
	set_timer(flows);
}

static struct plane_flows *flows_get(struct plane_ps *pps)
{
	if (!pps->flows) {
		pps->flows = calloc(1, sizeof(*pps->flows));
		if (pps->flows) {
			pps->flows->pps = pps;
			pps->flows->timer.fn = expire;
		}
	}
	return pps->flows;
}

struct flow *flow_find(struct plane_flows *flows, const struct flow_key *key)
{
	struct flow *flow = NULL;

	if (flows)
		HASH_FIND(hh, flows->flows, key, sizeof(*key), flow);
	return flow;
}

struct flow *flow_find_back(const struct plane_ps *pps, uint16_t port, const struct endpoint *other)
{
	const struct flow_key key = {.a.port = port, .b = *other};
	struct flow *flow = NULL;

	if (pps->flows)
		HASH_FIND(hh_back, pps->flows->back, &key, sizeof(key), flow);
	return flow;
}

static void unlist(struct flow *flow)
{
	if (flow->answered)
		DL_DELETE(flow->owner->answered, flow);
	else
		DL_DELETE(flow->owner->fresh, flow);
}

void flow_touch(struct flow *flow, bool answered)
{
	unlist(flow);
	flow->answered |= answered;
	flow->used_ns = flow->plane->now_ns;
	if (flow->answered)
		DL_APPEND(flow->owner->answered, flow);
	else
		DL_APPEND(flow->owner->fresh, flow);
}

static void destroy(struct watch *watch)
{
	free(watch);
}

void flow_end(struct flow *flow)
{
	struct plane_flows *owner = flow->owner;

	HASH_DEL(owner->flows, flow);
	if (flow->server)
		HASH_DELETE(hh_back, flow->server->back, flow);
	unlist(flow);
	owner->n--;
	if (has_socket(flow)) {
		int fd = flow->watch.fd;

		owner->nsockets--;
		flow->plane->flow_sockets--;
		watch_discard(&flow->plane->poller, &flow->watch, destroy);
		if (fd >= 0)
			close(fd);
	} else {
		free(flow);
	}
}

/* The portspace gives up what is worth least to it. */
static void make_room(struct plane_flows *flows, bool socket)
{
	struct flow *flow;

	while (flows->n >= FLOW_MAX)
		flow_end(flows->fresh ? flows->fresh : flows->answered);
	if (!socket || (flows->nsockets < FLOW_SOCKETS_MAX &&
			       flows->pps->plane->flow_sockets < FLOW_SOCKETS_ALL))
		return;
	DL_FOREACH(flows->fresh, flow)
	{
		if (has_socket(flow))
			break;
	}
	if (!flow) {
		DL_FOREACH(flows->answered, flow)
		{
			if (has_socket(flow))
				break;
		}
	}
	if (flow)
		flow_end(flow);
}

struct flow *flow_new(struct plane_ps *pps, enum flow_kind kind, struct plane_link *link,
	const struct flow_key *key)
{
	struct plane_flows *flows = flows_get(pps);
	struct flow *flow = flows ? calloc(1, sizeof(*flow)) : NULL;

	if (!flow)
		return NULL;
	flow->plane = pps->plane;
	flow->kind = kind;
	flow->owner = flows;
	flow->link = link;
	flow->key = *key;
	flow->used_ns = pps->plane->now_ns;
	make_room(flows, has_socket(flow));
	if (has_socket(flow) && pps->plane->flow_sockets >= FLOW_SOCKETS_ALL) {
		free(flow);
		return NULL;
	}
	HASH_ADD(hh, flows->flows, key, sizeof(flow->key), flow);
	if (!flow->hh.tbl) {
		free(flow);
		return NULL;
	}
	DL_APPEND(flows->fresh, flow);
	flows->n++;
	if (has_socket(flow)) {
		watch_init(&flow->watch, -1, NULL);
		flows->nsockets++;
		pps->plane->flow_sockets++;
	}
	set_timer(flows);
	return flow;
}

bool flow_bind(
	struct flow *flow, struct plane_ps *server, uint16_t port, const struct endpoint *other)
{
	struct plane_flows *flows = flows_get(server);

	if (!flows || flow_find_back(server, port, other))
		return false;
	flow->back.a.port = port;
	flow->back.b = *other;
	HASH_ADD(hh_back, flows->back, back, sizeof(flow->back), flow);
	if (!flow->hh_back.tbl)
		return false;
	flow->server = flows;
	return true;
}

/* SPDX-License-Identifier: MIT */
/* The network of a super-portspace as an underlay, so that tunnels nest (plane_priv.h; for streams
 * netspace_ps.h does the same).
 *
 * Model: a broker-internal UDP service in the super-portspace. What a link below sends is copied
 * once, because the room around it was for one more header and not for any number of them, and
 * sent as a datagram of the super-portspace, whose links may in turn be nested. What stays inside
 * the super-portspace (two portspaces below it that are linked) waits until the end of the turn:
 * WireGuard does not take a message while it sends one. */
#define LOG_MODULE "underlay"
#include "core_priv.h"
#include "plane_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
	QUEUE_BYTES = 1 << 18, /* of messages that stay inside, with their room, for a turn */
	QUEUE_MAX = 256
};

/* A message that stays inside. */
struct inner {
	struct endpoint to;
	size_t offset, len; /* in `queue`, with room on both sides */
};

struct underlay_ps {
	struct underlay underlay; /* first: found by it */
	struct plane_service service;
	struct plane *plane;
	struct plane_ps *super; /* NULL: it has ended */
	unsigned users;
	struct underlay_ps *next; /* in super->nests */
	struct inner inner[QUEUE_MAX];
	size_t ninner, queue_len;
	uint8_t *queue;
	uint8_t copy[PLANE_HEADROOM + PLANE_PACKET_MAX + PLANE_TAILROOM];
};

static void send_message(struct underlay_ps *u, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct plane_udp_out out = {.src.port = u->service.port, .dst = *to};

	out.src.addr = addr_is_v4(&to->addr) ? addr_any4 : addr_any6;
	(void)plane_udp_send(u->super, &out, msg, len);
}

static void keep(struct underlay_ps *u, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	size_t offset = u->queue_len + PLANE_HEADROOM;

	if (!u->queue)
		u->queue = malloc(QUEUE_BYTES);
	if (!u->queue || u->ninner == QUEUE_MAX || offset + len + PLANE_TAILROOM > QUEUE_BYTES)
		return; /* lost, as on any network */
	memcpy(u->queue + offset, msg, len);
	u->inner[u->ninner++] = (struct inner){.to = *to, .offset = offset, .len = len};
	u->queue_len = offset + len + PLANE_TAILROOM;
	plane_flush_later(u->plane, &u->underlay);
}

static void ps_send(struct underlay *underlay, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct underlay_ps *u = (struct underlay_ps *)underlay;

	if (!u->super || len > PLANE_PACKET_MAX)
		return;
	if (plane_owns(u->super, NULL, &to->addr)) {
		keep(u, to, msg, len);
	} else {
		memcpy(u->copy + PLANE_HEADROOM, msg, len);
		send_message(u, to, u->copy + PLANE_HEADROOM, len);
	}
}

/* What is answered meanwhile is kept for the next round of the same turn. */
static void ps_flush(struct underlay *underlay)
{
	struct underlay_ps *u = (struct underlay_ps *)underlay;
	struct inner inner[QUEUE_MAX];
	uint8_t *queue = u->queue;
	size_t n = u->ninner;

	memcpy(inner, u->inner, n * sizeof(inner[0]));
	u->queue = NULL;
	u->ninner = u->queue_len = 0;
	for (size_t i = 0; i < n && u->super; i++)
		send_message(u, &inner[i].to, queue + inner[i].offset, inner[i].len);
	if (u->queue)
		free(queue);
	else
		u->queue = queue;
}

static void input(struct plane_service *service, const struct plane_udp *udp)
{
	struct underlay_ps *u =
		(struct underlay_ps *)((char *)service - offsetof(struct underlay_ps, service));

	if (!addr_is_multicast(&udp->dst.addr))
		(void)plane_underlay_input(
			u->plane, &u->underlay, &udp->src, udp->payload, udp->len);
}

int underlay_ps_get(struct plane_ps *super, uint16_t port, struct underlay **underlayp)
{
	static const struct underlay_ops ops = {.send = ps_send, .flush = ps_flush};
	struct underlay_ps *u;
	int r;

	LL_FOREACH(super->nests, u)
	{
		if (u->service.port == port)
			break;
	}
	if (u) {
		u->users++;
		*underlayp = &u->underlay;
		return 0;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->underlay.ops = &ops;
	u->underlay.network = super->ps;
	u->service.input = input;
	u->service.port = port;
	u->plane = super->plane;
	u->super = super;
	u->users = 1;
	r = plane_service_add(super, &u->service);
	if (r < 0) {
		free(u);
		return r;
	}
	LL_PREPEND(super->nests, u);
	*underlayp = &u->underlay;
	return 0;
}

static void detach(struct underlay_ps *u)
{
	if (!u->super)
		return;
	plane_service_remove(u->super, &u->service);
	LL_DELETE(u->super->nests, u);
	u->super = NULL;
}

void underlay_ps_detach(struct plane_ps *super)
{
	while (super->nests)
		detach(super->nests);
}

/* A link of a neighbour, which another port of the same network serves, may have been heard here.
 */
static void forget(struct underlay_ps *u)
{
	struct plane_ps *pps;
	struct plane_link *pl;

	for (pps = u->plane->portspaces; pps; pps = pps->hh.next)
		DL_FOREACH(pps->links, pl)
		{
			if (pl->underlay == &u->underlay)
				pl->underlay = pps->underlay;
		}
}

void underlay_ps_put(struct underlay *underlay)
{
	struct underlay_ps *u = (struct underlay_ps *)underlay;
	struct underlay **at;

	if (!u || --u->users > 0)
		return;
	detach(u);
	forget(u);
	for (at = &u->plane->flush; *at && *at != underlay;)
		at = &(*at)->next_flush;
	if (*at)
		*at = underlay->next_flush;
	free(u->queue);
	free(u);
}

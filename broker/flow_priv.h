/* SPDX-License-Identifier: MIT */
/* What flow.c (the ways inside the broker), flow_base.c (sockets of the base network) and
 * flow_table.c share. */
#ifndef PERSONA_BROKER_FLOW_PRIV_H
#define PERSONA_BROKER_FLOW_PRIV_H

#include "flow.h"

enum flow_kind {
	FLOW_INHERITED, /* server: the portspace above whose application answers */
	FLOW_SUPER,	/* server: the super-portspace whose network has the target */
	FLOW_HOST,	/* a socket to a service of this host */
	FLOW_BASE	/* a socket to a gateway's target */
};

/* Compared as bytes; there are none between the members. */
struct flow_key {
	struct endpoint a, b;
};
_Static_assert(sizeof(struct flow_key) == 36, "no padding");

struct flow {
	struct watch watch; /* HOST, BASE; first: found by it */
	struct plane *plane;
	enum flow_kind kind;
	struct plane_flows *owner; /* of the portspace that the peer talks to */
	struct plane_link *link;   /* the peer's; NULL: it is inside */
	struct flow_key key;	   /* a: the peer, b: what it calls */
	uint64_t used_ns;
	bool answered;
	struct flow *prev, *next; /* of fresh or answered ones, oldest use first */
	UT_hash_handle hh;	  /* in owner->flows by key */
	/* INHERITED, SUPER: seen from there */
	struct plane_flows *server;
	struct flow_key back;	/* a: our wildcard and port there, b: the other end */
	struct endpoint local;	/* INHERITED: the application's address, as it sees it */
	UT_hash_handle hh_back; /* in server->back by `back` */
};

/* Of one portspace. */
struct plane_flows {
	struct plane_ps *pps;
	struct flow *flows;	       /* its peers' */
	struct flow *back;	       /* those that its applications or its network answer */
	struct flow *fresh, *answered; /* its peers' */
	unsigned n, nsockets;
	struct plane_timer timer;
};

/* ---- flow_table.c ---- */

/* By what the peer calls; NULL when there is none. flows may be NULL. */
struct flow *flow_find(struct plane_flows *flows, const struct flow_key *key);
/* The flow that has this port of `pps` for its own, towards the other end; NULL when there is none.
 */
struct flow *flow_find_back(
	const struct plane_ps *pps, uint16_t port, const struct endpoint *other);
/* In the tables from now on; others may have to end for it. NULL: out of memory, or of sockets. */
struct flow *flow_new(struct plane_ps *pps, enum flow_kind kind, struct plane_link *link,
	const struct flow_key *key);
/* Binds it to a port of the portspace that answers. False: that has another flow already. */
bool flow_bind(
	struct flow *flow, struct plane_ps *server, uint16_t port, const struct endpoint *other);
/* It was used, and perhaps by an answer. */
void flow_touch(struct flow *flow, bool answered);
/* Frees it. One with a socket stays valid until the turn ends. */
void flow_end(struct flow *flow);

/* ---- flow.c ---- */

/* The peer gets an answer: the payload with the room around it as everywhere. */
int flow_send_back(struct flow *flow, uint8_t ttl, uint8_t tos, uint8_t *payload, size_t len);
/* Tells the peer why nothing answers: a positive errno. */
void flow_unreachable(struct flow *flow, int err);

/* ---- flow_base.c ---- */

/* Where does the host have a UDP service at this port? False: nowhere but at loopback. */
bool flow_host_service(struct plane *plane, const struct endpoint *dst, struct endpoint *atp);
/* Opens the socket to `to`; `own`: an address of this host. 0 or negative errno. */
int flow_base_open(struct flow *flow, const struct endpoint *to, bool own);
/* Sends on it; what the kernel reports of earlier datagrams goes to the peer. */
void flow_base_send(struct flow *flow, const uint8_t *payload, size_t len);

#endif

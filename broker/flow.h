/* SPDX-License-Identifier: MIT */
/* Flows: UDP that a portspace answers with somebody else's help, its gateway's or its
 * super-portspace's (inherit.h).
 *
 * Model: a flow is one pair of endpoints, as the peer has them, in the portspace that the peer
 * talks to. Four kinds:
 * - an inherited service of a portspace above: what the peer sends goes to the application's socket
 *   there, with the peer's real address; what the application sends to that peer from that port
 *   goes back through the portspace and the link that the peer used;
 * - an inherited service of the host, or the target of a gateway: a UDP socket of the base network,
 *   connected; each datagram of the peer is sent on it, each answer goes back;
 * - the target of a gateway below a super-portspace: the same with a port of the super-portspace's
 *   network instead of a socket.
 * ICMP errors find their way along the flow in both directions.
 *
 * Where two peers with equal addresses and ports, of different networks, talk to one application,
 * the first one has it and the other is refused: an answer must never go to the wrong network. A
 * peer of the application's own network comes before either.
 *
 * Bounds: flows and sockets of a portspace, sockets of the broker; who needs one more gives up his
 * portspace's oldest, those first that were never answered. A flow ends when nothing came for
 * FLOW_FRESH_S, or FLOW_ANSWERED_S once it was answered (RFC 4787, section 4.3, wants two minutes;
 * these are what connection tracking of Linux began with), and when rules, links or portspaces that
 * it needs change.
 *
 * The plane's thread only. */
#ifndef PERSONA_BROKER_FLOW_H
#define PERSONA_BROKER_FLOW_H

#include "plane_priv.h"

enum {
	FLOW_FRESH_S = 30,
	FLOW_ANSWERED_S = 180,
	FLOW_MAX = 8192,	 /* of a portspace */
	FLOW_SOCKETS_MAX = 512,	 /* of a portspace */
	FLOW_SOCKETS_ALL = 2048, /* of a broker */
	FLOW_HOST_AGE_MS = 1000, /* how old may be what we know of the host's services */
	FLOW_HOST_AGAIN_MS = 50	 /* the same, before a service is said not to be there */
};

/* A datagram for the portspace that no socket of its own wants. 0, or -ECONNREFUSED. */
int flow_input(const struct plane_udp *udp);
/* A packet for a prefix that the portspace owns as a gateway. */
void flow_gateway(struct plane_ps *pps, const struct ipstack_delivery *d);
/* A datagram that arrived in the portspace: true when it was a gateway's answer and is gone. */
bool flow_returned(const struct plane_udp *udp);
/* What an application of the portspace sends: true when it is an answer to a flow's peer and went
 * that way; *rp is 0 or what plane_udp_send() said. */
bool flow_answer(struct plane_ps *pps, const struct endpoint *src, const struct endpoint *dst,
	uint8_t ttl, uint8_t tos, uint8_t *payload, size_t len, int *rp);
/* An ICMP error about a packet of the portspace: true when it was a flow's. */
bool flow_error(struct plane_ps *pps, const struct ipstack_error *e);

/* The rules of this portspace changed: flows that may not be any more, its own and of those below,
 * end. */
void flow_rules_changed(struct plane_ps *pps);
void flow_link_gone(struct plane_link *pl);
void flow_ps_gone(struct plane_ps *pps);  /* before its parts are freed */
void flow_host_free(struct plane *plane); /* what is known of the host's services */

#endif

/* SPDX-License-Identifier: MIT */
/* Inside of the IP stack: ipstack.c (input and forwarding), ipstack_out.c (output) and
 * ipstack_icmp.c (what the stack says itself). */
#ifndef PERSONA_BROKER_IPSTACK_PRIV_H
#define PERSONA_BROKER_IPSTACK_PRIV_H

#include "icmp.h"
#include "ip.h"
#include "ip_frag.h"
#include "ip_pmtu.h"
#include "ipstack.h"
#include "ratelimit.h"

enum {
	IPSTACK_IDS = 64,  /* counters of packet identifications, shared by destinations */
	IPSTACK_DEPTH = 8, /* local deliveries inside of local deliveries */
	/* ICMP errors and RSTs a second: to one source, at once, and to all. */
	IPSTACK_ANSWERS_SOURCE = 100,
	IPSTACK_ANSWERS_BURST = 100,
	IPSTACK_ANSWERS_TOTAL = 1000
};

struct ipstack {
	struct ipstack_ops ops;
	uint64_t now_ns; /* of the call that we are in */
	struct ipstack_stats stats;
	struct ip_reass *reass;
	struct ip_pmtu *pmtu;	   /* NULL until a "too big" comes */
	struct ratelimit *answers; /* NULL until the first ICMP error */
	struct ratelimit *resets;  /* NULL until the first RST */
	unsigned depth;		   /* of local deliveries */
	uint32_t ids[IPSTACK_IDS]; /* begin at random; secret, with `salt` */
	uint64_t salt;
};

/* What a header of the base kind says of a packet, and where it came from. */
struct ipstack_packet {
	void *link; /* NULL: our own */
	uint8_t *p;
	struct ip_header h;
};

/* Where a packet of our own goes. */
struct ipstack_plan {
	struct ipstack_next next;
	uint32_t mtu;  /* of the path; not for local ones */
	bool fragment; /* longer than mtu */
	bool dontfrag; /* IPv4 DF */
};

/* Decides about a payload of len bytes. Errors as ipstack_output() has them. */
int ipstack_plan(struct ipstack *st, const struct ipstack_out *out, size_t len,
	struct ipstack_plan *planp, uint32_t *mtup);
/* Sends it. `roomy`: the room that ipstack.h promises for output is around the payload; else only
 * the base header's. 0, -ENOBUFS. */
int ipstack_emit(struct ipstack *st, const struct ipstack_out *out, const struct ipstack_plan *plan,
	uint8_t *payload, size_t len, bool roomy);
/* Sends by a link in pieces that fit. */
void ipstack_cut(struct ipstack *st, void *link, uint8_t *packet, size_t len, uint32_t mtu);

/* A whole packet for us or for a gateway prefix: to the ICMP code or to ops.deliver. */
void ipstack_deliver(struct ipstack *st, const struct ipstack_packet *packet, bool gateway);

/* ICMP for us or for a gateway prefix. */
void ipstack_icmp_input(struct ipstack *st, struct ipstack_delivery *d);
struct ipstack_fault {
	uint8_t type, code;
	uint32_t info;
	const struct addr *from; /* NULL: ops.address of the link */
};
/* Tells the source of a packet. Does nothing where ICMP errors are not allowed. */
void ipstack_complain(
	struct ipstack *st, const struct ipstack_packet *packet, const struct ipstack_fault *fault);

#endif

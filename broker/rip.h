/* SPDX-License-Identifier: MIT */
/* RIP version 2 (RFC 2453) and RIPng (RFC 2080) of one portspace. Pure: packets in, packets and
 * routes out by callbacks, time as an argument (nanoseconds of a monotonic clock). One thread.
 *
 * Model: a link is a network with one neighbour, the peer. One table of destinations serves both
 * protocols; RIPv2 carries those of IPv4, RIPng those of IPv6. A destination may be local (own
 * addresses, gateways, static routes, prefixes of links), learned, or both; what is announced is
 * the local one, unless it leads over a link that is not alive, else the learned one. Each link
 * costs 1. Split horizon with poisoned reverse; triggered updates, held back for 1 to 5 s after one
 * was sent; regular updates every 30 s; a learned route that nobody confirms for 180 s is
 * unreachable, and forgotten after 120 s more. These times are RFC 2453's for an update interval
 * of 30 s, and scale with it.
 *
 * A link is alive when anything authentic was heard on it within the timeout (ops.heard), silent
 * when nothing was for that long, and unknown until either.
 *
 * Trust: a neighbour is believed about prefixes inside `networks` only, with metrics of 1 to 16,
 * and about so many as `routes_max`; never about own addresses, and never about what is no unicast
 * destination (multicast, loopback, link-local, 0/8, 240/4). Responses must come from the RIP port;
 * those of RIPng from a link-local address with a hop limit of 255, those of RIPv2 to the multicast
 * group, or to us after we asked. Tables are sent a piece at a time, so that neither a large table
 * nor a request for it holds up anything. */
#ifndef PERSONA_BROKER_RIP_H
#define PERSONA_BROKER_RIP_H

#include "addr.h"
#include "rip_packet.h"

struct rip;
struct rip_link;

enum {
	RIP_V2_PORT = 520,
	RIP_NG_PORT = 521,
	RIP_V2_TTL = 1,
	RIP_NG_TTL = 255,
	RIP_HEADROOM = 128, /* before and behind a packet given to ops.send: may be overwritten */
	RIP_TAILROOM = 64,
	RIP_ROUTES_MAX = 16384 /* learned from one neighbour, unless the configuration says */
};

extern const struct addr rip_group4, rip_group6; /* 224.0.0.9 and ff02::9 */

struct rip_out {
	enum rip_version version; /* the source port is the version's */
	struct endpoint dst;
	uint8_t ttl; /* or hop limit; 0: the default */
};

struct rip_ops {
	/* Sends a packet by a link (the user's pointer). */
	void (*send)(void *arg, void *link, const struct rip_out *out, uint8_t *packet, size_t len);
	/* The route that is learned for a prefix is this one now; `metric` counts from here. */
	void (*route)(void *arg, void *link, const struct prefix *prefix,
		const struct addr *next_hop, uint8_t metric, uint16_t tag);
	/* Nothing is learned for it any more. */
	void (*withdraw)(void *arg, const struct prefix *prefix);
	/* The neighbour fell silent, or is heard again. */
	void (*silent)(void *arg, void *link, bool silent);
	/* When anything authentic was last heard on a link, 0 never. NULL: RIP's packets alone
	 * count. */
	uint64_t (*heard)(void *arg, void *link);
	/* A random number below n. NULL: randombytes_uniform(3). */
	uint32_t (*random)(void *arg, uint32_t n);
	void *arg;
};

struct rip_config {
	uint64_t update_ns;	       /* between regular updates; at least 1 ms */
	const struct prefix *networks; /* masked */
	size_t nnetworks;
	const struct addr *own; /* addresses; what is announced of them is in the locals */
	size_t nown;
	struct addr link_local; /* own link-local address, on all links */
	bool v2, ng;		/* which protocols are spoken */
	size_t routes_max;	/* of one neighbour; 0: RIP_ROUTES_MAX */
};

/* ops and config are copied. 0 or -ENOMEM. */
int rip_new(const struct rip_ops *ops, const struct rip_config *config, uint64_t now_ns,
	struct rip **ripp);
/* Takes over another configuration; what it does not allow any more is unlearned. */
int rip_configure(struct rip *rip, const struct rip_config *config, uint64_t now_ns);
/* Withdraws nothing and sends nothing. NULL is allowed. */
void rip_free(struct rip *rip);
/* Says goodbye: announces everything as unreachable, so that others need not wait for timeouts, and
 * withdraws what was learned. Nothing but rip_free() may follow. */
void rip_stop(struct rip *rip, uint64_t now_ns);

/* `mtu` in bytes limits packets of RIPng. Asks the neighbour for its table. 0 or -ENOMEM. */
int rip_link_add(
	struct rip *rip, void *user, uint32_t mtu, uint64_t now_ns, struct rip_link **linkp);
/* What was learned over it is withdrawn, locals over it are no more announced. */
void rip_link_remove(struct rip *rip, struct rip_link *link, uint64_t now_ns);

struct rip_local {
	struct prefix prefix;
	struct rip_link *link; /* announced while this one is alive; NULL: always */
	uint8_t metric;	       /* 1..15 */
	uint16_t tag;
};
/* Everything local, in place of what there was. Of several with the same prefix the first counts.
 * Those outside of `networks` are not announced. 0; -ENOMEM: some may be missing. */
int rip_set_locals(struct rip *rip, const struct rip_local *locals, size_t n, uint64_t now_ns);

/* A datagram for the RIP port that arrived by a link; `packet` is only read. 0; -EPROTO
 * (malformed); -EACCES (not from a neighbour, or not to be believed); -EALREADY (our own); -EAGAIN
 * (a request too soon after another). */
int rip_input(struct rip *rip, struct rip_link *link, enum rip_version version,
	const struct endpoint *src, const struct addr *dst, uint8_t ttl, const uint8_t *packet,
	size_t len, uint64_t now_ns);

/* Does what is due. Returns when the next thing is (never UINT64_MAX). rip_input() and the other
 * changes may make it earlier: rip_deadline(). */
uint64_t rip_tick(struct rip *rip, uint64_t now_ns);
uint64_t rip_deadline(const struct rip *rip);

struct rip_stats {
	uint64_t in, out;	     /* packets */
	uint64_t refused;	     /* packets that were not believed or malformed */
	uint64_t refused_routes;     /* entries of believed packets that were not */
	uint64_t over_quota;	     /* entries beyond routes_max */
	uint64_t triggered, regular; /* updates begun */
	size_t destinations;
	size_t learned; /* reachable ones */
};
void rip_stats(const struct rip *rip, struct rip_stats *statsp);
/* The metric that a prefix is announced with where no horizon is split; RIP_INFINITY when it is
 * unknown or unreachable. */
uint8_t rip_metric(const struct rip *rip, const struct prefix *prefix);

#endif

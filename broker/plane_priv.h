/* SPDX-License-Identifier: MIT */
/* Inside of the packet plane: what its parts share. Everything here belongs to the plane's thread,
 * except `inbox`.
 *
 * Model: plane.c is the thread (turns, inbox, timers), plane_ps.c its portspaces and links,
 * plane_ip.c the glue between the IP stack, WireGuard and those who want UDP, underlay_base.c the
 * UDP sockets of the base network, dgram*.c the applications' sockets. One turn handles what is
 * ready, then hands over what was collected: first deliveries to applications, then messages of
 * the underlays. */
#ifndef PERSONA_BROKER_PLANE_PRIV_H
#define PERSONA_BROKER_PLANE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "ipstack.h"
#include "plane.h"
#include "poller.h"
#include "wg.h"

enum {
	PLANE_BATCH = 32, /* messages of one socket in a turn */
	/* Room before and behind a packet, so that the next layer works in place: WireGuard's
	 * header of an outer portspace, outer UDP and IP headers, once for each level of nesting
	 * that goes without a copy. */
	PLANE_HEADROOM = 128,
	PLANE_TAILROOM = 64,
	PLANE_PACKET_MAX = 65535
};

struct plane_ps;
struct plane_link;
struct plane_dgrams;

/* ---- time ---- */

/* Zeroed at first. The plane's thread only. */
struct plane_timer {
	void (*fn)(struct plane_timer *timer, uint64_t now_ns);
	uint64_t at_ns;
	struct plane_timer *prev, *next; /* of those that are set */
};

/* fn is called once, at the end of the first turn after at_ns (CLOCK_MONOTONIC). Set again: moved.
 * UINT64_MAX: not set any more. */
void plane_timer_set(struct plane *plane, struct plane_timer *timer, uint64_t at_ns);

/* ---- underlays ---- */

/* Where sealed messages of links go: the base network's sockets (underlay_base.c), or the network
 * of a super-portspace (underlay_ps.c). What arrives is given to plane_underlay_input(). */
struct underlay {
	const struct underlay_ops *ops;
	const struct portspace *network; /* the portspace whose it is; NULL: the base network */
	struct underlay *next_flush;	 /* plane_flush_later() */
	bool flushing;
};

struct underlay_ops {
	/* Sends or queues one message (at most until flush). `msg` is the caller's again when this
	 * returns; PLANE_HEADROOM and PLANE_TAILROOM bytes around it may be overwritten. Loss is
	 * silent, as on any network. */
	void (*send)(
		struct underlay *underlay, const struct endpoint *to, uint8_t *msg, size_t len);
	/* At the end of each turn in which the underlay asked for it by plane_flush_later(). */
	void (*flush)(struct underlay *underlay);
};

/* A message from the underlay; `from` is who sent it. The room around msg may be overwritten. True:
 * its sender is authentic. */
bool plane_underlay_input(struct plane *plane, struct underlay *underlay,
	const struct endpoint *from, uint8_t *msg, size_t len);

/* The base network. Listens on UDP at these endpoints; with none it has sockets that can only be
 * answered. 0 or negative errno (-EADDRINUSE). */
int underlay_base_new(struct plane *plane, const struct endpoint *listen, size_t nlisten,
	struct underlay **underlayp);
void underlay_base_free(struct underlay *underlay); /* NULL is allowed */
bool underlay_base_has_port(const struct underlay *underlay, uint16_t port);

/* The network of a super-portspace: messages are datagrams of its own, at its addresses and this
 * port. Links of all portspaces directly below it with the same port share it; each get wants a
 * put. 0, -EADDRINUSE (an application or a service has the port), -ENOMEM. */
int underlay_ps_get(struct plane_ps *super, uint16_t port, struct underlay **underlayp);
void underlay_ps_put(struct underlay *underlay); /* NULL is allowed */
/* The portspace ends: its underlays carry nothing from now on. */
void underlay_ps_detach(struct plane_ps *super);

/* ---- UDP inside a portspace ---- */

/* A UDP datagram that arrived for a socket inside a portspace. */
struct plane_udp {
	struct plane_ps *pps;
	struct plane_link *link; /* it came by; NULL: from inside the portspace */
	struct endpoint src;
	struct endpoint dst;
	uint8_t ttl;
	uint8_t tos;
	uint8_t *payload; /* may be changed in place; HEADROOM and TAILROOM are there */
	size_t len;
};

/* A broker-internal UDP service (RIP, nested links, DNS). The first that takes a port has it. */
struct plane_service {
	void (*input)(struct plane_service *service, const struct plane_udp *udp);
	uint16_t port;
	struct plane_service *next; /* in its portspace */
};

/* 0, or -EADDRINUSE: another service or an application has the port. */
int plane_service_add(struct plane_ps *pps, struct plane_service *service);
void plane_service_remove(struct plane_ps *pps, struct plane_service *service);
/* NULL when no service has the port. */
struct plane_service *plane_service_find(const struct plane_ps *pps, uint16_t port);

/* Packets to this multicast group are taken from links from now on; counted. 0 or -ENOMEM. */
int plane_group_join(struct plane_ps *pps, const struct addr *group);
void plane_group_leave(struct plane_ps *pps, const struct addr *group);

struct plane_udp_out {
	struct endpoint src; /* wildcard: the portspace's own address that suits dst */
	struct endpoint dst;
	struct plane_link *link; /* leave by this link whatever the routes say (RIP); or NULL */
	uint8_t ttl;		 /* 0: default */
	uint8_t tos;
	bool dontfrag;
};

/* Sends one datagram from inside the portspace; the same room around the payload as everywhere. 0,
 * -ENETUNREACH, -EHOSTUNREACH, -EMSGSIZE, -EACCES; -ECONNREFUSED: the destination is the portspace
 * itself and nobody has the port. */
int plane_udp_send(
	struct plane_ps *pps, const struct plane_udp_out *out, uint8_t *payload, size_t len);

/* A UDP datagram for the portspace: to a service or to applications. -ECONNREFUSED: nobody wants
 * it. */
int plane_udp_input(const struct plane_udp *udp);

/* The address that datagrams to dst come from when the socket has none: loopback for loopback, dst
 * itself when it is ours, our link-local one for link-local, else the address whose network has
 * dst, else the first of the family. False: none suits. */
bool plane_source(const struct plane_ps *pps, const struct addr *dst, struct addr *srcp);

/* ---- portspaces and links ---- */

struct plane_link {
	struct link *link; /* reference */
	struct plane_ps *pps;
	struct wg_peer *peer;
	struct underlay *underlay;	/* the one its endpoint was last heard or dialled on */
	struct plane_link *prev, *next; /* in its portspace */
	struct rip_link *rip;		/* plane_rip.c; NULL: no RIP here */
	uint32_t ifindex;
	bool dirty;	 /* counters moved since they were last mirrored */
	bool configured; /* `endpoint` is what the configuration said last */
	struct endpoint endpoint;
	struct plane_link *next_dirty;
	bool has_heard; /* `heard` is what status shows */
	struct endpoint heard;
};

struct plane_group {
	struct addr addr;
	unsigned count;
	UT_hash_handle hh; /* by addr */
};

struct plane_ps {
	struct plane *plane;
	struct portspace *ps; /* reference */
	struct wg_local *wg;  /* NULL: another portspace has this key */
	struct ipstack *ip;
	struct plane_link *links;
	struct plane_service *services;
	struct plane_group *groups;
	struct plane_dgrams *dgrams; /* applications' sockets (dgrams.h) */
	struct plane_rip *rip;	     /* NULL when routing is static */
	struct underlay *underlay;   /* of its links; NULL: they have no network */
	struct underlay_ps *nests;   /* for links of those below it (underlay_ps.c) */
	struct plane_flows *flows;   /* inherited and gateway datagrams (flow.h), NULL none */
	struct plane_timer ip_timer; /* set while ipstack_busy() */
	UT_hash_handle hh;	     /* by ps */
};

/* Makes it when it is not there. NULL: out of memory, or the portspace is removed. */
struct plane_ps *plane_ps_get(struct plane *plane, struct portspace *ps);
/* NULL when there is none. */
struct plane_ps *plane_ps_find(const struct plane *plane, const struct portspace *ps);
/* By its number inside the portspace (if_nametoindex); NULL when there is none. */
struct plane_link *plane_link_by_index(const struct plane_ps *pps, uint32_t ifindex);
/* By the peer's link-local address; NULL when there is none. */
struct plane_link *plane_link_by_remote(const struct plane_ps *pps, const struct addr *a);
/* Gives its links their underlay when they have none: its super-portspace may be there by now. */
void plane_ps_underlay(struct plane_ps *pps);
/* In the plane's thread. */
void plane_ps_remove(struct plane_ps *pps);
void plane_link_update(struct plane *plane, struct link *link);
/* Copies the counters of links that moved to where status reads them. */
void plane_links_mirror(struct plane *plane);
void plane_link_moved(struct plane_link *pl); /* its counters are to be mirrored */

/* ---- the plane ---- */

struct plane {
	struct core *core;
	pthread_t thread;
	struct poller poller;
	struct wg *wg;
	struct plane_ps *portspaces;
	struct underlay *base;
	struct dgram_server *dgram; /* RUNTIME/dgram */
	struct plane_timer *timers;
	struct plane_timer *timer_next;	   /* while timers run */
	uint64_t timers_ns;		   /* no timer is due before */
	struct plane_link *dirty;	   /* whose counters moved */
	struct underlay *reply_to;	   /* the one that the message at hand came by, NULL none */
	const struct endpoint *reply_from; /* and who sent it */
	struct underlay *flush;		   /* those with something queued */
	struct flow_host *flow_host;	   /* flow_base.c */
	unsigned flow_sockets;
	struct watch wake;
	pthread_mutex_t inbox_lock;
	struct plane_msg *inbox;
	uint64_t now_ns;     /* CLOCK_MONOTONIC of this turn */
	int64_t wall_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC, of this turn */
	bool stopping;
};

static inline uint64_t plane_wall_ns(const struct plane *plane)
{
	return plane->now_ns + (uint64_t)plane->wall_offset;
}

/* To be called first by every function of a watch: the turn's time. */
void plane_turn_time(struct plane *plane);
/* underlay->ops->flush at the end of this turn. */
void plane_flush_later(struct plane *plane, struct underlay *underlay);

/* Runs fn in the plane's thread. 0 or -ENOMEM. Thread safe. */
int plane_post(struct plane *plane, void (*fn)(struct plane *plane, void *arg), void *arg);

/* Is the address ours: one of the portspace, loopback (from inside only), link-local on this link,
 * or a group that somebody joined? */
bool plane_owns(const struct plane_ps *pps, const struct plane_link *link, const struct addr *a);

/* plane_ip.c: the IP stack's and WireGuard's callbacks. */
extern const struct ipstack_ops plane_ip_ops; /* arg is to be set to the struct plane_ps */
extern const struct wg_ops plane_wg_ops;      /* arg is to be set to the struct plane */
/* After what may have left a reassembly open. */
void plane_ip_watch(struct plane_ps *pps);

#endif

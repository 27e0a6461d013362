/* SPDX-License-Identifier: MIT */
/* The broker's core: portspaces, links, members, and the questions the data path asks of them.
 *
 * Model: the control loop (one thread) changes everything here; worker threads only ask. One mutex
 * guards the graph; it is held for memory operations only, never across a system call that may
 * block. Portspaces and links are reference counted, so a worker may keep one while the control
 * loop removes it: `removed` tells.
 *
 * Every function named core_* in this header is thread safe. */
#ifndef PERSONA_BROKER_CORE_H
#define PERSONA_BROKER_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "ask.h"
#include "handshake.h"
#include "key.h"
#include "rib.h"

struct core;
struct portspace;

enum {
	LINK_NAME_MAX = 16,	  /* IFNAMSIZ: a link is an interface inside the portspace */
	PORTSPACE_NAME_MAX = 64,  /* with terminator */
	LINK_PREFIXES_MAX = 1024, /* allowed prefixes of one link */
	PORTSPACE_ID_MAX = 65535  /* ids fit the runtime path; see rundir.h */
};

/* Counters that workers write and status reads; relaxed order suffices. */
struct link_stats {
	atomic_uint_fast64_t rx_bytes;	    /* payload received over carriers */
	atomic_uint_fast64_t tx_bytes;	    /* payload sent */
	atomic_uint_fast64_t streams_total; /* streams ever opened, both directions */
	atomic_uint streams;		    /* open now */
	atomic_uint carriers;		    /* keyed carriers, idle or busy */
	atomic_uint carriers_idle;
	atomic_uint_fast64_t
		handshake_ms; /* CLOCK_REALTIME of the last finished handshake, 0 never */
	atomic_int error;     /* positive errno of the last failed dial, 0 when it works */
	/* The datagram side, as wg(8) counts: messages with their overhead. Written by the plane.
	 */
	atomic_uint_fast64_t wg_rx_bytes, wg_tx_bytes;
	atomic_uint_fast64_t wg_rx_packets, wg_tx_packets;
	atomic_uint_fast64_t wg_rejected;     /* replayed, forged or malformed */
	atomic_uint_fast64_t wg_handshake_ms; /* CLOCK_REALTIME, 0 never */
	atomic_bool wg_session;		      /* packets can be sent now */
};

/* A connection to another portspace. Made and removed by the control loop. */
struct link {
	atomic_uint refs;
	atomic_bool removed; /* taken out of its portspace; workers drop what belongs to it */
	struct portspace *portspace; /* owned reference */
	char name[LINK_NAME_MAX];
	struct key peer;	/* the other portspace's public key */
	struct key *psk;	/* from key_new(); all zero when none is configured */
	uint16_t keepalive_s;	/* TCP keepalive interval of carriers, 0 for the default */
	struct prefix *allowed; /* addresses behind this link; also the check of sources */
	size_t nallowed;
	struct link_stats stats;
	struct addr link_local; /* the peer's, from its public key (linklocal.h) */
	/* guarded by the core's mutex */
	struct rib_via via; /* routes that lead over it */
	void *plane;	    /* see core_link_set_plane() */
	/* guarded by the core's mutex, see core_link_fresh() and core_link_endpoint() */
	struct handshake_replay replay;
	bool has_endpoint;
	struct endpoint endpoint; /* resolved */
	char endpoint_text[280];  /* as configured, HOST:PORT; "" when none */
	bool has_heard;
	struct endpoint heard; /* where the peer's datagrams came from last */
	struct link *next;     /* in its portspace */
};

struct porttab;
struct inherit;
struct hosts;

/* How a portspace speaks RIP, from its configuration. */
struct core_rip_config {
	bool on;
	uint16_t update_s;	 /* between regular updates */
	struct prefix *networks; /* what may be learned and announced; owned (malloc) */
	size_t nnetworks;
};

struct portspace {
	atomic_uint refs;
	atomic_bool removed;
	uint32_t id;		 /* 1..PORTSPACE_ID_MAX */
	bool ephemeral;		 /* made by --new: gone with its last process */
	char *dir;		 /* runtime directory, absolute */
	struct key *private_key; /* from key_new() */
	struct key public_key;
	struct addr link_local;		     /* on all its links */
	uint8_t mac1_key[32];		     /* handshake_mac1_key(public_key) */
	struct info info;		     /* name, hostname, addresses, secret */
	atomic_uint streams;		     /* open in all workers, against streams_max */
	unsigned streams_max;		     /* quota */
	atomic_uint_fast64_t dgrams_dropped; /* their socket's buffer was full */
	/* inherit.h. `super` is a reference, set at most once; while it is NULL and `below` says
	 * that it is not the root, there is no network for links. */
	bool below;
	_Atomic(struct portspace *) super;
	uint16_t listen_port; /* of our links in the super-portspace's network */
	bool nested;	      /* the control loop's: they can be reached there */
	/* guarded by the core's mutex */
	struct inherit *rules;
	struct link *links;
	struct porttab *porttab;
	struct rib *rib;
	struct core_rip_config rip;
	struct hosts *hosts;
	struct portspace_priv *priv; /* the control loop's own */
};

struct portspace *portspace_ref(struct portspace *ps);
void portspace_unref(struct portspace *ps); /* NULL is allowed; the last one wipes the keys */
struct link *link_ref(struct link *link);
void link_unref(struct link *link); /* NULL is allowed */

/* Which portspace does the process at the other end of this connected AF_UNIX socket belong to?
 * Looks at SO_PEERCRED and the parent chain. Returns a reference; NULL when it is no member, its
 * portspace is gone, or it has another uid. *pidp is the peer's pid. May read /proc. */
struct portspace *core_member(struct core *core, int sock, pid_t *pidp);
/* The same for a socket that is known to have been connected after since_ms (CLOCK_MONOTONIC): for
 * a process that was known before, that is enough to know it by its pid. */
struct portspace *core_member_since(struct core *core, int sock, uint64_t since_ms, pid_t *pidp);

/* Which portspace is this handshake initiation for? By MAC1 alone, no Diffie-Hellman. Returns a
 * reference or NULL. */
struct portspace *core_by_mac1(struct core *core, const uint8_t *msg, size_t len);

/* The link of `ps` whose peer has this public key; a reference or NULL. */
struct link *core_link_by_key(struct core *core, struct portspace *ps, const struct key *peer);

/* The endpoint as it is resolved now. False when there is none. */
bool core_link_endpoint(struct core *core, struct link *link, struct endpoint *ep);

/* Replay protection: true, and remembered, when this TAI64N timestamp (12 bytes) of an
 * authenticated initiation from the link's peer was not seen before (handshake_replay_check). */
bool core_link_fresh(struct core *core, struct link *link, const uint8_t *timestamp);

/* Calls fn for each link of each portspace (under the mutex: fn must not call core_*). */
void core_each_link(struct core *core, void (*fn)(struct link *link, void *arg), void *arg);

enum core_hop_kind {
	CORE_HOP_LOCAL, /* a server's socket of this broker */
	CORE_HOP_LINK,
	CORE_HOP_BASE /* out of the personal network: a service of the host, a gateway's target */
};

struct core_hop {
	enum core_hop_kind kind;
	char path[ASK_PATH_MAX]; /* LOCAL: the server's socket */
	struct link *link;	 /* LINK: a reference */
	/* LOCAL: a reference to the portspace whose server it is; NULL: the stream's own one.
	 * BASE: a reference to the one whose network carries it; NULL: the base network. */
	struct portspace *server;
	struct endpoint src, dst; /* LOCAL and BASE: as the server is to see them */
	bool host;		  /* BASE: a service of this host, at any of its own addresses */
	bool proxy;		  /* BASE: it wants a PROXY header */
};

/* Where does a stream from src to dst go next? `from` is the link it came by, NULL for a process
 * of the portspace itself. 0; -EACCES: src is not allowed on `from` (or not an own address);
 * -ENETUNREACH: no route; -ECONNREFUSED: the address is ours and nobody serves the port;
 * -EHOSTUNREACH: it would go back over `from`. */
int core_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct endpoint *src, const struct endpoint *dst, struct core_hop *hopp);

enum core_next_kind { CORE_NEXT_LOCAL, CORE_NEXT_LINK, CORE_NEXT_GATEWAY };

/* Where a packet goes. */
struct core_next {
	enum core_next_kind kind;
	struct link
		*link;	 /* LINK: borrowed, to be compared only: it may be gone when this is read */
	void *plane;	 /* LINK: link->plane, NULL when the plane has not seen it yet */
	struct addr via; /* LINK: the next hop, addr_any6 when it is the peer; else dst */
};

/* The same question for a packet. A packet may go back over `from`. 0; -EACCES; -ENETUNREACH. */
int core_packet_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct addr *src, const struct addr *dst, struct core_next *nextp);

/* What the plane keeps of a link, for core_packet_route() to hand back. Only the plane's thread
 * sets it and follows it; it sets NULL before it gives up its reference to the link. */
void core_link_set_plane(struct core *core, struct link *link, void *plane);

/* Which socket receives a datagram to this address? `hash` of the 4-tuple picks one member of a
 * SO_REUSEPORT group. 0 or -ECONNREFUSED. */
int core_udp_lookup(struct core *core, struct portspace *ps, const struct endpoint *dst,
	uint32_t hash, uint64_t *inodep);

struct porttab_request;
/* The port table for datagram sockets: as porttab_bind() and porttab_drop(); -ENETDOWN when the
 * portspace is removed. */
int core_dgram_bind(struct core *core, struct portspace *ps, const struct porttab_request *req,
	uint16_t *portp);
void core_dgram_drop(struct core *core, struct portspace *ps, uint64_t inode);

/* For status: where the peer's datagrams come from. */
void core_link_heard(struct core *core, struct link *link, const struct endpoint *from);

/* One candidate of the table, as it was when it was asked for. */
struct core_route_info {
	struct prefix prefix;
	enum rib_source source;
	bool best;   /* of the prefix: the one that is used */
	bool silent; /* its neighbour is silent (core_link_silent) */
	uint8_t metric;
	struct addr next_hop;	  /* addr_any6: the peer of the link */
	char link[LINK_NAME_MAX]; /* "" for GATEWAY */
	void *plane;		  /* its link's; for the plane's thread */
	uint64_t since_ms;	  /* CLOCK_MONOTONIC when it was set */
};

/* Reads the table in pieces: whole prefixes behind `after` (NULL: from the start; else the prefix
 * of the last one that was read), best candidate first, as many as fit. The order is rib_each()'s.
 * Of one prefix at most `max` are given. Returns how many; 0 at the end. */
size_t core_routes(struct core *core, struct portspace *ps, const struct prefix *after,
	struct core_route_info *routes, size_t max);

/* A copy of ps->rip; the caller frees networks. 0 or -ENOMEM. */
int core_rip_config(struct core *core, struct portspace *ps, struct core_rip_config *configp);

/* RIP learned a route to `prefix` over a link, in place of the one it had learned before; now_ms is
 * CLOCK_MONOTONIC. 0; -ENETDOWN: the link or portspace is removed; -ENOMEM. */
int core_rip_set(struct core *core, struct link *link, const struct prefix *prefix,
	const struct addr *next_hop, uint8_t metric, uint16_t tag, uint64_t now_ms);
/* RIP lost its route to `prefix`. */
void core_rip_remove(struct core *core, struct portspace *ps, const struct prefix *prefix);
/* The neighbour behind the link has been silent for the RIP timeout, or is heard again: the link's
 * own prefixes rank behind or before what RIP learned. Holds the mutex for a few prefixes at a
 * time. */
void core_link_silent(struct core *core, struct link *link, bool silent);

/* The server at this path of `ps` did not answer (ECONNREFUSED, ENOENT): forget it if it is really
 * gone. True: forgotten, so that the port may have another owner now. */
bool core_stale(struct core *core, struct portspace *ps, const char *path);

/* What netspace_ps.c does in a portspace's port table on behalf of links of portspaces below it: as
 * porttab_listen() and porttab_drop(), for the broker's own process and TCP. `path` is where to
 * bind the socket. -ENETDOWN: the portspace is removed. */
int core_own_listen(struct core *core, struct portspace *ps, uint16_t port, uint64_t inode,
	char path[ASK_PATH_MAX]);
void core_own_drop(struct core *core, struct portspace *ps, uint64_t inode);

#endif

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
	/* guarded by the core's mutex, see core_link_fresh() and core_link_endpoint() */
	struct handshake_replay replay;
	bool has_endpoint;
	struct endpoint endpoint; /* resolved */
	char endpoint_text[280];  /* as configured, HOST:PORT; "" when none */
	struct link *next;	  /* in its portspace */
};

struct porttab;
struct route;
struct hosts;

struct portspace {
	atomic_uint refs;
	atomic_bool removed;
	uint32_t id;		 /* 1..PORTSPACE_ID_MAX */
	bool ephemeral;		 /* made by --new: gone with its last process */
	char *dir;		 /* runtime directory, absolute */
	struct key *private_key; /* from key_new() */
	struct key public_key;
	uint8_t mac1_key[32]; /* handshake_mac1_key(public_key) */
	struct info info;     /* name, hostname, addresses, secret */
	atomic_uint streams;  /* open in all workers, against streams_max */
	unsigned streams_max; /* quota */
	/* guarded by the core's mutex */
	struct link *links;
	struct porttab *porttab;
	struct route *routes;
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

enum core_hop_kind { CORE_HOP_LOCAL, CORE_HOP_LINK };

struct core_hop {
	enum core_hop_kind kind;
	char path[ASK_PATH_MAX]; /* LOCAL: the server's socket */
	struct link *link;	 /* LINK: a reference */
};

/* Where does a stream from src to dst go next? `from` is the link it came by, NULL for a process
 * of the portspace itself. 0; -EACCES: src is not allowed on `from` (or not an own address);
 * -ENETUNREACH: no route; -ECONNREFUSED: the address is ours and nobody serves the port;
 * -EHOSTUNREACH: it would go back over `from`. */
int core_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct endpoint *src, const struct endpoint *dst, struct core_hop *hopp);

/* The server at this path did not answer (ECONNREFUSED, ENOENT): forget it if it is really gone. */
void core_stale(struct core *core, struct portspace *ps, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* Inside of RIP: what rip.c (destinations and input) and rip_out.c (updates and time) share. */
#ifndef PERSONA_BROKER_RIP_PRIV_H
#define PERSONA_BROKER_RIP_PRIV_H

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV
#include <uthash.h>
#include <utlist.h>

#include "rip.h"

enum {
	RIP_VERSIONS = 2,
	RIP_PACKET_MAX = 1500, /* of a RIPng packet, whatever the link could carry */
	RIP_STEP = 400	       /* destinations that are sent at once */
};

/* Timers of RFC 2453, section 3.8, as multiples and parts of the update interval. */
enum {
	RIP_TIMEOUT = 6,    /* 180 s */
	RIP_GARBAGE = 4,    /* 120 s */
	RIP_JITTER = 6,	    /* a sixth: 5 s to each side */
	RIP_SECOND = 30,    /* a thirtieth: 1 s */
	RIP_TRIGGER_MAX = 5 /* seconds between triggered updates, at least 1 */
};

/* What is announced of a destination. */
struct rip_view {
	uint8_t metric;
	uint16_t tag;
	struct rip_link *link; /* it leads over this one; NULL: it ends here */
};

enum rip_age { RIP_AGE_NONE, RIP_AGE_LIVE, RIP_AGE_GARBAGE };

struct rip_dest {
	struct prefix prefix; /* masked; the key */
	/* local */
	bool is_local;
	bool marked; /* rip_set_locals() has seen it */
	uint8_t local_metric;
	uint16_t local_tag;
	struct rip_link *local_link;
	/* learned: link NULL, or metric RIP_INFINITY while it is garbage */
	struct rip_link *link;
	struct rip_dest *link_prev, *link_next; /* learned over the same link */
	uint8_t metric;
	uint16_t tag;
	struct addr next_hop;
	/* live: confirmed; garbage: since it is unreachable */
	enum rip_age age;
	uint64_t age_ns;
	struct rip_dest *age_prev, *age_next;
	/* announced */
	struct rip_view view;
	bool changed; /* waits for a triggered update */
	struct rip_dest *changed_prev, *changed_next;
	struct rip_dest *prev, *next; /* all of its version */
	UT_hash_handle hh;
};

/* A whole table on its way to one who asked. */
struct rip_reply {
	bool active;
	struct rip_out out;
	struct rip_dest *cursor;
	uint64_t begun_ns;
};

enum rip_state { RIP_UNKNOWN, RIP_ALIVE, RIP_SILENT };

struct rip_link {
	struct rip *rip;
	void *user;
	uint32_t mtu;
	enum rip_state state;
	uint64_t up_ns;
	uint64_t heard_ns; /* by RIP's packets; 0 never */
	uint64_t asked_ns; /* our last request; 0 never */
	struct rip_dest *learned;
	size_t nlearned;
	struct rip_reply reply[RIP_VERSIONS];
	struct rip_link *prev, *next;
};

struct rip {
	struct rip_ops ops;
	struct rip_config config; /* networks and own are owned */
	struct rip_link *links;
	struct rip_dest *by_prefix;
	struct rip_dest *all[RIP_VERSIONS];
	struct rip_dest *live, *garbage; /* oldest first */
	struct rip_dest *changed;
	struct rip_dest *cursor[RIP_VERSIONS]; /* of the regular update that is being sent */
	bool updating;
	size_t nreplies;
	uint64_t update_ns;  /* the next regular update */
	uint64_t trigger_ns; /* no triggered update before */
	uint64_t check_ns;   /* of silence */
	uint64_t step_ns;    /* nothing is sent before */
	struct rip_stats stats;
	uint8_t buf[RIP_HEADROOM + RIP_PACKET_MAX + RIP_TAILROOM];
};

/* --- rip.c --- */
void rip_settle(struct rip *rip, struct rip_dest *d, uint64_t now_ns); /* may free it */
/* What was learned is lost. May free it. */
void rip_lose(struct rip *rip, struct rip_dest *d, uint64_t now_ns);
/* Frees garbage that has been announced long enough, unless it is local. */
void rip_forget(struct rip *rip, struct rip_dest *d);
void rip_link_state(struct rip *rip, struct rip_link *link, enum rip_state state, uint64_t now_ns);

/* --- rip_out.c --- */
/* 0 to below_ns, a microsecond exact. */
uint64_t rip_random(const struct rip *rip, uint64_t below_ns);
void rip_ask(struct rip *rip, struct rip_link *link, uint64_t now_ns);
/* Begins to send the whole table to who asked. 0 or -EAGAIN. */
int rip_reply_whole(struct rip *rip, struct rip_link *link, enum rip_version version,
	const struct endpoint *to, uint64_t now_ns);
/* Answers the entries of a request (RFC 2453, section 3.9.1). */
void rip_reply_entries(struct rip *rip, struct rip_link *link, struct rip_reader *reader,
	const struct endpoint *to);
/* A destination goes: whoever stands at it moves on. */
void rip_cursors_skip(struct rip *rip, const struct rip_dest *d);

static inline enum rip_version rip_version_of(const struct prefix *prefix)
{
	return prefix->len >= 96 && addr_is_v4(&prefix->addr) ? RIP_V2 : RIP_NG;
}

#endif

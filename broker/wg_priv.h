/* SPDX-License-Identifier: MIT */
/* What the parts of the WireGuard protocol (wg.h) share.
 *
 * Model: `struct wg_peer` is nearly all keys, so it lives as a whole in guarded, locked memory that
 * is wiped when freed; local's private key likewise. A peer has at most one handshake begun by
 * itself and three sessions (keypairs): `cur` sends; `prev` still receives what was on its way when
 * `cur` took over; `next` is one that we answered to and that the initiator has not used yet. A
 * session is found by its local index, as is a begun handshake.
 *
 * A handshake that we answer to leaves one that we began untouched: when two initiations cross,
 * both sessions come to be, and each side sends with the one it began.
 *
 * Timers: a peer has WG_TIMERS points in time; the heap in `struct wg` orders peers by a bound
 * below the earliest of them. Moving a timer later, as nearly each packet does, is an assignment;
 * the bound is put right when it comes due.
 *
 * Invariants: a counter is used at most once with a key; the replay window, the endpoint and the
 * timers change only after a message was authenticated; ops callbacks are called last, or where all
 * state is consistent: they may come back into wg_output() for another peer. */
#ifndef PERSONA_BROKER_WG_PRIV_H
#define PERSONA_BROKER_WG_PRIV_H

#define HASH_NONFATAL_OOM 1
#ifndef HASH_FUNCTION /* wg_table.c has one of its own */
#define HASH_FUNCTION HASH_FNV
#endif
#include <uthash.h>

#include "aead.h"
#include "noise.h"
#include "ratelimit.h"
#include "wg.h"
#include "wg_cookie.h"
#include "wg_msg.h"
#include "wg_replay.h"

#define WG_S  1000000000ULL
#define WG_MS 1000000ULL

/* Whitepaper section 6.1; the rest as the reference implementation has it. */
#define WG_REKEY_AFTER_MESSAGES	 (1ULL << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ULL << 13))
#define WG_REKEY_AFTER_NS	 (120 * WG_S)
#define WG_REJECT_AFTER_NS	 (180 * WG_S)
#define WG_REKEY_ATTEMPT_NS	 (90 * WG_S)
#define WG_REKEY_TIMEOUT_NS	 (5 * WG_S)
#define WG_KEEPALIVE_NS		 (10 * WG_S)
#define WG_JITTER_NS		 (333 * WG_MS) /* below this, random */
#define WG_COOKIE_AGE_NS	 (120 * WG_S)
#define WG_COOKIE_LATENCY_NS	 (5 * WG_S)   /* a sender gives a cookie up so much earlier */
#define WG_INITIATION_GAP_NS	 (20 * WG_MS) /* of one peer */
#define WG_LOAD_HOLD_NS		 (1 * WG_S)
#define WG_NEVER		 UINT64_MAX

enum {
	WG_PAD = 16,
	WG_TAI64N = 12,
	/* Messages that would cost Diffie-Hellman: a second, and in one go, before we are under
	 * load. */
	WG_LOAD_RATE = 200,
	WG_LOAD_BURST = 400,
	/* Hashes that initiations without a valid cookie may cost in a second: each is tried with
	 * the MAC1 keys of all identities. */
	WG_SCAN_RATE = 300000,
	/* Each source under load, and all of them. */
	WG_SOURCE_RATE = 20,
	WG_SOURCE_BURST = 5,
	WG_TOTAL_RATE = 1000,
	WG_HINTS = 1024
};

enum wg_timer {
	WG_T_RETRANSMIT, /* the initiation was not answered */
	WG_T_KEEPALIVE,	 /* data came and nothing went back */
	WG_T_SILENCE,	 /* data went and nothing came back: new handshake */
	WG_T_ZERO,	 /* all keys are too old */
	WG_T_PERSISTENT,
	WG_TIMERS
};

struct wg_index {
	uint32_t number;
	struct wg_peer *peer;
	struct wg_keypair *keypair; /* NULL: the handshake that the peer began */
	UT_hash_handle hh;
};

struct wg_keypair {
	struct wg_index index; /* by which the other side calls it */
	bool used;
	bool initiator; /* we are */
	uint32_t remote;
	uint64_t born_ns;
	struct aead_key send; /* its counter is the next to send */
	struct aead_key recv;
	struct wg_replay replay;
};

/* A handshake that we began. */
struct wg_begun {
	struct wg_index index;
	bool used;
	struct noise noise;
};

struct wg_staged {
	struct wg_staged *next;
	size_t len;
	uint8_t buf[]; /* room, packet, room */
};

struct wg_peer {
	struct wg_local *local;
	struct key public_key;
	UT_hash_handle hh; /* in local, by public key */
	void *user;
	struct key psk;
	uint16_t keepalive_s;
	uint16_t mtu;
	bool has_endpoint;
	struct endpoint endpoint;

	struct wg_begun begun;
	struct wg_keypair slot[3];
	struct wg_keypair *prev, *cur, *next; /* into slot; or NULL */

	struct wg_cookie_keys cookie_keys; /* of messages to it, and of cookie replies from it */
	uint8_t cookie[WG_COOKIE_LEN];	   /* the last that it sent */
	uint64_t cookie_ns;		   /* when that came; 0: none */
	uint8_t last_mac1[WG_MAC_LEN];	   /* of our last handshake message, for its cookie */
	bool has_mac1;
	uint8_t greatest[WG_TAI64N]; /* timestamp of the last initiation taken */
	uint64_t initiation_ns;	     /* when that was; 0: none */
	uint64_t sent_wall_ns;	     /* the timestamp of our last initiation */
	uint64_t handshake_ns;	     /* when we last sent a handshake message; 0: never */

	uint64_t timer[WG_TIMERS]; /* WG_NEVER: off */
	uint64_t due_ns;	   /* at most the earliest of them, as the heap has it */
	size_t heap_at;
	unsigned attempts;
	bool keepalive_again; /* more data came while WG_T_KEEPALIVE was running */
	bool last_minute;     /* the receiving side has asked for new keys of this session */

	struct wg_staged *staged, **staged_end;
	unsigned nstaged;

	uint64_t handshake_wall_ns;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, heard_ns, rejected;
};

struct wg_local {
	struct wg *wg;
	struct key *private_key; /* key_new() */
	struct key public_key;
	struct wg_cookie_keys cookie_keys; /* of messages to us */
	struct wg_peer *peers;		   /* by public key */
	void *user;
	struct wg_local *prev, *next;
};

struct wg_bucket {
	uint64_t last_ns;
	uint64_t used; /* nanoseconds of credit in use */
};

struct wg {
	struct wg_ops ops;
	struct aead *aead;
	struct wg_local *locals;
	size_t nlocals;
	struct wg_index *indices;
	struct wg_peer **heap;
	size_t nheap, heap_cap, npeers;
	uint64_t now_ns, wall_ns; /* of the call that we are in */
	uint8_t cookie_secret[WG_COOKIE_KEY];
	uint64_t cookie_secret_ns; /* when it was made; 0: never */
	struct wg_bucket load, scan;
	uint64_t loaded_until_ns;
	uint8_t hint_key[16];		 /* SipHash: nobody chooses whose place he takes */
	struct wg_local *hint[WG_HINTS]; /* by source address: wg_load_hint() */
	struct ratelimit *sources;
	uint64_t jitter; /* state of a small generator: nothing secret */
	struct wg_stats stats;
};

/* wg_table.c: indices */
/* Gives the entry a fresh random number and adds it. 0 or -ENOMEM. */
int wg_index_add(struct wg *wg, struct wg_index *index);
/* `to` takes the number and place of `from`, which is no longer in the table. 0 or -ENOMEM (neither
 * is then). */
int wg_index_move(struct wg *wg, struct wg_index *from, struct wg_index *to);
void wg_index_remove(struct wg *wg, struct wg_index *index);
struct wg_index *wg_index_find(struct wg *wg, uint32_t number);

/* wg_heap.c: peers by due time */
int wg_heap_reserve(struct wg *wg, size_t npeers);     /* 0 or -ENOMEM */
void wg_heap_add(struct wg *wg, struct wg_peer *peer); /* room was reserved */
void wg_heap_remove(struct wg *wg, struct wg_peer *peer);
/* The peer's due_ns changed. */
void wg_heap_fix(struct wg *wg, struct wg_peer *peer);

/* wg_timers.c */
void wg_timer_set(struct wg_peer *peer, enum wg_timer timer, uint64_t at_ns);
static inline void wg_timer_clear(struct wg_peer *peer, enum wg_timer timer)
{
	peer->timer[timer] = WG_NEVER;
}
void wg_timers_data_sent(struct wg_peer *peer);
void wg_timers_data_received(struct wg_peer *peer);
void wg_timers_sent(struct wg_peer *peer);     /* anything authenticated */
void wg_timers_received(struct wg_peer *peer); /* likewise */
void wg_timers_initiated(struct wg_peer *peer);
void wg_timers_session(struct wg_peer *peer);  /* keys were made */
void wg_timers_complete(struct wg_peer *peer); /* and the other side has shown that it has them */

/* wg_keypair.c */
/* Makes the keys of a finished handshake the current session (initiator: it has the index of the
 * begun handshake, which is used up) or the next one (responder: a fresh index). Wipes noise.
 * NULL: out of memory. */
struct wg_keypair *wg_keypair_begin(struct wg_peer *peer, struct noise *noise, uint32_t remote);
/* A message of `next` came: it becomes the current one. False when keypair is not the next one. */
bool wg_keypair_confirm(struct wg_peer *peer, struct wg_keypair *keypair);
/* The session that can send now, or NULL. */
struct wg_keypair *wg_keypair_current(const struct wg_peer *peer);
void wg_keypair_drop_all(struct wg_peer *peer);

/* wg_handshake.c */
void wg_begun_drop(struct wg_peer *peer);
/* Sends an initiation, unless one went out less than REKEY_TIMEOUT ago (then the timer sees to it).
 */
void wg_initiate(struct wg_peer *peer, bool retry);
/* *peerp is set when the message was authentic. */
int wg_handshake_input(struct wg *wg, const struct endpoint *from, uint8_t *msg, size_t len,
	struct wg_peer **peerp);

/* wg_send.c */
/* A handshake message of ours, between the rooms of its buffer. */
void wg_send_handshake(struct wg_peer *peer, uint8_t *msg, size_t len);
void wg_send_staged(struct wg_peer *peer);
/* The same, or with nothing there a keepalive. Without a session: begins a handshake. */
void wg_send_staged_or_keepalive(struct wg_peer *peer);
void wg_staged_drop(struct wg_peer *peer);
/* The initiator wants new keys early enough that receiving never stops. */
void wg_refresh_on_receive(struct wg_peer *peer);

/* wg_load.c */
/* May this initiation be tried with all MAC1 keys, `cost` of them? */
bool wg_load_scan(struct wg *wg, size_t cost);
/* Where it stands which identity last had a handshake with this address (or one that shares its
 * place), or NULL. */
struct wg_local **wg_load_hint(struct wg *wg, const struct endpoint *from);
void wg_load_forget(struct wg *wg, const struct wg_local *local); /* it goes */
/* One more message that passed MAC1, whatever becomes of it. */
void wg_load_add(struct wg *wg);
bool wg_load_high(const struct wg *wg);
/* The cookie of this source under the present secret. */
void wg_load_cookie(struct wg *wg, const struct endpoint *from, uint8_t cookie[WG_COOKIE_LEN]);

static inline bool wg_wanted(const struct wg_local *local)
{
	const struct wg_ops *ops = &local->wg->ops;

	return !ops->wanted || ops->wanted(ops->arg, local->user);
}

/* wg.c */
void wg_random(struct wg *wg, void *buf, size_t len);
/* An authenticated message came. */
void wg_heard(struct wg_peer *peer, const struct endpoint *from, size_t len);
void wg_changed(struct wg_peer *peer);

#endif

/* SPDX-License-Identifier: MIT */
/* The WireGuard protocol (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", NDSS 2017,
 * sections 5 and 6): handshake, cookies, transport messages, timers. Pure: messages in and out by
 * callbacks, time as an argument (nanoseconds of a monotonic clock; wall_ns for TAI64N only). One
 * thread.
 *
 * Model: `struct wg` is all of a broker: the table of receiver indices (SPIs), the load estimate
 * and the cookie secrets. A `struct wg_local` is an identity (a portspace), a `struct wg_peer` one
 * of its links. Initiations find their identity by MAC1, everything else its peer by receiver
 * index. */
#ifndef PERSONA_BROKER_WG_H
#define PERSONA_BROKER_WG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "key.h"

struct wg;
struct wg_local;
struct wg_peer;

enum {
	WG_HEADROOM = 16,      /* before a plaintext packet: type, receiver, counter */
	WG_TAILROOM = 16 + 15, /* behind it: padding to 16 bytes and the tag */
	WG_OVERHEAD = 32,      /* of a message over its padded packet */
	WG_MESSAGE_MAX = 65535,
	/* Room around the messages that begin here: handshake, keepalive, packets that were staged.
	 * Enough for the headers of an outer tunnel. */
	WG_ROOM_BEFORE = 128,
	WG_ROOM_BEHIND = 64,
	WG_STAGED_MAX = 128 /* packets kept while a handshake runs; the oldest gives way */
};

struct wg_ops {
	/* Send this message. It is the caller's again on return. What is before and behind it may
	 * be overwritten: WG_ROOM_BEFORE and WG_ROOM_BEHIND bytes of a message that begins here; of
	 * a packet given to wg_output() what its caller has, less WG_HEADROOM and WG_TAILROOM. May
	 * call wg_output() for another peer (nested tunnels), but add or free nothing. */
	void (*send)(void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg,
		size_t len);
	/* An answer to somebody who is no peer (cookie reply): goes by the socket that `msg` came
	 * by. */
	void (*reply)(void *arg, const struct endpoint *to, uint8_t *msg, size_t len);
	/* May the message at hand be for this identity (wg_local_user())? When not, it is as if the
	 * broker had no such identity. NULL: always. */
	bool (*wanted)(void *arg, void *local_user);
	/* A session is there or gone, or the endpoint moved: for status. May be NULL. */
	void (*changed)(void *arg, struct wg_peer *peer);
	/* Fills random bytes (tests make it deterministic); NULL: randombytes_buf(3). */
	void (*random)(void *arg, void *buf, size_t len);
	void *arg;
};

int wg_new(const struct wg_ops *ops, uint64_t now_ns, struct wg **wgp); /* 0 or -ENOMEM */
void wg_free(struct wg *wg); /* all locals must be gone; wipes; NULL is allowed */

/* The key is copied into key_new() memory. 0; -EEXIST: an identity with this key is there; -ENOMEM.
 */
int wg_local_add(
	struct wg *wg, const struct key *private_key, void *user, struct wg_local **localp);
void wg_local_free(struct wg_local *local); /* and its peers; NULL is allowed */
void *wg_local_user(const struct wg_local *local);

struct wg_peer_config {
	struct key public_key;
	const struct key *psk; /* all zero or NULL: none; copied */
	uint16_t keepalive_s;  /* 0: off */
	uint16_t mtu;	       /* padding makes no packet longer than this; 0: no limit */
	bool has_endpoint;
	struct endpoint endpoint;
	void *user;
};

/* 0, -EEXIST, -EINVAL (a weak key), -ENOMEM. */
int wg_peer_add(struct wg_local *local, const struct wg_peer_config *config, uint64_t now_ns,
	struct wg_peer **peerp);
/* Sessions are kept when key and psk are the same. Without has_endpoint what is known stays. Errors
 * as above; then nothing has changed. */
int wg_peer_update(struct wg_peer *peer, const struct wg_peer_config *config, uint64_t now_ns);
void wg_peer_free(struct wg_peer *peer); /* wipes; NULL is allowed */
void *wg_peer_user(const struct wg_peer *peer);
/* By key; NULL when there is none. */
struct wg_peer *wg_peer_find(struct wg_local *local, const struct key *public_key);

struct wg_peer_status {
	bool has_endpoint;
	struct endpoint endpoint;	 /* where it was last heard */
	bool session;			 /* packets can be sent now */
	uint64_t handshake_wall_ns;	 /* Unix time of the last finished handshake, 0 never */
	uint64_t rx_bytes, tx_bytes;	 /* messages, as wg(8) counts */
	uint64_t rx_packets, tx_packets; /* IP packets */
	uint64_t heard_ns;		 /* now_ns of the last authenticated message, 0 never */
	uint64_t rejected;		 /* replayed, forged or malformed messages for it */
};
void wg_peer_status(const struct wg_peer *peer, struct wg_peer_status *statusp);

/* What strangers cost. */
struct wg_stats {
	uint64_t scans;	   /* initiations tried with the MAC1 keys of all identities */
	uint64_t computed; /* handshake messages that Diffie-Hellman was computed for */
	uint64_t cookies;  /* cookie replies sent */
	uint64_t limited;  /* handshake messages dropped because of load or rate */
	bool under_load;   /* at the time of the last call */
};
void wg_stats(const struct wg *wg, struct wg_stats *statsp);

/* A message from the underlay. Returns > 0: the length of an IP packet, in place at *packetp inside
 * of msg (the caller checks its source address; wg has trimmed the padding by the packet's own
 * length field and refused one that claims more than there is). 0: handled (handshake, keepalive).
 * Negative: dropped: -EPROTO (malformed), -EBADMSG (forged), -EALREADY (replayed), -ENOENT (no such
 * identity or index), -EAGAIN (under load). *peerp is always written: the sender when it is
 * authentic and the message was taken, else NULL. */
int wg_input(struct wg *wg, uint64_t now_ns, uint64_t wall_ns, const struct endpoint *from,
	uint8_t *msg, size_t len, uint8_t **packetp, struct wg_peer **peerp);

/* Seals `packet` in place (WG_HEADROOM before, WG_TAILROOM behind it) and sends it by ops.send;
 * without a session it is staged (copied) and a handshake begins. 0; -EDESTADDRREQ: no endpoint;
 * -EMSGSIZE. */
int wg_output(struct wg_peer *peer, uint64_t now_ns, uint64_t wall_ns, uint8_t *packet, size_t len);

/* Runs the timers that are due. Returns when the next one is (now_ns scale; UINT64_MAX: none).
 * wg_input and wg_output may make it earlier: wg_deadline(). O(due timers), not O(peers): a
 * thousand idle portspaces cost nothing. */
uint64_t wg_tick(struct wg *wg, uint64_t now_ns, uint64_t wall_ns);
uint64_t wg_deadline(const struct wg *wg);

#endif

/* SPDX-License-Identifier: MIT */
/* The handshake of carriers: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s with prologue
 * "Persona carrier 1", framed for TCP. Bytes in, bytes out; no I/O, no clock of its own.
 *
 * Both messages: u16 length of what follows (big-endian), type, version 1, two zero bytes, the
 * Noise message; the first one ends with MAC1 (16 bytes, keyed BLAKE2s as WireGuard has it: the key
 * is BLAKE2s("mac1----" || responder's public key), the input everything before it, without the
 * length). The four header bytes are mixed into the prologue. So junk costs the responder one hash
 * and finds its portspace without any Diffie-Hellman.
 *
 * Payload of message 1: TAI64N (12), cipher mask (u8, bit = enum aead_cipher), role (u8), tag
 * (u16), reserved extensions (u16 length and that many bytes, ignored when unknown). Payload of
 * message 2: chosen cipher (u8), extensions. */
#ifndef PERSONA_BROKER_HANDSHAKE_H
#define PERSONA_BROKER_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aead.h"
#include "key.h"
#include "noise.h"

enum {
	HANDSHAKE_LENGTH = 2,	      /* bytes of the length field */
	HANDSHAKE_MAX = 2 + 4 + 1024, /* longest message with its length field */
	HANDSHAKE_TIMESTAMP = 12
};

enum handshake_role {
	HANDSHAKE_FORWARD = 0, /* the TCP initiator opens streams on this carrier */
	HANDSHAKE_REVERSE = 1  /* the responder does: it asked for the carrier (WANT) */
};

struct handshake_hello {
	uint8_t timestamp[HANDSHAKE_TIMESTAMP]; /* TAI64N */
	uint8_t ciphers;			/* mask */
	uint8_t role;				/* enum handshake_role */
	uint16_t tag; /* REVERSE: echoes the number of the WANT that asked for it */
};

/* Transport keys, from the point of view of the side that holds them. */
struct handshake_keys {
	struct aead_key tx;
	struct aead_key rx;
};

struct handshake {
	struct noise noise;
	struct handshake_hello hello; /* sent or received */
};

void handshake_mac1_key(const struct key *responder_public, uint8_t mac1_key[32]);
/* How long is the message that starts here, length field included? 0: not enough bytes to tell;
 * -EPROTO: cannot be a handshake message. */
int handshake_frame(const uint8_t *p, size_t avail);
/* Does MAC1 of this whole first message (length field included) verify? Constant time. */
bool handshake_check_mac1(const uint8_t mac1_key[32], const uint8_t *msg, size_t len);

/* Initiator, step 1. hello.timestamp and the others are the caller's. Writes the whole message.
 * 0 or -EINVAL (peer's key is a low-order point) or -EMSGSIZE. */
int handshake_initiate(struct handshake *hs, const struct key *private_key,
	const struct key *public_key, const struct key *peer, const struct handshake_hello *hello,
	uint8_t *out, size_t cap, size_t *lenp);
/* Responder, step 1: `msg` passed handshake_check_mac1. *peerp is the initiator's static key and
 * hs->hello its hello. 0; -EPROTO (malformed), -EBADMSG (does not decrypt). */
int handshake_consume(struct handshake *hs, const struct key *private_key,
	const struct key *public_key, const uint8_t *msg, size_t len, struct key *peerp);
/* Responder, step 2: the caller knows the peer and its pre-shared key (zero key: none). */
int handshake_respond(struct handshake *hs, const struct key *psk, enum aead_cipher cipher,
	uint8_t *out, size_t cap, size_t *lenp, struct handshake_keys *keysp);
/* Initiator, step 2. 0; -EPROTO; -EBADMSG (also: other pre-shared key); -ENOTSUP: the chosen
 * cipher was not offered. */
int handshake_finish(struct handshake *hs, const struct key *psk, const uint8_t *msg, size_t len,
	struct handshake_keys *keysp);
void handshake_wipe(struct handshake *hs);

/* TAI64N of a CLOCK_REALTIME value. */
void handshake_timestamp(uint64_t realtime_ns, uint8_t out[HANDSHAKE_TIMESTAMP]);

/* Refuses replayed initiations of one peer: remembers the newest timestamps it accepted; what is
 * older than all of them when the memory is full counts as replayed. Concurrent dials may arrive
 * out of order, so one maximum (as in WireGuard) would refuse honest ones. */
enum { HANDSHAKE_REPLAY = 256 };
struct handshake_replay {
	uint16_t n;
	uint8_t seen[HANDSHAKE_REPLAY][HANDSHAKE_TIMESTAMP]; /* sorted, oldest first */
	uint8_t floor[HANDSHAKE_TIMESTAMP];		     /* this and older ones are refused */
};
/* True and remembered when fresh. */
bool handshake_replay_check(
	struct handshake_replay *replay, const uint8_t timestamp[HANDSHAKE_TIMESTAMP]);

#endif

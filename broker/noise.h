/* SPDX-License-Identifier: MIT */
/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (Noise Protocol Framework, revision 34): symmetric state
 * and the two messages of the pattern. Bytes in, bytes out. The prologue is the caller's, so the
 * same code can serve WireGuard's handshake. Ephemeral keys may be given (test vectors) or are
 * made here. */
#ifndef PERSONA_BROKER_NOISE_H
#define PERSONA_BROKER_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key.h"

enum {
	NOISE_HASH = 32,
	NOISE_TAG = 16,
	NOISE_MSG1_OVERHEAD = 32 + 48 + 16, /* e, encrypted s, tag of the payload */
	NOISE_MSG2_OVERHEAD = 32 + 16
};

struct noise {
	uint8_t h[NOISE_HASH];
	uint8_t ck[NOISE_HASH];
	uint8_t k[32];
	uint64_t n;
	bool has_key;
	bool initiator;
	bool has_e;	 /* an ephemeral key was given */
	struct key s, e; /* own private keys */
	struct key s_pub, e_pub;
	struct key rs, re; /* the other side's public keys */
};

/* rs is required for the initiator, NULL for the responder. */
void noise_init(struct noise *noise, bool initiator, const void *prologue, size_t prologue_len,
	const struct key *s, const struct key *s_pub, const struct key *rs);
/* For test vectors: use this ephemeral private key. */
void noise_set_ephemeral(struct noise *noise, const struct key *e);
/* Message 1 (initiator writes, responder reads). out needs payload_len + NOISE_MSG1_OVERHEAD bytes.
 * 0 or -EINVAL (a DH gave all zeroes). */
int noise_write1(struct noise *noise, const void *payload, size_t payload_len, uint8_t *out);
/* payload needs len - NOISE_MSG1_OVERHEAD bytes; the initiator's key is noise->rs afterwards.
 * 0, -EPROTO (too short), -EBADMSG. */
int noise_read1(struct noise *noise, const uint8_t *msg, size_t len, uint8_t *payload);
int noise_write2(struct noise *noise, const struct key *psk, const void *payload,
	size_t payload_len, uint8_t *out);
int noise_read2(struct noise *noise, const struct key *psk, const uint8_t *msg, size_t len,
	uint8_t *payload);
/* Split(): the initiator sends with k1 and receives with k2. Wipes the state. */
void noise_split(struct noise *noise, uint8_t k1[32], uint8_t k2[32]);
void noise_wipe(struct noise *noise);

/* The pattern's hash, BLAKE2s, of a || b (b may be NULL when blen is 0). out may be a or b. */
void noise_hash(const void *a, size_t alen, const void *b, size_t blen, uint8_t out[NOISE_HASH]);
/* HKDF of the specification's section 4.3 on HMAC-BLAKE2s: n outputs, 1 to 3. */
void noise_hkdf(const uint8_t ck[NOISE_HASH], const void *input, size_t len, unsigned n,
	uint8_t out[][NOISE_HASH]);

#endif

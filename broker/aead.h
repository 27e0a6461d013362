/* SPDX-License-Identifier: MIT */
/* Authenticated encryption of records behind one small interface.
 *
 * Model: `struct aead` is a thread's scratch (cipher contexts of the library); `struct aead_key` is
 * what a direction of a carrier keeps while idle, 48 bytes. The scratch remembers the key it was
 * last used with, so a bulk transfer pays no key schedule per record. Nonce: 4 zero bytes and the
 * 64-bit counter, little-endian for ChaCha20-Poly1305 and big-endian for AES-256-GCM (Noise
 * specification section 12). A counter never repeats under a key. */
#ifndef PERSONA_BROKER_AEAD_H
#define PERSONA_BROKER_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum aead_cipher { AEAD_AES256GCM = 1, AEAD_CHACHA20POLY1305 = 2 };
enum { AEAD_TAG = 16, AEAD_KEY = 32 };

struct aead; /* one for each thread */

struct aead_key {
	uint8_t key[AEAD_KEY];
	uint64_t counter;
	uint8_t cipher; /* enum aead_cipher */
};

int aead_new(struct aead **aeadp); /* 0 or -ENOMEM */
void aead_free(struct aead *aead); /* wipes; NULL is allowed */

/* Bit mask (1 << cipher) of what this machine runs in hardware or fast enough to offer. */
unsigned aead_supported(void);
/* The best cipher of a mask of common ones: AES-256-GCM where the CPU has AES instructions, else
 * ChaCha20-Poly1305. 0 when the mask is empty. */
int aead_choose(unsigned common);

void aead_key_init(struct aead_key *key, enum aead_cipher cipher, const uint8_t raw[AEAD_KEY]);
void aead_key_wipe(struct aead_key *key);

/* The scratch remembers the last key of each direction; a session that ends with all its copies
 * calls this: if it is this key, it is wiped there, too. */
void aead_forget(struct aead *aead, const struct aead_key *key);
/* Is it one that the scratch remembers? For tests. */
bool aead_remembers(const struct aead *aead, const struct aead_key *key);

/* Encrypts len bytes in place and writes the tag behind them (buf needs len + AEAD_TAG bytes).
 * 0; -EKEYEXPIRED when the counter is used up; -EIO on a library failure. */
int aead_seal(struct aead *aead, struct aead_key *key, const uint8_t *ad, size_t adlen,
	uint8_t *buf, size_t len);
/* Decrypts in place: len includes the tag. Returns the plaintext length or -EBADMSG. The counter
 * advances only on success. */
int aead_open(struct aead *aead, struct aead_key *key, const uint8_t *ad, size_t adlen,
	uint8_t *buf, size_t len);
/* The same with a counter that the caller keeps (messages that may arrive in any order); that of
 * the key is neither used nor changed. The caller sees to it that none seals twice. 0 or -EIO. */
int aead_seal_at(struct aead *aead, const struct aead_key *key, uint64_t counter, const uint8_t *ad,
	size_t adlen, uint8_t *buf, size_t len);
/* The plaintext length or -EBADMSG (buf is wiped). */
int aead_open_at(struct aead *aead, const struct aead_key *key, uint64_t counter, const uint8_t *ad,
	size_t adlen, uint8_t *buf, size_t len);
/* REKEY(k) of the Noise specification (section 4.2), counter back to 0. 0 or -EIO. */
int aead_rekey(struct aead *aead, struct aead_key *key);

#endif

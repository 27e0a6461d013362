/* SPDX-License-Identifier: MIT */
/* Curve25519 keys and pre-shared keys in WireGuard's text form (base64 of 32 bytes).
 *
 * Private and pre-shared keys live in memory from key_new(): locked, kept out of core dumps, wiped
 * when freed. Text conversion and comparison run in constant time. sodium_init() must have been
 * called. */
#ifndef PERSONA_PROTO_KEY_H
#define PERSONA_PROTO_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_LEN = 32, KEY_STRLEN = 45 /* 44 base64 characters and the terminator */ };

struct key {
	uint8_t b[KEY_LEN];
};

/* Zeroed key in guarded, locked memory; NULL when out of memory. Free with key_free(). */
struct key *key_new(void);
void key_free(struct key *key); /* wipes; NULL is allowed */

void key_generate_private(struct key *keyp); /* clamped as RFC 7748 section 5 says */
void key_generate_psk(struct key *keyp);
/* 0, or -EINVAL for a private key that gives the all-zero public key. */
int key_public(const struct key *private_key, struct key *publicp);

/* Exactly 44 characters of base64 with padding. 0 or -EINVAL. */
int key_parse(const char *s, struct key *keyp);
char *key_format(const struct key *key, char buf[KEY_STRLEN]);
bool key_equal(const struct key *a, const struct key *b); /* constant time */
bool key_is_zero(const struct key *key);		  /* constant time */

#endif

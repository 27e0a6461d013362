/* SPDX-License-Identifier: MIT */
/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s.
 *
 *     <- s                      (the initiator knows the responder's static key)
 *     ...
 *     -> e, es, s, ss
 *     <- e, ee, se, psk
 *
 * Model: the names of functions and variables follow the specification (sections 5 and 9): h is
 * the transcript hash, ck the chaining key, k and n the cipher state. HKDF is built on HMAC-BLAKE2s
 * (section 4.3), not on BLAKE2s's own keyed mode. Because the pattern has a psk, each e is also
 * mixed into the key (section 9.2).
 *
 * Invariants: a message that fails leaves the state as it was, so a forged message 2 does not end
 * a handshake. An all-zero Diffie-Hellman result is refused (RFC 7748 section 6.1). Everything
 * secret on the stack is wiped. */
#include "noise.h"

#include <blake2.h>
#include <errno.h>
#include <sodium/crypto_aead_chacha20poly1305.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <sodium/utils.h>
#include <string.h>

enum { BLOCK = BLAKE2S_BLOCKBYTES, NONCE = crypto_aead_chacha20poly1305_ietf_NPUBBYTES };

static const char protocol_name[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

_Static_assert(sizeof(protocol_name) - 1 > NOISE_HASH, "a short name is padded, not hashed");

void noise_hash(const void *a, size_t alen, const void *b, size_t blen, uint8_t out[NOISE_HASH])
{
	blake2s_state st;

	blake2s_init(&st, NOISE_HASH);
	blake2s_update(&st, a, alen);
	if (blen > 0)
		blake2s_update(&st, b, blen);
	blake2s_final(&st, out, NOISE_HASH);
	sodium_memzero(&st, sizeof(st));
}

/* HMAC-BLAKE2s (RFC 2104) of a || b; the key always has 32 bytes here. out may be key or a. */
static void hmac(const uint8_t key[NOISE_HASH], const void *a, size_t alen, const void *b,
	size_t blen, uint8_t out[NOISE_HASH])
{
	uint8_t pad[BLOCK], inner[NOISE_HASH];
	blake2s_state st;

	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < NOISE_HASH; i++)
		pad[i] ^= key[i];
	blake2s_init(&st, NOISE_HASH);
	blake2s_update(&st, pad, sizeof(pad));
	if (alen > 0)
		blake2s_update(&st, a, alen);
	if (blen > 0)
		blake2s_update(&st, b, blen);
	blake2s_final(&st, inner, sizeof(inner));

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	noise_hash(pad, sizeof(pad), inner, sizeof(inner), out);
	sodium_memzero(&st, sizeof(st));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

void noise_hkdf(const uint8_t ck[NOISE_HASH], const void *input, size_t len, unsigned n,
	uint8_t out[][NOISE_HASH])
{
	uint8_t temp[NOISE_HASH], count = 1;

	hmac(ck, NULL, 0, input, len, temp);
	hmac(temp, NULL, 0, &count, 1, out[0]);
	for (count = 2; count <= n; count++)
		hmac(temp, out[count - 2], NOISE_HASH, &count, 1, out[count - 1]);
	sodium_memzero(temp, sizeof(temp));
}

static void mix_hash(struct noise *noise, const void *data, size_t len)
{
	noise_hash(noise->h, NOISE_HASH, data, len, noise->h);
}

static void set_key(struct noise *noise, const uint8_t k[32])
{
	memcpy(noise->k, k, 32);
	noise->n = 0;
	noise->has_key = true;
}

static void mix_key(struct noise *noise, const uint8_t input[32])
{
	uint8_t out[2][NOISE_HASH];

	noise_hkdf(noise->ck, input, 32, 2, out);
	memcpy(noise->ck, out[0], NOISE_HASH);
	set_key(noise, out[1]);
	sodium_memzero(out, sizeof(out));
}

static void mix_key_and_hash(struct noise *noise, const struct key *psk)
{
	uint8_t out[3][NOISE_HASH];

	noise_hkdf(noise->ck, psk->b, KEY_LEN, 3, out);
	memcpy(noise->ck, out[0], NOISE_HASH);
	mix_hash(noise, out[1], NOISE_HASH);
	set_key(noise, out[2]);
	sodium_memzero(out, sizeof(out));
}

static void next_nonce(struct noise *noise, uint8_t nonce[NONCE])
{
	memset(nonce, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(noise->n >> 8 * i);
	noise->n++;
}

/* The pattern encrypts nothing before its first mix_key, so a key is always there. */
static void encrypt_and_hash(struct noise *noise, const void *plain, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE];

	next_nonce(noise, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, plain, len, noise->h, NOISE_HASH, NULL, nonce, noise->k);
	mix_hash(noise, out, len + NOISE_TAG);
}

/* len includes the tag. */
static int decrypt_and_hash(struct noise *noise, const uint8_t *sealed, size_t len, uint8_t *plain)
{
	uint8_t nonce[NONCE];

	next_nonce(noise, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(
		    plain, NULL, NULL, sealed, len, noise->h, NOISE_HASH, nonce, noise->k) != 0)
		return -EBADMSG;
	mix_hash(noise, sealed, len);
	return 0;
}

static int mix_dh(struct noise *noise, const struct key *private_key, const struct key *public_key)
{
	uint8_t shared[crypto_scalarmult_curve25519_BYTES];
	int r = 0;

	if (crypto_scalarmult_curve25519(shared, private_key->b, public_key->b) != 0 ||
		sodium_is_zero(shared, sizeof(shared)))
		r = -EINVAL;
	else
		mix_key(noise, shared);
	sodium_memzero(shared, sizeof(shared));
	return r;
}

void noise_init(struct noise *noise, bool initiator, const void *prologue, size_t prologue_len,
	const struct key *s, const struct key *s_pub, const struct key *rs)
{
	sodium_memzero(noise, sizeof(*noise));
	noise->initiator = initiator;
	noise->s = *s;
	noise->s_pub = *s_pub;
	if (initiator)
		noise->rs = *rs;
	noise_hash(protocol_name, sizeof(protocol_name) - 1, NULL, 0, noise->h);
	memcpy(noise->ck, noise->h, NOISE_HASH);
	mix_hash(noise, prologue, prologue_len);
	mix_hash(noise, initiator ? rs->b : s_pub->b, KEY_LEN);
}

void noise_set_ephemeral(struct noise *noise, const struct key *e)
{
	noise->e = *e;
	noise->has_e = true;
}

/* Token "e" of the writer. */
static int write_e(struct noise *noise, uint8_t *out)
{
	if (!noise->has_e)
		key_generate_private(&noise->e);
	if (key_public(&noise->e, &noise->e_pub) < 0)
		return -EINVAL;
	memcpy(out, noise->e_pub.b, KEY_LEN);
	mix_hash(noise, noise->e_pub.b, KEY_LEN);
	mix_key(noise, noise->e_pub.b);
	return 0;
}

/* Token "e" of the reader. */
static void read_e(struct noise *noise, const uint8_t *msg)
{
	memcpy(noise->re.b, msg, KEY_LEN);
	mix_hash(noise, noise->re.b, KEY_LEN);
	mix_key(noise, noise->re.b);
}

/* Takes over the state that a message led to, or forgets it when the message failed. */
static int commit(struct noise *noise, struct noise *next, int r)
{
	if (r == 0)
		*noise = *next;
	noise_wipe(next);
	return r;
}

int noise_write1(struct noise *noise, const void *payload, size_t payload_len, uint8_t *out)
{
	struct noise next = *noise;
	int r = write_e(&next, out);

	if (r == 0)
		r = mix_dh(&next, &next.e, &next.rs);
	if (r == 0) {
		encrypt_and_hash(&next, next.s_pub.b, KEY_LEN, out + KEY_LEN);
		r = mix_dh(&next, &next.s, &next.rs);
	}
	if (r == 0)
		encrypt_and_hash(&next, payload, payload_len, out + 2 * KEY_LEN + NOISE_TAG);
	return commit(noise, &next, r);
}

int noise_read1(struct noise *noise, const uint8_t *msg, size_t len, uint8_t *payload)
{
	const size_t head = 2 * KEY_LEN + NOISE_TAG;
	struct noise next = *noise;
	int r = -EBADMSG;

	if (len < NOISE_MSG1_OVERHEAD)
		return commit(noise, &next, -EPROTO);
	read_e(&next, msg);
	if (mix_dh(&next, &next.s, &next.re) == 0 &&
		decrypt_and_hash(&next, msg + KEY_LEN, KEY_LEN + NOISE_TAG, next.rs.b) == 0 &&
		mix_dh(&next, &next.s, &next.rs) == 0)
		r = decrypt_and_hash(&next, msg + head, len - head, payload);
	return commit(noise, &next, r);
}

int noise_write2(struct noise *noise, const struct key *psk, const void *payload,
	size_t payload_len, uint8_t *out)
{
	struct noise next = *noise;
	int r = write_e(&next, out);

	if (r == 0)
		r = mix_dh(&next, &next.e, &next.re);
	if (r == 0)
		r = mix_dh(&next, &next.e, &next.rs);
	if (r == 0) {
		mix_key_and_hash(&next, psk);
		encrypt_and_hash(&next, payload, payload_len, out + KEY_LEN);
	}
	return commit(noise, &next, r);
}

int noise_read2(struct noise *noise, const struct key *psk, const uint8_t *msg, size_t len,
	uint8_t *payload)
{
	struct noise next = *noise;
	int r = -EBADMSG;

	if (len < NOISE_MSG2_OVERHEAD)
		return commit(noise, &next, -EPROTO);
	read_e(&next, msg);
	if (mix_dh(&next, &next.e, &next.re) == 0 && mix_dh(&next, &next.s, &next.re) == 0) {
		mix_key_and_hash(&next, psk);
		r = decrypt_and_hash(&next, msg + KEY_LEN, len - KEY_LEN, payload);
	}
	return commit(noise, &next, r);
}

void noise_split(struct noise *noise, uint8_t k1[32], uint8_t k2[32])
{
	uint8_t out[2][NOISE_HASH];

	noise_hkdf(noise->ck, NULL, 0, 2, out);
	memcpy(k1, out[0], 32);
	memcpy(k2, out[1], 32);
	sodium_memzero(out, sizeof(out));
	noise_wipe(noise);
}

void noise_wipe(struct noise *noise)
{
	sodium_memzero(noise, sizeof(*noise));
}

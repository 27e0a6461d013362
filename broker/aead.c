/* SPDX-License-Identifier: MIT */
/* Sealed by libcrypto's EVP interface, which uses the processor's vector instructions, or by
 * libipsec-mb where that is there and faster.
 *
 * Model: one EVP context for each cipher and direction, made once. Setting a key costs a key
 * schedule (and for GCM a table of powers of H), setting a nonce nearly nothing; so a context
 * remembers its key and takes only a new nonce while the key stays the same. Bulk transfer on one
 * carrier then pays the schedule once, and a worker with a thousand idle carriers has four
 * contexts.
 *
 * Invariants: a (key, counter) pair seals at most once: the counter moves on before the result is
 * looked at. What fails to authenticate is wiped, so that no caller can use it by mistake.
 * References: NIST SP 800-38D, RFC 8439, Noise specification sections 4.2 and 12. */
#include "aead.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sodium/utils.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "aead_mb.h"

enum { NONCE = 12, CIPHERS = 3 /* index 0 is unused */ };

struct slot {
	EVP_CIPHER_CTX *ctx;
	uint8_t key[AEAD_KEY];
	bool keyed; /* ctx holds `key` */
};

struct aead {
	struct aead_mb *mb;	      /* seals and opens where it is there and faster */
	struct slot slot[CIPHERS][2]; /* by cipher and by direction: 0 opens, 1 seals */
};

_Static_assert(sizeof(struct aead_key) == 48, "an idle carrier's budget counts on it");

static const char *const cipher_names[CIPHERS] = {
	[AEAD_AES256GCM] = "AES-256-GCM",
	[AEAD_CHACHA20POLY1305] = "ChaCha20-Poly1305",
};

static bool have_aes(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	unsigned long caps = getauxval(AT_HWCAP);

	return (caps & HWCAP_AES) && (caps & HWCAP_PMULL);
#else
	return false;
#endif
}

unsigned aead_supported(void)
{
	/* AES without the instructions is slow, and its tables leak the key through the cache. */
	return 1U << AEAD_CHACHA20POLY1305 | (have_aes() ? 1U << AEAD_AES256GCM : 0);
}

int aead_choose(unsigned common)
{
	bool aes = common & 1U << AEAD_AES256GCM;

	if (aes && have_aes())
		return AEAD_AES256GCM;
	if (common & 1U << AEAD_CHACHA20POLY1305)
		return AEAD_CHACHA20POLY1305;
	return aes ? AEAD_AES256GCM : 0;
}

static int slot_init(struct slot *slot, int cipher, int enc)
{
	EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, cipher_names[cipher], NULL);
	int ok = 0;

	slot->ctx = EVP_CIPHER_CTX_new();
	/* The context keeps its own reference to the cipher. */
	if (fetched && slot->ctx)
		ok = EVP_CipherInit_ex(slot->ctx, fetched, NULL, NULL, NULL, enc);
	EVP_CIPHER_free(fetched);
	return ok == 1 ? 0 : -ENOMEM;
}

int aead_new(struct aead **aeadp)
{
	struct aead *aead = calloc(1, sizeof(*aead));

	if (!aead)
		return -ENOMEM;
	for (int cipher = 1; cipher < CIPHERS; cipher++) {
		for (int enc = 0; enc < 2; enc++) {
			if (slot_init(&aead->slot[cipher][enc], cipher, enc) < 0) {
				aead_free(aead);
				return -ENOMEM;
			}
		}
	}
	aead->mb = aead_mb_new();
	*aeadp = aead;
	return 0;
}

void aead_free(struct aead *aead)
{
	if (!aead)
		return;
	for (int cipher = 1; cipher < CIPHERS; cipher++)
		for (int enc = 0; enc < 2; enc++)
			EVP_CIPHER_CTX_free(aead->slot[cipher][enc].ctx); /* wipes; takes NULL */
	aead_mb_free(aead->mb);
	sodium_memzero(aead, sizeof(*aead));
	free(aead);
}

void aead_key_init(struct aead_key *key, enum aead_cipher cipher, const uint8_t raw[AEAD_KEY])
{
	memset(key, 0, sizeof(*key));
	memcpy(key->key, raw, AEAD_KEY);
	key->cipher = (uint8_t)cipher;
}

void aead_key_wipe(struct aead_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

static bool holds(const struct slot *slot, const struct aead_key *key)
{
	return slot->keyed && sodium_memcmp(slot->key, key->key, AEAD_KEY) == 0;
}

static bool known_cipher(const struct aead_key *key)
{
	return key->cipher > 0 && key->cipher < CIPHERS;
}

void aead_forget(struct aead *aead, const struct aead_key *key)
{
	static const uint8_t none[AEAD_KEY];

	if (!known_cipher(key))
		return;
	for (int enc = 0; enc < 2; enc++) {
		struct slot *slot = &aead->slot[key->cipher][enc];

		if (!holds(slot, key))
			continue;
		/* Its schedule of the zero key takes the old one's place. */
		(void)EVP_CipherInit_ex(slot->ctx, NULL, NULL, none, NULL, enc);
		sodium_memzero(slot->key, AEAD_KEY);
		slot->keyed = false;
	}
	if (aead->mb)
		aead_mb_forget(aead->mb, key->key);
}

bool aead_remembers(const struct aead *aead, const struct aead_key *key)
{
	if (aead->mb && aead_mb_remembers(aead->mb, key->key))
		return true;
	return known_cipher(key) &&
	       (holds(&aead->slot[key->cipher][0], key) || holds(&aead->slot[key->cipher][1], key));
}

static void put_nonce(uint8_t nonce[NONCE], uint8_t cipher, uint64_t counter)
{
	memset(nonce, 0, 4);
	for (unsigned i = 0; i < 8; i++) {
		unsigned shift = cipher == AEAD_AES256GCM ? 56 - 8 * i : 8 * i;

		nonce[4 + i] = (uint8_t)(counter >> shift);
	}
}

/* Makes the context of this key's cipher ready for one record. NULL on a library failure. */
static EVP_CIPHER_CTX *begin(
	struct aead *aead, const struct aead_key *key, int enc, uint64_t counter)
{
	struct slot *slot;
	uint8_t nonce[NONCE];
	bool same;

	if (!known_cipher(key))
		return NULL;
	slot = &aead->slot[key->cipher][enc];
	same = holds(slot, key);
	put_nonce(nonce, key->cipher, counter);
	if (EVP_CipherInit_ex(slot->ctx, NULL, NULL, same ? NULL : key->key, nonce, enc) != 1) {
		slot->keyed = false;
		return NULL;
	}
	if (!same) {
		memcpy(slot->key, key->key, AEAD_KEY);
		slot->keyed = true;
	}
	return slot->ctx;
}

int aead_seal_at(struct aead *aead, const struct aead_key *key, uint64_t counter, const uint8_t *ad,
	size_t adlen, uint8_t *buf, size_t len)
{
	EVP_CIPHER_CTX *ctx;
	int n;

	if (len > INT_MAX - AEAD_TAG || adlen > INT_MAX)
		return -EIO;
	if (aead->mb && aead_mb_has(aead->mb, key->cipher)) {
		uint8_t nonce[NONCE];

		put_nonce(nonce, key->cipher, counter);
		return aead_mb_seal(aead->mb, key->cipher, key->key, nonce, ad, adlen, buf, len);
	}
	ctx = begin(aead, key, 1, counter);
	if (!ctx)
		return -EIO;
	if (adlen > 0 && EVP_EncryptUpdate(ctx, NULL, &n, ad, (int)adlen) != 1)
		return -EIO;
	if (len > 0 && EVP_EncryptUpdate(ctx, buf, &n, buf, (int)len) != 1)
		return -EIO;
	if (EVP_EncryptFinal_ex(ctx, buf + len, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, buf + len) != 1)
		return -EIO;
	return 0;
}

int aead_seal(struct aead *aead, struct aead_key *key, const uint8_t *ad, size_t adlen,
	uint8_t *buf, size_t len)
{
	if (key->counter == UINT64_MAX) /* reserved for the rekey */
		return -EKEYEXPIRED;
	return aead_seal_at(aead, key, key->counter++, ad, adlen, buf, len);
}

static bool open_evp(struct aead *aead, const struct aead_key *key, uint64_t counter,
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	EVP_CIPHER_CTX *ctx = begin(aead, key, 0, counter);
	uint8_t none[AEAD_TAG];
	int n;

	if (!ctx || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, buf + len) != 1)
		return false;
	if (adlen > 0 && EVP_DecryptUpdate(ctx, NULL, &n, ad, (int)adlen) != 1)
		return false;
	if (len > 0 && EVP_DecryptUpdate(ctx, buf, &n, buf, (int)len) != 1)
		return false;
	return EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

int aead_open_at(struct aead *aead, const struct aead_key *key, uint64_t counter, const uint8_t *ad,
	size_t adlen, uint8_t *buf, size_t len)
{
	bool ok;

	if (len < AEAD_TAG || len > INT_MAX || adlen > INT_MAX)
		return -EBADMSG;
	len -= AEAD_TAG;
	if (aead->mb && aead_mb_has(aead->mb, key->cipher)) {
		uint8_t nonce[NONCE];

		put_nonce(nonce, key->cipher, counter);
		ok = aead_mb_open(aead->mb, key->cipher, key->key, nonce, ad, adlen, buf, len) == 0;
	} else {
		ok = open_evp(aead, key, counter, ad, adlen, buf, len);
	}
	if (ok)
		return (int)len;
	sodium_memzero(buf, len);
	return -EBADMSG;
}

int aead_open(struct aead *aead, struct aead_key *key, const uint8_t *ad, size_t adlen,
	uint8_t *buf, size_t len)
{
	int r = key->counter == UINT64_MAX
			? -EBADMSG
			: aead_open_at(aead, key, key->counter, ad, adlen, buf, len);

	if (r >= 0)
		key->counter++;
	return r;
}

int aead_rekey(struct aead *aead, struct aead_key *key)
{
	uint8_t block[AEAD_KEY + AEAD_TAG] = {0};
	int r = aead_seal_at(aead, key, UINT64_MAX, NULL, 0, block, AEAD_KEY);

	if (r == 0) {
		aead_forget(aead, key); /* what was sealed with it stays secret */
		memcpy(key->key, block, AEAD_KEY);
		key->counter = 0;
	}
	sodium_memzero(block, sizeof(block));
	return r;
}

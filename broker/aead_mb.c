/* SPDX-License-Identifier: MIT */
#include "aead_mb.h"

#include <errno.h>

#ifdef HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <sodium/utils.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"

/* Expanded keys of the last record in each direction: a bulk transfer expands its key once. */
struct aead_mb_slot {
	_Alignas(64) struct gcm_key_data expanded;
	uint8_t key[32];
	bool keyed;
};

struct aead_mb {
	struct aead_mb_slot slot[2]; /* 0 opens, 1 seals */
	IMB_MGR *mgr;
	bool chacha; /* with vectors of 256 bits and more it is faster than libcrypto */
};

struct aead_mb *aead_mb_new(void)
{
	struct aead_mb *mb = aligned_alloc(64, (sizeof(*mb) + 63) / 64 * 64);

	if (!mb)
		return NULL;
	memset(mb, 0, sizeof(*mb));
	mb->mgr = alloc_mb_mgr(0);
	if (mb->mgr) {
		IMB_ARCH arch = IMB_ARCH_NONE;

		init_mb_mgr_auto(mb->mgr, &arch);
		/* Below AVX the library emulates AES, slowly. */
		mb->chacha = arch >= IMB_ARCH_AVX2;
		if (arch >= IMB_ARCH_AVX && imb_get_errno(mb->mgr) == 0)
			return mb;
	}
	aead_mb_free(mb);
	return NULL;
}

void aead_mb_free(struct aead_mb *mb)
{
	if (!mb)
		return;
	if (mb->mgr)
		free_mb_mgr(mb->mgr);
	sodium_memzero(mb, sizeof(*mb));
	free(mb);
}

static bool holds(const struct aead_mb_slot *slot, const uint8_t key[32])
{
	return slot->keyed && sodium_memcmp(slot->key, key, sizeof(slot->key)) == 0;
}

void aead_mb_forget(struct aead_mb *mb, const uint8_t key[32])
{
	for (int seal = 0; seal < 2; seal++)
		if (holds(&mb->slot[seal], key))
			sodium_memzero(&mb->slot[seal], sizeof(mb->slot[seal]));
}

bool aead_mb_remembers(const struct aead_mb *mb, const uint8_t key[32])
{
	return holds(&mb->slot[0], key) || holds(&mb->slot[1], key);
}

static const struct gcm_key_data *expand(struct aead_mb *mb, int seal, const uint8_t key[32])
{
	struct aead_mb_slot *slot = &mb->slot[seal];

	if (!holds(slot, key)) {
		IMB_AES256_GCM_PRE(mb->mgr, key, &slot->expanded);
		memcpy(slot->key, key, sizeof(slot->key));
		slot->keyed = true;
	}
	return &slot->expanded;
}

bool aead_mb_has(const struct aead_mb *mb, int cipher)
{
	return cipher == AEAD_AES256GCM || (cipher == AEAD_CHACHA20POLY1305 && mb->chacha);
}

/* The library does jobs of this cipher at once, so the one submitted is the one that comes back. */
static int chacha(struct aead_mb *mb, bool seal, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len, uint8_t tag[16])
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(mb->mgr), *done;

	memset(job, 0, sizeof(*job));
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = key;
	job->key_len_in_bytes = 32;
	job->iv = nonce;
	job->iv_len_in_bytes = 12;
	job->src = job->dst = buf;
	job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = len;
	job->u.CHACHA20_POLY1305.aad = ad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = adlen;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = 16;
	done = IMB_SUBMIT_JOB(mb->mgr);
	return done == job && done->status == IMB_STATUS_COMPLETED ? 0 : -EIO;
}

int aead_mb_seal(struct aead_mb *mb, int cipher, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	struct gcm_context_data ctx;

	if (cipher == AEAD_CHACHA20POLY1305)
		return chacha(mb, true, key, nonce, ad, adlen, buf, len, buf + len);
	IMB_AES256_GCM_ENC(
		mb->mgr, expand(mb, 1, key), &ctx, buf, buf, len, nonce, ad, adlen, buf + len, 16);
	return 0;
}

int aead_mb_open(struct aead_mb *mb, int cipher, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	struct gcm_context_data ctx;
	uint8_t tag[16];

	if (cipher == AEAD_CHACHA20POLY1305) {
		if (chacha(mb, false, key, nonce, ad, adlen, buf, len, tag) < 0)
			return -EBADMSG;
	} else {
		IMB_AES256_GCM_DEC(mb->mgr, expand(mb, 0, key), &ctx, buf, buf, len, nonce, ad,
			adlen, tag, 16);
	}
	return sodium_memcmp(tag, buf + len, sizeof(tag)) == 0 ? 0 : -EBADMSG;
}

#else

struct aead_mb *aead_mb_new(void)
{
	return NULL;
}

void aead_mb_free(struct aead_mb *mb)
{
	(void)mb;
}

void aead_mb_forget(struct aead_mb *mb, const uint8_t key[32])
{
	(void)mb, (void)key;
}

bool aead_mb_remembers(const struct aead_mb *mb, const uint8_t key[32])
{
	(void)mb, (void)key;
	return false;
}

bool aead_mb_has(const struct aead_mb *mb, int cipher)
{
	(void)mb, (void)cipher;
	return false;
}

int aead_mb_seal(struct aead_mb *mb, int cipher, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	(void)mb, (void)cipher, (void)key, (void)nonce, (void)ad, (void)adlen, (void)buf, (void)len;
	return -EIO;
}

int aead_mb_open(struct aead_mb *mb, int cipher, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	(void)mb, (void)cipher, (void)key, (void)nonce, (void)ad, (void)adlen, (void)buf, (void)len;
	return -EBADMSG;
}

#endif

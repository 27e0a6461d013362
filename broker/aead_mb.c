/* SPDX-License-Identifier: MIT */
#include "aead_mb.h"

#ifdef HAVE_IPSEC_MB

#include <errno.h>
#include <intel-ipsec-mb.h>
#include <sodium/utils.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Expanded keys of the last record in each direction: a bulk transfer expands its key once. */
struct aead_mb_slot {
	_Alignas(64) struct gcm_key_data expanded;
	uint8_t key[32];
	bool keyed;
};

struct aead_mb {
	struct aead_mb_slot slot[2]; /* 0 opens, 1 seals */
	IMB_MGR *mgr;
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

static const struct gcm_key_data *expand(struct aead_mb *mb, int seal, const uint8_t key[32])
{
	struct aead_mb_slot *slot = &mb->slot[seal];

	if (!slot->keyed || sodium_memcmp(slot->key, key, sizeof(slot->key)) != 0) {
		IMB_AES256_GCM_PRE(mb->mgr, key, &slot->expanded);
		memcpy(slot->key, key, sizeof(slot->key));
		slot->keyed = true;
	}
	return &slot->expanded;
}

void aead_mb_seal(struct aead_mb *mb, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	struct gcm_context_data ctx;

	IMB_AES256_GCM_ENC(
		mb->mgr, expand(mb, 1, key), &ctx, buf, buf, len, nonce, ad, adlen, buf + len, 16);
}

int aead_mb_open(struct aead_mb *mb, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	struct gcm_context_data ctx;
	uint8_t tag[16];

	IMB_AES256_GCM_DEC(
		mb->mgr, expand(mb, 0, key), &ctx, buf, buf, len, nonce, ad, adlen, tag, 16);
	if (sodium_memcmp(tag, buf + len, sizeof(tag)) == 0)
		return 0;
	sodium_memzero(buf, len);
	return -EBADMSG;
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

void aead_mb_seal(struct aead_mb *mb, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	(void)mb, (void)key, (void)nonce, (void)ad, (void)adlen, (void)buf, (void)len;
	__builtin_unreachable(); /* aead_mb_new() gave nothing to call this with */
}

int aead_mb_open(struct aead_mb *mb, const uint8_t key[32], const uint8_t nonce[12],
	const uint8_t *ad, size_t adlen, uint8_t *buf, size_t len)
{
	(void)mb, (void)key, (void)nonce, (void)ad, (void)adlen, (void)buf, (void)len;
	__builtin_unreachable();
}

#endif

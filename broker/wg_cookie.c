/* SPDX-License-Identifier: MIT */
#include "wg_cookie.h"

#include <blake2.h>
#include <errno.h>
#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/utils.h>
#include <string.h>

#include "noise.h"

static const char label_mac1[8 + 1] = "mac1----";
static const char label_cookie[8 + 1] = "cookie--";

void wg_cookie_keys(const struct key *public_key, struct wg_cookie_keys *keysp)
{
	noise_hash(label_mac1, 8, public_key->b, KEY_LEN, keysp->mac1);
	noise_hash(label_cookie, 8, public_key->b, KEY_LEN, keysp->cookie);
}

void wg_mac(
	const uint8_t *key, size_t keylen, const uint8_t *text, size_t len, uint8_t out[WG_MAC_LEN])
{
	blake2s_state st;

	blake2s_init_key(&st, WG_MAC_LEN, key, keylen);
	blake2s_update(&st, text, len);
	blake2s_final(&st, out, WG_MAC_LEN);
	sodium_memzero(&st, sizeof(st));
}

void wg_cookie_put_macs(
	const struct wg_cookie_keys *keys, const uint8_t *cookie, uint8_t *msg, size_t len)
{
	uint8_t *mac1 = msg + len - 2 * WG_MAC_LEN, *mac2 = mac1 + WG_MAC_LEN;

	wg_mac(keys->mac1, sizeof(keys->mac1), msg, len - 2 * WG_MAC_LEN, mac1);
	if (cookie)
		wg_mac(cookie, WG_COOKIE_LEN, msg, len - WG_MAC_LEN, mac2);
	else
		memset(mac2, 0, WG_MAC_LEN);
}

bool wg_cookie_check_mac1(const struct wg_cookie_keys *keys, const uint8_t *msg, size_t len)
{
	uint8_t want[WG_MAC_LEN];

	wg_mac(keys->mac1, sizeof(keys->mac1), msg, len - 2 * WG_MAC_LEN, want);
	return sodium_memcmp(want, wg_cookie_mac1(msg, len), WG_MAC_LEN) == 0;
}

bool wg_cookie_check_mac2(const uint8_t cookie[WG_COOKIE_LEN], const uint8_t *msg, size_t len)
{
	uint8_t want[WG_MAC_LEN];

	wg_mac(cookie, WG_COOKIE_LEN, msg, len - WG_MAC_LEN, want);
	return sodium_memcmp(want, msg + len - WG_MAC_LEN, WG_MAC_LEN) == 0;
}

void wg_cookie_make(const uint8_t secret[WG_COOKIE_KEY], const struct endpoint *from,
	uint8_t cookie[WG_COOKIE_LEN])
{
	uint8_t text[ENDPOINT_WIRELEN];
	struct buf_wr wr;

	buf_wr_init(&wr, text, sizeof(text));
	buf_put_endpoint(&wr, from);
	wg_mac(secret, WG_COOKIE_KEY, text, sizeof(text), cookie);
}

void wg_cookie_reply_seal(const struct wg_cookie_keys *keys, const uint8_t nonce[WG_NONCE_LEN],
	uint32_t receiver, const uint8_t cookie[WG_COOKIE_LEN], const uint8_t mac1[WG_MAC_LEN],
	uint8_t out[WG_COOKIE_REPLY_LEN])
{
	wg_msg_put_type(out, WG_COOKIE_REPLY);
	wg_put32(out + WG_COOKIE_REPLY_RECEIVER, receiver);
	memcpy(out + WG_COOKIE_REPLY_NONCE, nonce, WG_NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + WG_COOKIE_REPLY_COOKIE, NULL, cookie,
		WG_COOKIE_LEN, mac1, WG_MAC_LEN, NULL, nonce, keys->cookie);
}

int wg_cookie_reply_open(const struct wg_cookie_keys *keys, const uint8_t mac1[WG_MAC_LEN],
	const uint8_t msg[WG_COOKIE_REPLY_LEN], uint8_t cookie[WG_COOKIE_LEN])
{
	uint8_t plain[WG_COOKIE_LEN];

	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL,
		    msg + WG_COOKIE_REPLY_COOKIE, WG_COOKIE_LEN + WG_TAG_LEN, mac1, WG_MAC_LEN,
		    msg + WG_COOKIE_REPLY_NONCE, keys->cookie) != 0)
		return -EBADMSG;
	memcpy(cookie, plain, WG_COOKIE_LEN);
	sodium_memzero(plain, sizeof(plain));
	return 0;
}

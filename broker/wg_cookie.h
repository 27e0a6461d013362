/* SPDX-License-Identifier: MIT */
/* MAC1, MAC2 and cookies (WireGuard whitepaper sections 5.3, 5.4.4 and 5.4.7): what protects the
 * costly part of the handshake.
 *
 * Model: MAC1 shows that the sender knows the responder's public key; it costs one hash. Under load
 * a handshake message also needs MAC2, made with a cookie that only somebody who receives at the
 * source address can have: the keyed hash of that address under a secret which changes every two
 * minutes, so no state is kept for a stranger. The cookie travels sealed with the responder's
 * public key and bound to the MAC1 of the message that it answers. No clock of its own. */
#ifndef PERSONA_BROKER_WG_COOKIE_H
#define PERSONA_BROKER_WG_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "key.h"
#include "wg_msg.h"

enum { WG_COOKIE_KEY = 32 };

/* Keys that come from the public key of the side that a message goes to. */
struct wg_cookie_keys {
	uint8_t mac1[WG_COOKIE_KEY];
	uint8_t cookie[WG_COOKIE_KEY];
};

void wg_cookie_keys(const struct key *public_key, struct wg_cookie_keys *keysp);

/* Keyed BLAKE2s with 16 bytes of output: the whitepaper's Mac(). */
void wg_mac(const uint8_t *key, size_t keylen, const uint8_t *text, size_t len,
	uint8_t out[WG_MAC_LEN]);

/* Writes MAC1 and MAC2 (cookie NULL: zeroes) into a whole handshake message; they are its last 32
 * bytes. */
void wg_cookie_put_macs(
	const struct wg_cookie_keys *keys, const uint8_t *cookie, uint8_t *msg, size_t len);
bool wg_cookie_check_mac1(const struct wg_cookie_keys *keys, const uint8_t *msg, size_t len);
bool wg_cookie_check_mac2(const uint8_t cookie[WG_COOKIE_LEN], const uint8_t *msg, size_t len);
static inline const uint8_t *wg_cookie_mac1(const uint8_t *msg, size_t len)
{
	return msg + len - 2 * WG_MAC_LEN;
}

/* What a stranger at `from` must show under this secret. */
void wg_cookie_make(const uint8_t secret[WG_COOKIE_KEY], const struct endpoint *from,
	uint8_t cookie[WG_COOKIE_LEN]);

/* A cookie reply for a handshake message (its sender index and MAC1). keys are the replier's. */
void wg_cookie_reply_seal(const struct wg_cookie_keys *keys, const uint8_t nonce[WG_NONCE_LEN],
	uint32_t receiver, const uint8_t cookie[WG_COOKIE_LEN], const uint8_t mac1[WG_MAC_LEN],
	uint8_t out[WG_COOKIE_REPLY_LEN]);
/* keys are those of the peer who sent it. 0 or -EBADMSG. */
int wg_cookie_reply_open(const struct wg_cookie_keys *keys, const uint8_t mac1[WG_MAC_LEN],
	const uint8_t msg[WG_COOKIE_REPLY_LEN], uint8_t cookie[WG_COOKIE_LEN]);

#endif

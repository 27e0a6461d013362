/* SPDX-License-Identifier: MIT */
/* The four messages of the WireGuard protocol as bytes (whitepaper sections 5.4.2 to 5.4.7).
 *
 * Model: each message has a fixed form, so a check of type and size is the whole of parsing, and a
 * field is found at its offset. A type is one byte and three zero bytes; integers are
 * little-endian. No allocation, no state. */
#ifndef PERSONA_BROKER_WG_MSG_H
#define PERSONA_BROKER_WG_MSG_H

#include <stddef.h>
#include <stdint.h>

enum wg_type { WG_INITIATION = 1, WG_RESPONSE = 2, WG_COOKIE_REPLY = 3, WG_DATA = 4 };

enum {
	WG_MAC_LEN = 16,
	WG_COOKIE_LEN = 16,
	WG_TAG_LEN = 16,
	WG_NONCE_LEN = 24, /* of a cookie reply */

	WG_INITIATION_LEN = 148,
	WG_INITIATION_SENDER = 4,
	WG_INITIATION_NOISE = 8, /* e, sealed static key, sealed TAI64N */
	WG_INITIATION_NOISE_LEN = 32 + 48 + 28,

	WG_RESPONSE_LEN = 92,
	WG_RESPONSE_SENDER = 4,
	WG_RESPONSE_RECEIVER = 8,
	WG_RESPONSE_NOISE = 12, /* e, sealed nothing */
	WG_RESPONSE_NOISE_LEN = 32 + 16,

	WG_COOKIE_REPLY_LEN = 64,
	WG_COOKIE_REPLY_RECEIVER = 4,
	WG_COOKIE_REPLY_NONCE = 8,
	WG_COOKIE_REPLY_COOKIE = 32,

	WG_DATA_RECEIVER = 4,
	WG_DATA_COUNTER = 8,
	WG_DATA_TEXT = 16,
	WG_DATA_MIN = 32 /* a keepalive: no text, only its tag */
};

/* The type of a message of a possible size, or -EPROTO. */
int wg_msg_type(const uint8_t *msg, size_t len);
/* Type and reserved bytes. */
void wg_msg_put_type(uint8_t *msg, enum wg_type type);

static inline uint32_t wg_get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t wg_get64(const uint8_t *p)
{
	return wg_get32(p) | (uint64_t)wg_get32(p + 4) << 32;
}

static inline void wg_put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static inline void wg_put64(uint8_t *p, uint64_t v)
{
	wg_put32(p, (uint32_t)v);
	wg_put32(p + 4, (uint32_t)(v >> 32));
}

/* The length of the IP packet at the start of `text` by its own header, which must be in there: 0
 * for an empty text (a keepalive), -EPROTO when it is no IP packet or claims more than there is. */
int wg_msg_packet_length(const uint8_t *text, size_t len);

#endif

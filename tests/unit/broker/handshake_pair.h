/* SPDX-License-Identifier: MIT */
/* Two sides of a carrier handshake, and the steps they take. */
#ifndef PERSONA_TEST_HANDSHAKE_PAIR_H
#define PERSONA_TEST_HANDSHAKE_PAIR_H

#include "vectors.h"

#include "buf.h"
#include "handshake.h"

struct side {
	struct key s, pub;
	struct handshake hs;
	struct handshake_keys keys;
};

struct pair {
	struct side init, resp;
	struct key psk;
	uint8_t mac1_key[32];
	uint8_t msg1[HANDSHAKE_MAX], msg2[HANDSHAKE_MAX];
	size_t len1, len2;
};

static inline struct handshake_hello hello(void)
{
	struct handshake_hello h = {.ciphers = 1U << AEAD_AES256GCM | 1U << AEAD_CHACHA20POLY1305,
		.role = HANDSHAKE_REVERSE,
		.tag = 0x1234};

	handshake_timestamp(1700000000ULL * 1000000000, h.timestamp);
	return h;
}

/* Keys for both sides and message 1. */
static inline void start(struct pair *p)
{
	struct handshake_hello h = hello();

	memset(p, 0, sizeof(*p));
	key_generate_private(&p->init.s);
	key_generate_private(&p->resp.s);
	key_generate_psk(&p->psk);
	assert_int_equal(key_public(&p->init.s, &p->init.pub), 0);
	assert_int_equal(key_public(&p->resp.s, &p->resp.pub), 0);
	handshake_mac1_key(&p->resp.pub, p->mac1_key);
	assert_int_equal(handshake_initiate(&p->init.hs, &p->init.s, &p->init.pub, &p->resp.pub, &h,
				 p->msg1, sizeof(p->msg1), &p->len1),
		0);
}

static inline int consume(struct pair *p, const uint8_t *msg, size_t len, struct key *peerp)
{
	return handshake_consume(&p->resp.hs, &p->resp.s, &p->resp.pub, msg, len, peerp);
}

static inline int respond(struct pair *p, enum aead_cipher cipher)
{
	return handshake_respond(
		&p->resp.hs, &p->psk, cipher, p->msg2, sizeof(p->msg2), &p->len2, &p->resp.keys);
}

static inline int finish(struct pair *p, const struct key *psk)
{
	return handshake_finish(&p->init.hs, psk, p->msg2, p->len2, &p->init.keys);
}

/* Up to message 2. */
static inline void answer(struct pair *p, enum aead_cipher cipher)
{
	struct key peer;

	start(p);
	assert_int_equal(consume(p, p->msg1, p->len1, &peer), 0);
	assert_int_equal(respond(p, cipher), 0);
}

/* Makes message 1 with any payload, as a peer with a valid key can. */
static inline size_t forge(struct pair *p, const void *payload, size_t len, uint8_t *out)
{
	static const uint8_t header[4] = {1, 1, 0, 0};
	size_t total = 2 + 4 + NOISE_MSG1_OVERHEAD + len + 16;
	uint8_t prologue[21];
	struct noise noise;
	struct buf_wr wr;

	memcpy(prologue, "Persona carrier 1", 17);
	memcpy(prologue + 17, header, 4);
	noise_init(
		&noise, true, prologue, sizeof(prologue), &p->init.s, &p->init.pub, &p->resp.pub);
	buf_wr_init(&wr, out, HANDSHAKE_MAX);
	buf_put_u16(&wr, (uint16_t)(total - 2));
	buf_put_bytes(&wr, header, 4);
	assert_int_equal(noise_write1(&noise, payload, len, out + 6), 0);
	return total;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Message 1 as a responder takes it, in three ways by the first byte:
 * 0: the bytes as they come; 1: with a correct MAC1 behind them (the public key is no secret);
 * 2: as the payload of an authentic Noise message (a peer that is known, but hostile). */
#include <blake2.h>

#include "buf.h"
#include "peers.h"

static void put_mac1(uint8_t *msg, size_t len)
{
	FUZZ_CHECK(blake2s(msg + len - 16, msg + 2, mac1_key, 16, len - 2 - 16, 32) == 0);
}

static void respond(struct handshake *hs)
{
	int cipher = aead_choose(hs->hello.ciphers & 6);
	struct handshake_keys keys;
	uint8_t out[HANDSHAKE_MAX];
	size_t len;

	FUZZ_CHECK(hs->hello.role <= HANDSHAKE_REVERSE);
	if (!cipher)
		return;
	FUZZ_CHECK(handshake_respond(hs, &psk, cipher, out, sizeof(out), &len, &keys) == 0);
	FUZZ_CHECK(handshake_frame(out, len) == (int)len);
}

static int serve(const uint8_t *msg, size_t len)
{
	struct handshake hs;
	struct key peer;
	int r;

	if (handshake_frame(msg, len) != (int)len || !handshake_check_mac1(mac1_key, msg, len))
		return -1;
	r = handshake_consume(&hs, &responder.s, &responder.pub, msg, len, &peer);
	if (r == 0)
		respond(&hs);
	return r;
}

static void authentic(const uint8_t *payload, size_t size)
{
	static const uint8_t header[4] = {1, 1, 0, 0};
	uint8_t msg[HANDSHAKE_MAX], prologue[21] = "Persona carrier 1";
	size_t total = 2 + 4 + NOISE_MSG1_OVERHEAD + size + 16;
	struct noise noise;
	struct buf_wr wr;

	if (total > sizeof(msg))
		return;
	memcpy(prologue + 17, header, 4);
	noise_init(&noise, true, prologue, sizeof(prologue), &initiator.s, &initiator.pub,
		&responder.pub);
	buf_wr_init(&wr, msg, sizeof(msg));
	buf_put_u16(&wr, (uint16_t)(total - 2));
	buf_put_bytes(&wr, header, 4);
	FUZZ_CHECK(noise_write1(&noise, payload, size, msg + 6) == 0);
	put_mac1(msg, total);
	if (serve(msg, total) == 0)
		FUZZ_CHECK(size >= 18 && payload[13] <= HANDSHAKE_REVERSE &&
			   18U + payload[16] * 256U + payload[17] == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t msg[HANDSHAKE_MAX];

	peers_init();
	if (size < 1)
		return 0;
	switch (data[0] % 3) {
	case 0:
		serve(data + 1, size - 1);
		break;
	case 1:
		if (size - 1 < 2 + 4 + 16 || size - 1 > sizeof(msg))
			break;
		memcpy(msg, data + 1, size - 1);
		put_mac1(msg, size - 1);
		serve(msg, size - 1);
		break;
	default:
		authentic(data + 1, size - 1);
		break;
	}
	return 0;
}

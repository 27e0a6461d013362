/* SPDX-License-Identifier: MIT */
/* Message 2 as an initiator takes it, by the first byte: 0: the bytes as they come; 1: as the
 * payload of an authentic Noise message. */
#include "buf.h"
#include "peers.h"

/* Message 1, and the responder's state after it. */
static void start(struct handshake *init, struct handshake *resp)
{
	struct handshake_hello hello = {.ciphers = 1U << AEAD_CHACHA20POLY1305};
	uint8_t msg[HANDSHAKE_MAX];
	struct key peer;
	size_t len;

	FUZZ_CHECK(handshake_initiate(init, &initiator.s, &initiator.pub, &responder.pub, &hello,
			   msg, sizeof(msg), &len) == 0);
	FUZZ_CHECK(handshake_consume(resp, &responder.s, &responder.pub, msg, len, &peer) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handshake init, resp;
	struct handshake_keys keys;
	uint8_t msg[HANDSHAKE_MAX];
	struct buf_wr wr;
	size_t total;

	peers_init();
	if (size < 1)
		return 0;
	start(&init, &resp);
	data++;
	size--;
	if (data[-1] % 2 == 0) {
		if (handshake_frame(data, size) == (int)size)
			FUZZ_CHECK(handshake_finish(&init, &psk, data, size, &keys) < 0);
		handshake_wipe(&init);
		return 0;
	}
	total = 2 + 4 + NOISE_MSG2_OVERHEAD + size;
	if (total > sizeof(msg))
		return 0;
	buf_wr_init(&wr, msg, sizeof(msg));
	buf_put_u16(&wr, (uint16_t)(total - 2));
	buf_put_bytes(&wr, "\2\1\0\0", 4);
	FUZZ_CHECK(noise_write2(&resp.noise, &psk, data, size, msg + 6) == 0);
	if (handshake_finish(&init, &psk, msg, total, &keys) == 0)
		FUZZ_CHECK(
			data[0] == AEAD_CHACHA20POLY1305 && 3U + data[1] * 256U + data[2] == size);
	return 0;
}

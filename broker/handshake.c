/* SPDX-License-Identifier: MIT */
/* Messages of the carrier handshake: framing, MAC1, payloads, timestamps.
 *
 * Model: what a stranger can send is looked at in the order of its cost. handshake_frame() refuses
 * by length and header alone, handshake_check_mac1() costs one hash, and only who knows the
 * responder's public key gets as far as a Diffie-Hellman in handshake_consume(). The header is the
 * same for all messages of a type, so it needs no encoding of its own: the received one is compared
 * with ours, and message 1's is mixed into the prologue.
 *
 * Invariants: every length is checked before a byte is read; a message is either exactly of its
 * form or refused; hs holds secrets until handshake_wipe() or until the transport keys are given
 * out, which wipes them. References: Noise specification; WireGuard's whitepaper, section 5.4.4
 * (MAC1), 5.1 (TAI64N against replay). docs/PROTOCOL.md section 3 has the same in prose. */
#include "handshake.h"

#include <blake2.h>
#include <errno.h>
#include <sodium/utils.h>
#include <string.h>

#include "buf.h"

enum {
	TYPE_INITIATION = 1,
	TYPE_RESPONSE = 2,
	HEADER = 4, /* type, version, two zero bytes */
	MAC1 = 16,
	NOISE_AT = HANDSHAKE_LENGTH + HEADER,
	PAYLOAD1 = HANDSHAKE_TIMESTAMP + 1 + 1 + 2 + 2, /* without extensions */
	PAYLOAD2 = 1 + 2,
	MSG1_MIN = NOISE_AT + NOISE_MSG1_OVERHEAD + PAYLOAD1 + MAC1,
	MSG2_MIN = NOISE_AT + NOISE_MSG2_OVERHEAD + PAYLOAD2,
	PROLOGUE_TEXT = 17
};

static const char prologue_text[PROLOGUE_TEXT + 1] = "Persona carrier 1";
static const char mac1_label[8 + 1] = "mac1----";
static const uint8_t header1[HEADER] = {TYPE_INITIATION, 1, 0, 0};
static const uint8_t header2[HEADER] = {TYPE_RESPONSE, 1, 0, 0};

void handshake_mac1_key(const struct key *responder_public, uint8_t mac1_key[32])
{
	noise_hash(mac1_label, sizeof(mac1_label) - 1, responder_public->b, KEY_LEN, mac1_key);
}

int handshake_frame(const uint8_t *p, size_t avail)
{
	struct buf_rd rd;
	size_t len, n;

	if (avail < HANDSHAKE_LENGTH)
		return 0;
	buf_rd_init(&rd, p, avail);
	len = HANDSHAKE_LENGTH + buf_get_u16(&rd);
	if (len < MSG2_MIN || len > HANDSHAKE_MAX)
		return -EPROTO;
	/* As much of the header as is here. */
	n = rd.left < HEADER ? rd.left : HEADER;
	if (n == 0 || memcmp(rd.p, header2, n) == 0)
		return (int)len;
	return memcmp(rd.p, header1, n) == 0 && len >= MSG1_MIN ? (int)len : -EPROTO;
}

/* Is this one whole message with this header? */
static bool is_whole(const uint8_t header[HEADER], const uint8_t *msg, size_t len)
{
	return len >= NOISE_AT && handshake_frame(msg, len) == (int)len &&
	       memcmp(msg + HANDSHAKE_LENGTH, header, HEADER) == 0;
}

static void mac1(const uint8_t key[32], const uint8_t *msg, size_t len, uint8_t out[MAC1])
{
	blake2s_state st;

	blake2s_init_key(&st, MAC1, key, 32);
	blake2s_update(&st, msg + HANDSHAKE_LENGTH, len - HANDSHAKE_LENGTH);
	blake2s_final(&st, out, MAC1);
	sodium_memzero(&st, sizeof(st));
}

bool handshake_check_mac1(const uint8_t mac1_key[32], const uint8_t *msg, size_t len)
{
	uint8_t want[MAC1];

	if (!is_whole(header1, msg, len))
		return false;
	mac1(mac1_key, msg, len - MAC1, want);
	return sodium_memcmp(want, msg + len - MAC1, MAC1) == 0;
}

static void begin(struct handshake *hs, bool initiator, const struct key *private_key,
	const struct key *public_key, const struct key *peer)
{
	uint8_t prologue[PROLOGUE_TEXT + HEADER];

	sodium_memzero(hs, sizeof(*hs));
	memcpy(prologue, prologue_text, PROLOGUE_TEXT);
	memcpy(prologue + PROLOGUE_TEXT, header1, HEADER);
	noise_init(
		&hs->noise, initiator, prologue, sizeof(prologue), private_key, public_key, peer);
}

static void put_head(struct buf_wr *wr, size_t len, const uint8_t header[HEADER])
{
	buf_put_u16(wr, (uint16_t)(len - HANDSHAKE_LENGTH));
	buf_put_bytes(wr, header, HEADER);
}

int handshake_initiate(struct handshake *hs, const struct key *private_key,
	const struct key *public_key, const struct key *peer, const struct handshake_hello *hello,
	uint8_t *out, size_t cap, size_t *lenp)
{
	uint8_t payload[PAYLOAD1], key[32];
	struct buf_wr wr;

	if (cap < MSG1_MIN)
		return -EMSGSIZE;
	begin(hs, true, private_key, public_key, peer);
	hs->hello = *hello;
	buf_wr_init(&wr, payload, sizeof(payload));
	buf_put_bytes(&wr, hello->timestamp, HANDSHAKE_TIMESTAMP);
	buf_put_u8(&wr, hello->ciphers);
	buf_put_u8(&wr, hello->role);
	buf_put_u16(&wr, hello->tag);
	buf_put_u16(&wr, 0); /* no extensions */

	buf_wr_init(&wr, out, cap);
	put_head(&wr, MSG1_MIN, header1);
	if (noise_write1(&hs->noise, payload, sizeof(payload), out + NOISE_AT) < 0) {
		handshake_wipe(hs);
		return -EINVAL;
	}
	handshake_mac1_key(peer, key);
	mac1(key, out, MSG1_MIN - MAC1, out + MSG1_MIN - MAC1);
	*lenp = MSG1_MIN;
	return 0;
}

/* Skips the extensions; none is defined yet, and unknown ones are ignored. */
static void get_extensions(struct buf_rd *rd)
{
	buf_get_ptr(rd, buf_get_u16(rd));
}

static int get_hello(const uint8_t *payload, size_t len, struct handshake_hello *hellop)
{
	struct handshake_hello hello;
	struct buf_rd rd;

	buf_rd_init(&rd, payload, len);
	buf_get_bytes(&rd, hello.timestamp, HANDSHAKE_TIMESTAMP);
	hello.ciphers = buf_get_u8(&rd);
	hello.role = buf_get_u8(&rd);
	hello.tag = buf_get_u16(&rd);
	get_extensions(&rd);
	if (!buf_rd_done(&rd) || hello.role > HANDSHAKE_REVERSE)
		return -EPROTO;
	*hellop = hello;
	return 0;
}

int handshake_consume(struct handshake *hs, const struct key *private_key,
	const struct key *public_key, const uint8_t *msg, size_t len, struct key *peerp)
{
	uint8_t payload[HANDSHAKE_MAX];
	size_t n;
	int r;

	if (!is_whole(header1, msg, len))
		return -EPROTO;
	begin(hs, false, private_key, public_key, NULL);
	n = len - NOISE_AT - MAC1;
	r = noise_read1(&hs->noise, msg + NOISE_AT, n, payload);
	if (r == 0)
		r = get_hello(payload, n - NOISE_MSG1_OVERHEAD, &hs->hello);
	if (r == 0)
		*peerp = hs->noise.rs;
	else
		handshake_wipe(hs);
	sodium_memzero(payload, sizeof(payload));
	return r;
}

/* Takes the transport keys out of a finished handshake; nothing secret stays in hs. */
static void split(struct handshake *hs, enum aead_cipher cipher, struct handshake_keys *keysp)
{
	bool initiator = hs->noise.initiator;
	uint8_t k[2][AEAD_KEY];

	noise_split(&hs->noise, k[0], k[1]);
	aead_key_init(&keysp->tx, cipher, k[!initiator]);
	aead_key_init(&keysp->rx, cipher, k[initiator]);
	sodium_memzero(k, sizeof(k));
}

static bool is_offered(const struct handshake *hs, unsigned cipher)
{
	return (cipher == AEAD_AES256GCM || cipher == AEAD_CHACHA20POLY1305) &&
	       (hs->hello.ciphers & 1U << cipher);
}

int handshake_respond(struct handshake *hs, const struct key *psk, enum aead_cipher cipher,
	uint8_t *out, size_t cap, size_t *lenp, struct handshake_keys *keysp)
{
	uint8_t payload[PAYLOAD2];
	struct buf_wr wr;

	if (!is_offered(hs, cipher))
		return -EINVAL;
	if (cap < MSG2_MIN)
		return -EMSGSIZE;
	buf_wr_init(&wr, payload, sizeof(payload));
	buf_put_u8(&wr, (uint8_t)cipher);
	buf_put_u16(&wr, 0); /* no extensions */

	buf_wr_init(&wr, out, cap);
	put_head(&wr, MSG2_MIN, header2);
	if (noise_write2(&hs->noise, psk, payload, sizeof(payload), out + NOISE_AT) < 0)
		return -EINVAL;
	split(hs, cipher, keysp);
	*lenp = MSG2_MIN;
	return 0;
}

int handshake_finish(struct handshake *hs, const struct key *psk, const uint8_t *msg, size_t len,
	struct handshake_keys *keysp)
{
	uint8_t payload[HANDSHAKE_MAX], cipher;
	struct buf_rd rd;
	size_t n;
	int r;

	if (!is_whole(header2, msg, len))
		return -EPROTO;
	n = len - NOISE_AT;
	r = noise_read2(&hs->noise, psk, msg + NOISE_AT, n, payload);
	if (r < 0)
		return r;
	buf_rd_init(&rd, payload, n - NOISE_MSG2_OVERHEAD);
	cipher = buf_get_u8(&rd);
	get_extensions(&rd);
	if (!buf_rd_done(&rd))
		r = -EPROTO;
	else if (!is_offered(hs, cipher))
		r = -ENOTSUP;
	else
		split(hs, cipher, keysp);
	if (r < 0)
		handshake_wipe(hs);
	return r;
}

void handshake_wipe(struct handshake *hs)
{
	sodium_memzero(hs, sizeof(*hs));
}

void handshake_timestamp(uint64_t realtime_ns, uint8_t out[HANDSHAKE_TIMESTAMP])
{
	struct buf_wr wr;

	/* TAI was 10 seconds ahead when the epoch began; leap seconds do not matter here, only that
	 * later is greater. */
	buf_wr_init(&wr, out, HANDSHAKE_TIMESTAMP);
	buf_put_u64(&wr, (1ULL << 62) + 10 + realtime_ns / 1000000000);
	buf_put_u32(&wr, (uint32_t)(realtime_ns % 1000000000));
}

bool handshake_replay_check(
	struct handshake_replay *replay, const uint8_t timestamp[HANDSHAKE_TIMESTAMP])
{
	uint8_t(*seen)[HANDSHAKE_TIMESTAMP] = replay->seen;
	size_t at = replay->n;

	if (memcmp(timestamp, replay->floor, HANDSHAKE_TIMESTAMP) <= 0)
		return false;
	while (at > 0) {
		int order = memcmp(timestamp, seen[at - 1], HANDSHAKE_TIMESTAMP);

		if (order == 0)
			return false;
		if (order > 0)
			break;
		at--;
	}
	if (replay->n == HANDSHAKE_REPLAY) {
		if (at == 0)
			return false;
		memcpy(replay->floor, seen[0], HANDSHAKE_TIMESTAMP);
		memmove(seen[0], seen[1], --at * sizeof(seen[0]));
	} else {
		memmove(seen[at + 1], seen[at], (replay->n - at) * sizeof(seen[0]));
		replay->n++;
	}
	memcpy(seen[at], timestamp, HANDSHAKE_TIMESTAMP);
	return true;
}

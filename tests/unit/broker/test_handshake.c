/* SPDX-License-Identifier: MIT */
/* The carrier handshake: fixed vectors, agreement, every kind of refusal, and what junk costs.
 *
 * Two functions of libsodium are interposed: the random source, to make the vectors' ephemeral keys
 * come out, and X25519, to count Diffie-Hellman operations. */
#include "handshake_pair.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "ratelimit.h"
#include "record.h"

#define INTERPOSE __attribute__((visibility("default")))

static unsigned dh_count;
static const struct key *next_random; /* what the next request for 32 bytes gets */

INTERPOSE int crypto_scalarmult_curve25519(
	unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	int (*real)(unsigned char *, const unsigned char *, const unsigned char *) =
		(int (*)(unsigned char *, const unsigned char *, const unsigned char *))dlsym(
			RTLD_NEXT, "crypto_scalarmult_curve25519");

	dh_count++;
	return real(q, n, p);
}

INTERPOSE void randombytes_buf(void *const buf, const size_t size)
{
	void (*real)(void *, size_t) =
		(void (*)(void *, size_t))dlsym(RTLD_NEXT, "randombytes_buf");

	if (next_random && size == KEY_LEN) {
		memcpy(buf, next_random->b, KEY_LEN);
		next_random = NULL;
		return;
	}
	real(buf, size);
}

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static void both_sides_get_the_same_keys(void **state)
{
	static const enum aead_cipher ciphers[] = {AEAD_AES256GCM, AEAD_CHACHA20POLY1305};
	struct pair p;
	struct key peer;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		start(&p);
		assert_int_equal(handshake_frame(p.msg1, p.len1), p.len1);
		assert_true(handshake_check_mac1(p.mac1_key, p.msg1, p.len1));
		assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);
		assert_true(key_equal(&peer, &p.init.pub));
		assert_memory_equal(
			p.resp.hs.hello.timestamp, p.init.hs.hello.timestamp, HANDSHAKE_TIMESTAMP);
		assert_int_equal(p.resp.hs.hello.ciphers, 6);
		assert_int_equal(p.resp.hs.hello.role, HANDSHAKE_REVERSE);
		assert_int_equal(p.resp.hs.hello.tag, 0x1234);
		assert_int_equal(respond(&p, ciphers[i]), 0);
		assert_int_equal(handshake_frame(p.msg2, p.len2), p.len2);
		assert_int_equal(finish(&p, &p.psk), 0);
		assert_memory_equal(&p.init.keys.tx, &p.resp.keys.rx, sizeof(struct aead_key));
		assert_memory_equal(&p.init.keys.rx, &p.resp.keys.tx, sizeof(struct aead_key));
		assert_memory_not_equal(p.init.keys.tx.key, p.init.keys.rx.key, AEAD_KEY);
		assert_int_equal(p.init.keys.tx.cipher, ciphers[i]);
		/* Nothing of the handshake's secrets is left. */
		assert_true(sodium_is_zero((uint8_t *)&p.init.hs.noise, sizeof(struct noise)));
		assert_true(sodium_is_zero((uint8_t *)&p.resp.hs.noise, sizeof(struct noise)));
	}
}

static void zero_psk_means_none(void **state)
{
	struct key zero = {{0}}, peer;
	struct pair p;

	(void)state;
	start(&p);
	p.psk = zero;
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);
	assert_int_equal(respond(&p, AEAD_CHACHA20POLY1305), 0);
	assert_int_equal(finish(&p, &zero), 0);
	assert_memory_equal(&p.init.keys.tx, &p.resp.keys.rx, sizeof(struct aead_key));
}

static void play_records(const json_t *v, struct pair *p)
{
	uint8_t rec[256], wire[256];
	const json_t *r;
	struct aead *aead;
	size_t i;

	assert_int_equal(aead_new(&aead), 0);
	json_array_foreach(json_object_get(v, "records"), i, r)
	{
		const char *from = json_string_value(json_object_get(r, "from"));
		struct side *tx = strcmp(from, "init") == 0 ? &p->init : &p->resp;
		struct side *rx = tx == &p->init ? &p->resp : &p->init;
		size_t wire_len = vector_member(r, "wire", wire, sizeof(wire)), body_len, n;
		enum record_type type;
		uint8_t *body;

		n = vector_member(r, "plain", rec + 2, sizeof(rec) - 2);
		assert_int_equal(record_seal(aead, &tx->keys.tx, rec[2], rec, n - 1), wire_len);
		assert_memory_equal(rec, wire, wire_len);
		if (record_open(aead, &rx->keys.rx, rec, wire_len, &type, &body, &body_len) != 0)
			fail_msg("record %zu of the vector does not open", i);
		assert_int_equal(body_len, n - 1);
		if (type == RECORD_REKEY)
			assert_int_equal(aead_rekey(aead, &tx->keys.tx), 0);
	}
	vector_exact(v, "init_to_resp_rekeyed", wire, AEAD_KEY);
	assert_memory_equal(p->init.keys.tx.key, wire, AEAD_KEY);
	assert_memory_equal(p->resp.keys.rx.key, wire, AEAD_KEY);
	aead_free(aead);
}

static void play(const json_t *v)
{
	struct handshake_hello h = {0};
	uint8_t want[HANDSHAKE_MAX];
	struct key e, peer;
	struct pair p = {0};

	vector_exact(v, "init_static", p.init.s.b, KEY_LEN);
	vector_exact(v, "resp_static", p.resp.s.b, KEY_LEN);
	vector_exact(v, "psk", p.psk.b, KEY_LEN);
	assert_int_equal(key_public(&p.init.s, &p.init.pub), 0);
	assert_int_equal(key_public(&p.resp.s, &p.resp.pub), 0);
	h.ciphers = (uint8_t)json_integer_value(json_object_get(v, "ciphers"));
	h.role = (uint8_t)json_integer_value(json_object_get(v, "role"));
	h.tag = (uint16_t)json_integer_value(json_object_get(v, "tag"));
	handshake_timestamp(
		strtoull(json_string_value(json_object_get(v, "realtime_ns")), NULL, 10),
		h.timestamp);
	handshake_mac1_key(&p.resp.pub, p.mac1_key);
	vector_exact(v, "mac1_key", want, 32);
	assert_memory_equal(p.mac1_key, want, 32);

	vector_exact(v, "init_ephemeral", e.b, KEY_LEN);
	next_random = &e;
	assert_int_equal(handshake_initiate(&p.init.hs, &p.init.s, &p.init.pub, &p.resp.pub, &h,
				 p.msg1, sizeof(p.msg1), &p.len1),
		0);
	assert_int_equal(vector_member(v, "message1", want, sizeof(want)), p.len1);
	assert_memory_equal(p.msg1, want, p.len1);
	assert_true(handshake_check_mac1(p.mac1_key, p.msg1, p.len1));
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);

	vector_exact(v, "resp_ephemeral", e.b, KEY_LEN);
	next_random = &e;
	assert_int_equal(
		respond(&p, (enum aead_cipher)json_integer_value(json_object_get(v, "cipher"))), 0);
	assert_int_equal(vector_member(v, "message2", want, sizeof(want)), p.len2);
	assert_memory_equal(p.msg2, want, p.len2);
	assert_int_equal(finish(&p, &p.psk), 0);
	vector_exact(v, "init_to_resp", want, AEAD_KEY);
	assert_memory_equal(p.init.keys.tx.key, want, AEAD_KEY);
	vector_exact(v, "resp_to_init", want, AEAD_KEY);
	assert_memory_equal(p.resp.keys.tx.key, want, AEAD_KEY);
	play_records(v, &p);
}

static void carrier_vectors(void **state)
{
	json_t *root = vector_load(VECTORS_DIR "/carrier.json"), *v;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(root, "vectors")), 2);
	json_array_foreach(json_object_get(root, "vectors"), i, v) play(v);
	json_decref(root);
}

static void frame_tells_length_or_refuses(void **state)
{
	uint8_t msg[HANDSHAKE_MAX + 2];
	struct pair p;

	(void)state;
	answer(&p, AEAD_CHACHA20POLY1305);
	assert_int_equal(handshake_frame(NULL, 0), 0);
	assert_int_equal(handshake_frame(p.msg1, 1), 0);
	for (size_t avail = 2; avail <= p.len1; avail++)
		assert_int_equal(handshake_frame(p.msg1, avail), p.len1);
	for (size_t avail = 2; avail <= p.len2; avail++)
		assert_int_equal(handshake_frame(p.msg2, avail), p.len2);
	/* Each header byte is looked at as soon as it is there. */
	for (size_t at = 2; at < 6; at++) {
		memcpy(msg, p.msg1, 6);
		msg[at] ^= 0x80;
		assert_int_equal(handshake_frame(msg, at), p.len1);
		assert_int_equal(handshake_frame(msg, at + 1), -EPROTO);
	}
	for (unsigned len = 0; len < 0x10000; len += len < 2000 ? 1 : 977) {
		bool min2 = len >= p.len2 - 2, min1 = len >= p.len1 - 2,
		     max = len + 2 <= HANDSHAKE_MAX;

		memcpy(msg, p.msg1, 6);
		msg[0] = (uint8_t)(len >> 8);
		msg[1] = (uint8_t)len;
		assert_int_equal(handshake_frame(msg, 2), min2 && max ? (int)len + 2 : -EPROTO);
		assert_int_equal(handshake_frame(msg, 6), min1 && max ? (int)len + 2 : -EPROTO);
		msg[2] = 2;
		assert_int_equal(handshake_frame(msg, 6), min2 && max ? (int)len + 2 : -EPROTO);
	}
}

static void every_flipped_bit_of_message1_fails_mac1(void **state)
{
	struct pair p;
	struct key peer;

	(void)state;
	start(&p);
	for (size_t bit = 0; bit < 8 * p.len1; bit++) {
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(handshake_check_mac1(p.mac1_key, p.msg1, p.len1));
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < p.len1; len++) {
		assert_false(handshake_check_mac1(p.mac1_key, p.msg1, len));
		assert_int_equal(consume(&p, p.msg1, len, &peer), -EPROTO);
	}
	assert_false(handshake_check_mac1(p.mac1_key, p.msg1, p.len1 + 1));
	assert_true(handshake_check_mac1(p.mac1_key, p.msg1, p.len1));
}

/* Whoever knows the public key can make MAC1 right; then the Noise message decides. */
static void every_flipped_bit_behind_mac1_is_refused(void **state)
{
	struct pair p;
	struct key peer;

	(void)state;
	start(&p);
	for (size_t bit = 8 * 6; bit < 8 * (p.len1 - 16); bit++) {
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(consume(&p, p.msg1, p.len1, &peer), -EBADMSG);
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * 6; bit++) {
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(consume(&p, p.msg1, p.len1, &peer), -EPROTO);
		p.msg1[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);
}

static void every_flipped_bit_of_message2_is_refused(void **state)
{
	struct pair p;

	(void)state;
	answer(&p, AEAD_CHACHA20POLY1305);
	for (size_t bit = 0; bit < 8 * p.len2; bit++) {
		p.msg2[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(finish(&p, &p.psk), bit < 8 * 6 ? -EPROTO : -EBADMSG);
		p.msg2[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (p.len2 = 0; p.len2 < 57; p.len2++)
		assert_int_equal(finish(&p, &p.psk), -EPROTO);
	assert_int_equal(finish(&p, &p.psk), 0);
}

static void wrong_psk_is_refused(void **state)
{
	struct key other;
	struct pair p;

	(void)state;
	answer(&p, AEAD_CHACHA20POLY1305);
	other = p.psk;
	other.b[0] ^= 1;
	assert_int_equal(finish(&p, &other), -EBADMSG);
	memset(&other, 0, sizeof(other));
	assert_int_equal(finish(&p, &other), -EBADMSG);
}

static void wrong_responder_key_is_refused(void **state)
{
	struct key peer, s, pub;
	uint8_t mac1_key[32];
	struct handshake hs;
	struct pair p;

	(void)state;
	start(&p);
	key_generate_private(&s);
	assert_int_equal(key_public(&s, &pub), 0);
	handshake_mac1_key(&pub, mac1_key);
	assert_false(handshake_check_mac1(mac1_key, p.msg1, p.len1));
	assert_int_equal(handshake_consume(&hs, &s, &pub, p.msg1, p.len1, &peer), -EBADMSG);
	/* The right public key without its private key does not help. */
	assert_int_equal(handshake_consume(&hs, &s, &p.resp.pub, p.msg1, p.len1, &peer), -EBADMSG);
	assert_true(sodium_is_zero((uint8_t *)&hs, sizeof(hs)));
}

static void cipher_must_have_been_offered(void **state)
{
	struct handshake_hello h = hello();
	struct key peer;
	struct pair p;

	(void)state;
	start(&p);
	h.ciphers = 1U << AEAD_CHACHA20POLY1305 | 1U << 7;
	assert_int_equal(handshake_initiate(&p.init.hs, &p.init.s, &p.init.pub, &p.resp.pub, &h,
				 p.msg1, sizeof(p.msg1), &p.len1),
		0);
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);
	assert_int_equal(respond(&p, AEAD_AES256GCM), -EINVAL);
	assert_int_equal(respond(&p, 7), -EINVAL); /* offered, but nobody knows it */
	/* A responder that chooses what was not offered. */
	p.resp.hs.hello.ciphers = 1U << AEAD_AES256GCM;
	assert_int_equal(respond(&p, AEAD_AES256GCM), 0);
	assert_int_equal(finish(&p, &p.psk), -ENOTSUP);
	assert_true(sodium_is_zero((uint8_t *)&p.init.hs, sizeof(p.init.hs)));
}

static void short_buffers_are_refused(void **state)
{
	struct handshake_hello h = hello();
	struct key peer;
	struct pair p;
	size_t len;

	(void)state;
	start(&p);
	len = p.len1;
	assert_int_equal(handshake_initiate(&p.init.hs, &p.init.s, &p.init.pub, &p.resp.pub, &h,
				 p.msg1, len - 1, &p.len1),
		-EMSGSIZE);
	assert_int_equal(handshake_initiate(&p.init.hs, &p.init.s, &p.init.pub, &p.resp.pub, &h,
				 p.msg1, len, &p.len1),
		0);
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), 0);
	assert_int_equal(handshake_respond(&p.resp.hs, &p.psk, AEAD_AES256GCM, p.msg2, 56, &p.len2,
				 &p.resp.keys),
		-EMSGSIZE);
	assert_int_equal(handshake_respond(&p.resp.hs, &p.psk, AEAD_AES256GCM, p.msg2, 57, &p.len2,
				 &p.resp.keys),
		0);
	assert_int_equal(finish(&p, &p.psk), 0);
}

static void low_order_peer_key_is_refused(void **state)
{
	struct handshake_hello h = hello();
	struct key low = {{1}};
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(handshake_initiate(&p.init.hs, &p.init.s, &p.init.pub, &low, &h, p.msg1,
				 sizeof(p.msg1), &p.len1),
		-EINVAL);
	assert_true(sodium_is_zero((uint8_t *)&p.init.hs, sizeof(p.init.hs)));
}

static void low_order_ephemeral_is_refused(void **state)
{
	struct pair p;
	struct key peer;

	(void)state;
	start(&p);
	memset(p.msg1 + 6, 0, KEY_LEN);
	assert_int_equal(consume(&p, p.msg1, p.len1, &peer), -EBADMSG);
	answer(&p, AEAD_AES256GCM);
	memset(p.msg2 + 6, 0, KEY_LEN);
	assert_int_equal(finish(&p, &p.psk), -EBADMSG);
}

static void authentic_but_malformed_payloads_are_refused(void **state)
{
	uint8_t payload[64] = {0}, msg[HANDSHAKE_MAX];
	struct pair p;
	struct key peer;
	size_t len;

	(void)state;
	start(&p);
	for (size_t n = 0; n <= 30; n++) {
		for (uint8_t ext = 0; ext <= 14; ext++) {
			payload[17] = ext;
			len = forge(&p, payload, n, msg);
			assert_int_equal(
				consume(&p, msg, len, &peer), n == 18U + ext ? 0 : -EPROTO);
		}
	}
	payload[17] = 0;
	payload[13] = HANDSHAKE_REVERSE + 1;
	len = forge(&p, payload, 18, msg);
	assert_int_equal(consume(&p, msg, len, &peer), -EPROTO);
	assert_true(sodium_is_zero((uint8_t *)&p.resp.hs, sizeof(p.resp.hs)));
}

static void unknown_extensions_are_ignored(void **state)
{
	uint8_t payload[912] = {
		[12] = 6, [16] = (912 - 18) >> 8, [17] = (912 - 18) & 0xff, [18] = 9};
	uint8_t msg[HANDSHAKE_MAX];
	struct pair p;
	struct key peer;
	size_t len;

	(void)state;
	start(&p);
	len = forge(&p, payload, sizeof(payload), msg);
	assert_int_equal(len, HANDSHAKE_MAX);
	assert_int_equal(consume(&p, msg, len, &peer), 0);
	assert_true(key_equal(&peer, &p.init.pub));
	assert_int_equal(respond(&p, AEAD_CHACHA20POLY1305), 0);
}

/* The order of steps a responder takes (as the carrier does): frame, MAC1 of each portspace, token
 * bucket, Diffie-Hellman. */
static bool serve(
	struct pair *hosts, size_t n, struct ratelimit *limit, const uint8_t *msg, size_t len)
{
	struct key peer;

	if (handshake_frame(msg, len) != (int)len)
		return false;
	for (size_t i = 0; i < n; i++)
		if (handshake_check_mac1(hosts[i].mac1_key, msg, len))
			return ratelimit_take(limit, &addr_loopback4, 1000) &&
			       consume(&hosts[i], msg, len, &peer) == 0;
	return false;
}

static void junk_causes_no_diffie_hellman(void **state)
{
	static const struct ratelimit_config config = {
		.per_source_s = 10, .burst = 20, .total_s = 1000};
	struct pair hosts[4];
	struct ratelimit *limit;
	uint8_t msg[HANDSHAKE_MAX];

	(void)state;
	assert_int_equal(ratelimit_new(&config, &limit), 0);
	for (size_t i = 0; i < 4; i++)
		start(&hosts[i]);
	dh_count = 0;
	for (size_t i = 0; i < 2000; i++) {
		size_t len = hosts[0].len1;

		/* Pure noise, noise behind a true header, a true message with one byte changed. */
		randombytes_buf(msg, sizeof(msg));
		if (i % 3 == 1)
			memcpy(msg, hosts[0].msg1, 6);
		if (i % 3 == 2) {
			memcpy(msg, hosts[i % 4].msg1, len);
			msg[6 + i % (len - 6)] ^= 0x10;
		}
		assert_false(serve(hosts, 4, limit, msg, len));
	}
	assert_int_equal(dh_count, 0);
	/* The flood took nobody's tokens, and the honest message finds its portspace. */
	assert_true(serve(hosts, 4, limit, hosts[2].msg1, hosts[2].len1));
	assert_int_equal(dh_count, 2);
	ratelimit_free(limit);
}

/* A flood with correct MAC1 (the public key is known) is bounded by the token bucket. */
static void valid_flood_is_bounded(void **state)
{
	static const struct ratelimit_config config = {
		.per_source_s = 10, .burst = 20, .total_s = 1000};
	struct ratelimit *limit;
	struct pair host;

	(void)state;
	assert_int_equal(ratelimit_new(&config, &limit), 0);
	start(&host);
	dh_count = 0;
	for (size_t i = 0; i < 1000; i++)
		serve(&host, 1, limit, host.msg1, host.len1);
	assert_int_equal(dh_count, 2 * config.burst);
	ratelimit_free(limit);
}

static void timestamp_is_tai64n(void **state)
{
	uint8_t ts[HANDSHAKE_TIMESTAMP], later[HANDSHAKE_TIMESTAMP], want[HANDSHAKE_TIMESTAMP];

	(void)state;
	handshake_timestamp(0, ts);
	vector_hex("400000000000000a00000000", want, sizeof(want));
	assert_memory_equal(ts, want, sizeof(want));
	handshake_timestamp(1700000000123456789ULL, ts);
	vector_hex("400000006553f10a075bcd15", want, sizeof(want));
	assert_memory_equal(ts, want, sizeof(want));
	handshake_timestamp(1700000000123456790ULL, later);
	assert_true(memcmp(later, ts, sizeof(ts)) > 0);
}

static bool fresh(struct handshake_replay *replay, uint64_t t)
{
	uint8_t ts[HANDSHAKE_TIMESTAMP];

	handshake_timestamp(t, ts);
	return handshake_replay_check(replay, ts);
}

static void replayed_timestamp_is_refused(void **state)
{
	struct handshake_replay replay = {0};

	(void)state;
	assert_true(fresh(&replay, 1000));
	assert_false(fresh(&replay, 1000));
	assert_true(fresh(&replay, 2000));
	assert_true(fresh(&replay, 1500)); /* concurrent dials come out of order */
	assert_false(fresh(&replay, 1000));
	assert_false(fresh(&replay, 1500));
	assert_false(fresh(&replay, 2000));
}

static void replay_memory_keeps_the_newest(void **state)
{
	struct handshake_replay replay = {0};

	(void)state;
	for (uint64_t t = 2; t <= 2 * HANDSHAKE_REPLAY; t += 2)
		assert_true(fresh(&replay, t)); /* full */
	assert_false(fresh(&replay, 1));	/* older than all, full */
	assert_true(fresh(&replay, 3));		/* pushes 2 out */
	assert_false(fresh(&replay, 2));
	assert_false(fresh(&replay, 3));
	assert_true(fresh(&replay, 1000)); /* pushes 3 out */
	assert_false(fresh(&replay, 3));
	for (uint64_t t = 4; t <= 2 * HANDSHAKE_REPLAY; t += 2)
		assert_false(fresh(&replay, t));
	assert_int_equal(replay.n, HANDSHAKE_REPLAY);
}

/* Against a model that remembers everything: what is accepted is never accepted twice, and what is
 * newer than everything so far is always accepted. */
static void replay_check_matches_a_model(void **state)
{
	enum { N = 4096 };
	struct handshake_replay replay = {0};
	static bool used[N];
	uint64_t newest = 0;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		uint64_t t = 1 + (i / 10 + randombytes_uniform(150)) % (N - 1);
		bool ok = fresh(&replay, t);

		assert_false(ok && used[t]);
		if (t > newest)
			assert_true(ok);
		used[t] |= ok;
		newest = t > newest ? t : newest;
		for (size_t k = 1; k < replay.n; k++)
			assert_true(memcmp(replay.seen[k - 1], replay.seen[k],
					    HANDSHAKE_TIMESTAMP) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_get_the_same_keys),
		cmocka_unit_test(zero_psk_means_none),
		cmocka_unit_test(carrier_vectors),
		cmocka_unit_test(frame_tells_length_or_refuses),
		cmocka_unit_test(every_flipped_bit_of_message1_fails_mac1),
		cmocka_unit_test(every_flipped_bit_behind_mac1_is_refused),
		cmocka_unit_test(every_flipped_bit_of_message2_is_refused),
		cmocka_unit_test(wrong_psk_is_refused),
		cmocka_unit_test(wrong_responder_key_is_refused),
		cmocka_unit_test(cipher_must_have_been_offered),
		cmocka_unit_test(short_buffers_are_refused),
		cmocka_unit_test(low_order_peer_key_is_refused),
		cmocka_unit_test(low_order_ephemeral_is_refused),
		cmocka_unit_test(authentic_but_malformed_payloads_are_refused),
		cmocka_unit_test(unknown_extensions_are_ignored),
		cmocka_unit_test(junk_causes_no_diffie_hellman),
		cmocka_unit_test(valid_flood_is_bounded),
		cmocka_unit_test(timestamp_is_tai64n),
		cmocka_unit_test(replayed_timestamp_is_refused),
		cmocka_unit_test(replay_memory_keeps_the_newest),
		cmocka_unit_test(replay_check_matches_a_model),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

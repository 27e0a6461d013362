/* SPDX-License-Identifier: MIT */
/* The AEAD against published vectors, against libsodium as a second implementation, and its rules
 * on counters and keys. */
#include "vectors.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "aead.h"

static const enum aead_cipher ciphers[] = {AEAD_AES256GCM, AEAD_CHACHA20POLY1305};

static int setup(void **state)
{
	struct aead *aead = NULL;

	if (sodium_init() < 0 || aead_new(&aead) < 0)
		return -1;
	*state = aead;
	return 0;
}

static int teardown(void **state)
{
	aead_free(*state);
	aead_free(NULL);
	return 0;
}

/* A key whose bytes are from, from + 1, ... */
static struct aead_key counting_key(enum aead_cipher cipher, uint8_t from)
{
	uint8_t raw[AEAD_KEY];
	struct aead_key key;

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(from + i);
	aead_key_init(&key, cipher, raw);
	return key;
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14: the nonce is all zero. */
static void aes256gcm_published_vector(void **state)
{
	uint8_t zero[AEAD_KEY] = {0}, buf[16 + AEAD_TAG] = {0}, want[32];
	struct aead_key key;

	aead_key_init(&key, AEAD_AES256GCM, zero);
	assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 16), 0);
	vector_hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", want, 32);
	assert_memory_equal(buf, want, 32);
	key.counter = 0;
	assert_int_equal(aead_open(*state, &key, NULL, 0, buf, 32), 16);
	assert_memory_equal(buf, zero, 16);
}

/* Test case 13: nothing to encrypt. */
static void aes256gcm_published_vector_empty(void **state)
{
	uint8_t zero[AEAD_KEY] = {0}, buf[AEAD_TAG], want[AEAD_TAG];
	struct aead_key key;

	aead_key_init(&key, AEAD_AES256GCM, zero);
	assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 0), 0);
	vector_hex("530f8afbc74536b9a963b4f1c4cb738b", want, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

/* RFC 8439 appendix A.5. Its nonce is 0000000001020304 05060708: four zero bytes and a counter. */
static void chacha20poly1305_published_vector(void **state)
{
	uint8_t raw[AEAD_KEY], buf[265 + AEAD_TAG], ad[12];
	struct aead_key key;
	const char *text =
		"Internet-Drafts are draft documents valid for a maximum of six months and "
		"may be updated, replaced, or obsoleted by other documents at any time. It is "
		"inappropriate to use Internet-Drafts as reference material or to cite them "
		"other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";

	vector_hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", raw, 32);
	vector_hex("f33388860000000000004e91", ad, sizeof(ad));
	vector_hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
		   "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
		   "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		   "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
		   "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
		   "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		   "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
		   "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
		   "a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
		buf, sizeof(buf));
	aead_key_init(&key, AEAD_CHACHA20POLY1305, raw);
	key.counter = 0x0807060504030201;
	assert_int_equal(aead_open(*state, &key, ad, sizeof(ad), buf, 0), -EBADMSG);
	assert_int_equal(aead_open(*state, &key, ad, sizeof(ad), buf, 281), 265);
	assert_int_equal(strlen(text), 265);
	assert_memory_equal(buf, text, 265);
}

/* Seals with libsodium; the second implementation to compare with. */
static bool reference_seal(const struct aead_key *key, const uint8_t *ad, size_t adlen,
	const uint8_t *plain, size_t len, uint8_t *out)
{
	uint8_t nonce[12] = {0};
	bool gcm = key->cipher == AEAD_AES256GCM;

	for (unsigned i = 0; i < 8; i++)
		nonce[gcm ? 11 - i : 4 + i] = (uint8_t)(key->counter >> 8 * i);
	if (gcm)
		return crypto_aead_aes256gcm_is_available() &&
		       crypto_aead_aes256gcm_encrypt(
			       out, NULL, plain, len, ad, adlen, NULL, nonce, key->key) == 0;
	return crypto_aead_chacha20poly1305_ietf_encrypt(
		       out, NULL, plain, len, ad, adlen, NULL, nonce, key->key) == 0;
}

static void agrees_with_libsodium_for_all_sizes(void **state)
{
	enum { MAX = 65536 };
	uint8_t *plain = malloc(MAX), *ours = malloc(MAX + AEAD_TAG),
		*theirs = malloc(MAX + AEAD_TAG);
	uint8_t ad[20] = "associated data";

	randombytes_buf(plain, MAX);
	for (size_t c = 0; c < 2; c++) {
		struct aead_key tx = counting_key(ciphers[c], 7), rx = tx;

		tx.counter = rx.counter = 0xfffffffe; /* passes a 32-bit border */
		if (!reference_seal(&tx, ad, 2, plain, 0, theirs))
			continue; /* libsodium has AES only where the processor has */
		for (size_t len = 0; len <= MAX; len = len < 300 ? len + 1 : len * 2 - 7) {
			size_t adlen = len % (sizeof(ad) + 1);

			memcpy(ours, plain, len);
			assert_true(reference_seal(&tx, ad, adlen, plain, len, theirs));
			assert_int_equal(aead_seal(*state, &tx, ad, adlen, ours, len), 0);
			assert_memory_equal(ours, theirs, len + AEAD_TAG);
			assert_int_equal(
				aead_open(*state, &rx, ad, adlen, ours, len + AEAD_TAG), len);
			assert_memory_equal(ours, plain, len);
		}
		assert_int_equal(tx.counter, rx.counter);
	}
	free(plain);
	free(ours);
	free(theirs);
}

/* Messages that may arrive in any order name their counter. */
static void counters_of_the_caller_in_any_order(void **state)
{
	enum { N = 20, LEN = 50 };
	uint8_t sealed[N][LEN + AEAD_TAG];

	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 5), in_order = key;

		for (size_t i = 0; i < N; i++) {
			uint8_t same[LEN + AEAD_TAG];

			memset(sealed[i], (int)i, LEN);
			memset(same, (int)i, LEN);
			assert_int_equal(aead_seal_at(*state, &key, i, NULL, 0, sealed[i], LEN), 0);
			assert_int_equal(aead_seal(*state, &in_order, NULL, 0, same, LEN), 0);
			assert_memory_equal(sealed[i], same, sizeof(same));
		}
		for (size_t i = 0; i < N; i++) {
			size_t at = i * 7 % N;

			if (i % 3 == 0) {
				uint8_t copy[LEN + AEAD_TAG], zero[LEN] = {0};

				memcpy(copy, sealed[at], sizeof(copy));
				assert_int_equal(aead_open_at(*state, &key, at + 1, NULL, 0, copy,
							 sizeof(copy)),
					-EBADMSG);
				assert_memory_equal(copy, zero, LEN);
			}
			assert_int_equal(aead_open_at(*state, &key, at, NULL, 0, sealed[at],
						 sizeof(sealed[at])),
				LEN);
			assert_int_equal(sealed[at][LEN - 1], at);
		}
		assert_int_equal(key.counter, 0);
		assert_int_equal(aead_open_at(*state, &key, 0, NULL, 0, sealed[0], 15), -EBADMSG);
	}
}

static void many_keys_share_one_scratch(void **state)
{
	struct aead_key tx[8], rx[8];
	uint8_t buf[100 + AEAD_TAG];

	for (size_t i = 0; i < 8; i++)
		tx[i] = rx[i] = counting_key(ciphers[i % 2], (uint8_t)(40 * i));
	for (size_t round = 0; round < 200; round++) {
		/* Sometimes the same key twice, sometimes another one. */
		size_t i = round * 5 / 3 % 8;

		memset(buf, (int)round, 100);
		assert_int_equal(aead_seal(*state, &tx[i], NULL, 0, buf, 100), 0);
		assert_int_equal(aead_open(*state, &rx[i], NULL, 0, buf, sizeof(buf)), 100);
		assert_int_equal(buf[99], (uint8_t)round);
	}
}

static void refuses_every_flipped_bit(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 1), rx = key;
		uint8_t sealed[24 + AEAD_TAG] = "text", buf[sizeof(sealed)], zero[24] = {0};
		uint8_t ad[3] = {1, 2, 3};

		assert_int_equal(aead_seal(*state, &key, ad, 3, sealed, 24), 0);
		for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
			memcpy(buf, sealed, sizeof(buf));
			buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(aead_open(*state, &rx, ad, 3, buf, sizeof(buf)), -EBADMSG);
			assert_memory_equal(buf, zero, sizeof(zero)); /* nothing to misuse */
			assert_int_equal(rx.counter, 0);
		}
		for (size_t bit = 0; bit < 8 * sizeof(ad); bit++) {
			memcpy(buf, sealed, sizeof(buf));
			ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(aead_open(*state, &rx, ad, 3, buf, sizeof(buf)), -EBADMSG);
			ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		memcpy(buf, sealed, sizeof(buf));
		assert_int_equal(aead_open(*state, &rx, ad, 2, buf, sizeof(buf)), -EBADMSG);
		/* After all these failures the context still opens the true one. */
		memcpy(buf, sealed, sizeof(buf));
		assert_int_equal(aead_open(*state, &rx, ad, 3, buf, sizeof(buf)), 24);
		assert_string_equal((char *)buf, "text");
	}
}

static void refuses_what_is_shorter_than_a_tag(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 1);
		uint8_t buf[AEAD_TAG] = {0};

		for (size_t len = 0; len <= sizeof(buf); len++)
			assert_int_equal(aead_open(*state, &key, NULL, 0, buf, len), -EBADMSG);
	}
}

static void the_last_counter_is_never_used(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 9);
		uint8_t buf[4 + AEAD_TAG] = "abc";

		key.counter = UINT64_MAX - 1;
		assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 4), 0);
		assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 4), -EKEYEXPIRED);
		assert_true(key.counter == UINT64_MAX);
		assert_int_equal(aead_open(*state, &key, NULL, 0, buf, sizeof(buf)), -EBADMSG);
	}
}

static void unknown_cipher_is_an_error(void **state)
{
	struct aead_key key = counting_key(AEAD_AES256GCM, 0);
	uint8_t buf[4 + AEAD_TAG] = {0};

	key.cipher = 0;
	assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 4), -EIO);
	key.cipher = 3;
	assert_int_equal(aead_seal(*state, &key, NULL, 0, buf, 4), -EIO);
	assert_int_equal(aead_open(*state, &key, NULL, 0, buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(aead_rekey(*state, &key), -EIO);
}

/* REKEY(k): the first 32 bytes of 32 zeroes sealed with the greatest nonce. */
static void rekey_is_the_specifications(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 3), max = key;
		uint8_t want[AEAD_KEY + AEAD_TAG], zero[AEAD_KEY] = {0};

		max.counter = UINT64_MAX;
		if (!reference_seal(&max, NULL, 0, zero, sizeof(zero), want))
			continue;
		key.counter = 77;
		assert_int_equal(aead_rekey(*state, &key), 0);
		assert_memory_equal(key.key, want, AEAD_KEY);
		assert_int_equal(key.counter, 0);
		assert_int_equal(key.cipher, ciphers[c]);
	}
}

static void both_sides_rekey_many_times(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key tx = counting_key(ciphers[c], 3), rx = tx, old = tx;
		uint8_t buf[8 + AEAD_TAG], sealed[sizeof(buf)];

		for (size_t i = 0; i < 50; i++) {
			assert_int_equal(aead_rekey(*state, &tx), 0);
			assert_int_equal(aead_rekey(*state, &rx), 0);
			assert_memory_not_equal(tx.key, old.key, AEAD_KEY);
			assert_false(aead_remembers(*state, &old));
			memcpy(buf, "message", 8);
			assert_int_equal(aead_seal(*state, &tx, NULL, 0, buf, 8), 0);
			memcpy(sealed, buf, sizeof(buf));
			assert_int_equal(
				aead_open(*state, &old, NULL, 0, sealed, sizeof(buf)), -EBADMSG);
			assert_int_equal(aead_open(*state, &rx, NULL, 0, buf, sizeof(buf)), 8);
			assert_string_equal((char *)buf, "message");
			old = tx;
			old.counter = 0;
		}
	}
}

static void wipe_leaves_nothing(void **state)
{
	struct aead_key key = counting_key(AEAD_CHACHA20POLY1305, 1);

	(void)state;
	aead_key_wipe(&key);
	assert_true(sodium_is_zero((const uint8_t *)&key, sizeof(key)));
}

static void forgotten_keys_are_gone_and_others_stay(void **state)
{
	for (size_t c = 0; c < 2; c++) {
		struct aead_key key = counting_key(ciphers[c], 1),
				other = counting_key(ciphers[c], 2);
		struct aead *aead = *state;
		uint8_t buf[64 + AEAD_TAG] = {0}, again[64 + AEAD_TAG] = {0};
		bool kept;

		assert_int_equal(aead_seal_at(aead, &key, 7, NULL, 0, buf, 64), 0);
		memcpy(again, buf, sizeof(buf));
		assert_int_equal(aead_open_at(aead, &key, 7, NULL, 0, again, sizeof(again)), 64);
		kept = aead_remembers(aead, &key); /* not by every library */
		if (ciphers[c] == AEAD_AES256GCM)
			assert_true(kept);
		assert_false(aead_remembers(aead, &other));
		aead_forget(aead, &other);
		assert_int_equal(aead_remembers(aead, &key), kept);
		aead_forget(aead, &key);
		assert_false(aead_remembers(aead, &key));
		/* It can be used anew, and gives the same. */
		memset(again, 0, sizeof(again));
		assert_int_equal(aead_seal_at(aead, &key, 7, NULL, 0, again, 64), 0);
		assert_memory_equal(again, buf, sizeof(buf));
	}
}

static void choice_follows_the_hardware(void **state)
{
	const unsigned gcm = 1U << AEAD_AES256GCM, chacha = 1U << AEAD_CHACHA20POLY1305;

	(void)state;
	assert_true(aead_supported() & chacha);
	assert_int_equal(aead_choose(0), 0);
	assert_int_equal(aead_choose(1U << 5), 0); /* a cipher of a later version */
	assert_int_equal(aead_choose(chacha), AEAD_CHACHA20POLY1305);
	assert_int_equal(aead_choose(gcm), AEAD_AES256GCM);
	assert_int_equal(aead_choose(gcm | chacha),
		aead_supported() & gcm ? AEAD_AES256GCM : AEAD_CHACHA20POLY1305);
	/* libsodium asks the processor for the same instructions. */
	assert_int_equal(!!(aead_supported() & gcm), crypto_aead_aes256gcm_is_available());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aes256gcm_published_vector),
		cmocka_unit_test(aes256gcm_published_vector_empty),
		cmocka_unit_test(chacha20poly1305_published_vector),
		cmocka_unit_test(agrees_with_libsodium_for_all_sizes),
		cmocka_unit_test(counters_of_the_caller_in_any_order),
		cmocka_unit_test(many_keys_share_one_scratch),
		cmocka_unit_test(refuses_every_flipped_bit),
		cmocka_unit_test(refuses_what_is_shorter_than_a_tag),
		cmocka_unit_test(the_last_counter_is_never_used),
		cmocka_unit_test(unknown_cipher_is_an_error),
		cmocka_unit_test(rekey_is_the_specifications),
		cmocka_unit_test(both_sides_rekey_many_times),
		cmocka_unit_test(wipe_leaves_nothing),
		cmocka_unit_test(forgotten_keys_are_gone_and_others_stay),
		cmocka_unit_test(choice_follows_the_hardware),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

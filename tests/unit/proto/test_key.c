/* SPDX-License-Identifier: MIT */
/* Keys: text form, derivation, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "key.h"

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static void text_round_trips(void **state)
{
	char text[KEY_STRLEN];
	struct key key, got;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		key_generate_psk(&key);
		assert_ptr_equal(key_format(&key, text), text);
		assert_int_equal(strlen(text), KEY_STRLEN - 1);
		assert_int_equal(key_parse(text, &got), 0);
		assert_true(key_equal(&key, &got));
	}
	memset(&key, 0, sizeof(key));
	assert_string_equal(key_format(&key, text), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

static void malformed_text_is_refused(void **state)
{
	static const char *const texts[] = {"", "A", "=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	 /* no padding */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",	 /* 31 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	 /* 33 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ", /* something behind */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", /* bits behind the end */
		"AAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAA=AAAAAAAAAAAAAAAAAAAAAA=",
		"-_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* URL form */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\xff"};
	struct key key, before;

	(void)state;
	key_generate_psk(&key);
	before = key;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (key_parse(texts[i], &key) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_true(key_equal(&key, &before)); /* untouched */
	}
}

static bool is_base64(unsigned c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

/* One spelling for each key: any other character at any place is refused or another key. */
static void one_spelling_for_each_key(void **state)
{
	char text[KEY_STRLEN], bad[KEY_STRLEN];
	struct key key, got;

	(void)state;
	key_generate_psk(&key);
	key_format(&key, text);
	for (size_t at = 0; at < KEY_STRLEN - 1; at++) {
		for (unsigned c = 1; c < 256; c++) {
			bool valid = at < 42 && is_base64(c);

			memcpy(bad, text, sizeof(bad));
			bad[at] = (char)c;
			if (bad[at] == text[at] || (at == 42 && is_base64(c)))
				continue;
			assert_int_equal(key_parse(bad, &got), valid ? 0 : -EINVAL);
			if (valid)
				assert_false(key_equal(&key, &got));
		}
	}
}

/* libsodium 1.0.18 takes some bytes above 127 for characters of base64. */
static void high_bytes_are_refused(void **state)
{
	static const char text[] = "LHDhK3oGRvkiefQnx7OOc\x86\xab\xa6\xc0Tic/xZ6HcMOc/gmtoM=";
	struct key key;

	(void)state;
	assert_int_equal(strlen(text), KEY_STRLEN - 1);
	assert_int_equal(key_parse(text, &key), -EINVAL);
}

/* RFC 7748 section 6.1. */
static void public_key_is_derived(void **state)
{
	static const char private_hex[] =
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
	static const char public_hex[] =
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
	struct key private_key, public_key, want;

	(void)state;
	assert_int_equal(sodium_hex2bin(private_key.b, 32, private_hex, 64, NULL, NULL, NULL), 0);
	assert_int_equal(sodium_hex2bin(want.b, 32, public_hex, 64, NULL, NULL, NULL), 0);
	assert_int_equal(key_public(&private_key, &public_key), 0);
	assert_true(key_equal(&public_key, &want));
}

static void private_keys_are_clamped_and_differ(void **state)
{
	struct key a, b;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		key_generate_private(&a);
		key_generate_private(&b);
		assert_false(key_equal(&a, &b));
		assert_int_equal(a.b[0] & 7, 0);
		assert_int_equal(a.b[31] & 0xc0, 0x40);
	}
}

static void comparison(void **state)
{
	struct key a = {{0}}, b = {{0}};

	(void)state;
	assert_true(key_is_zero(&a));
	for (size_t bit = 0; bit < 256; bit++) {
		b.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(key_equal(&a, &b));
		assert_false(key_is_zero(&b));
		b.b[bit / 8] = 0;
	}
	assert_true(key_equal(&a, &b));
}

static void memory_is_zeroed_and_guarded(void **state)
{
	struct key *key = key_new();
	int status;

	(void)state;
	assert_non_null(key);
	assert_true(key_is_zero(key));
	key_generate_psk(key);
	/* A read behind the key ends the process that does it. */
	if (fork() == 0) {
		struct rlimit none = {0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL); /* not the harness's handler */
		_exit(((volatile uint8_t *)key)[sizeof(*key)] & 0);
	}
	assert_true(wait(&status) > 0);
	assert_true(WIFSIGNALED(status));
	key_free(key);
	key_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_round_trips),
		cmocka_unit_test(malformed_text_is_refused),
		cmocka_unit_test(one_spelling_for_each_key),
		cmocka_unit_test(high_bytes_are_refused),
		cmocka_unit_test(public_key_is_derived),
		cmocka_unit_test(private_keys_are_clamped_and_differ),
		cmocka_unit_test(comparison),
		cmocka_unit_test(memory_is_zeroed_and_guarded),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Forms of the WireGuard messages, MACs, cookies, and the replay window. */
#include <sodium.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wg_cookie.h"
#include "wg_msg.h"
#include "wg_replay.h"

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static void type_needs_its_size_and_zero_reserved_bytes(void **state)
{
	static const size_t sizes[] = {
		[WG_INITIATION] = 148, [WG_RESPONSE] = 92, [WG_COOKIE_REPLY] = 64, [WG_DATA] = 32};
	uint8_t msg[200] = {0};

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		msg[0] = (uint8_t)type;
		for (size_t len = 0; len <= sizeof(msg); len++) {
			bool known = type >= WG_INITIATION && type <= WG_DATA;
			bool fits = known && (type == WG_DATA ? len >= 32 : len == sizes[type]);

			assert_int_equal(wg_msg_type(msg, len), fits ? (int)type : -EPROTO);
		}
	}
	for (unsigned type = WG_INITIATION; type <= WG_DATA; type++) {
		for (size_t i = 1; i < 4; i++) {
			wg_msg_put_type(msg, type);
			assert_int_equal(wg_msg_type(msg, sizes[type]), type);
			msg[i] = 1;
			assert_int_equal(wg_msg_type(msg, sizes[type]), -EPROTO);
		}
	}
}

static void integers_are_little_endian(void **state)
{
	uint8_t b[8];

	(void)state;
	wg_put64(b, 0x0807060504030201);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(b[i], i + 1);
	assert_true(wg_get64(b) == 0x0807060504030201);
	assert_true(wg_get32(b + 4) == 0x08070605);
}

static int packet_length(const char *bytes, size_t len, size_t room)
{
	uint8_t *exact = calloc(1, room ? room : 1);
	int r;

	assert_non_null(exact);
	memcpy(exact, bytes, len < room ? len : room);
	r = wg_msg_packet_length(exact, room);
	free(exact);
	return r;
}

static void packet_length_is_the_headers(void **state)
{
	(void)state;
	assert_int_equal(packet_length("", 0, 0), 0);
	/* IPv4: total length */
	assert_int_equal(packet_length("\x45\0\0\x14", 4, 32), 20);
	assert_int_equal(packet_length("\x45\0\0\x20", 4, 32), 32);
	assert_int_equal(packet_length("\x45\0\0\x21", 4, 32), -EPROTO);
	assert_int_equal(packet_length("\x45\0\0\x13", 4, 32), -EPROTO);
	assert_int_equal(packet_length("\x45\0\xff\xff", 4, 32), -EPROTO);
	assert_int_equal(packet_length("\x45\0\0", 3, 3), -EPROTO);
	/* IPv6: payload length and 40 */
	assert_int_equal(packet_length("\x60\0\0\0\0\0", 6, 40), 40);
	assert_int_equal(packet_length("\x60\0\0\0\0\x08", 6, 48), 48);
	assert_int_equal(packet_length("\x60\0\0\0\0\x09", 6, 48), -EPROTO);
	assert_int_equal(packet_length("\x60\0\0\0\xff\xff", 6, 48), -EPROTO);
	assert_int_equal(packet_length("\x60\0\0\0\0\0", 6, 39), -EPROTO);
	for (size_t len = 1; len < 20; len++) {
		assert_int_equal(packet_length("\x45\0\0\x14", 4, len), -EPROTO);
		assert_int_equal(packet_length("\x60\0\0\0\0\0", 6, len), -EPROTO);
	}
	for (unsigned version = 0; version < 16; version++) {
		char first[4] = {(char)(version << 4), 0, 0, 20};

		if (version != 4 && version != 6)
			assert_int_equal(packet_length(first, 4, 64), -EPROTO);
	}
}

static void macs_and_cookie_refuse_every_flipped_bit(void **state)
{
	uint8_t msg[WG_INITIATION_LEN] = {1}, cookie[WG_COOKIE_LEN] = {5};
	struct wg_cookie_keys keys, other;
	struct key key = {{9}};

	(void)state;
	wg_cookie_keys(&key, &keys);
	key.b[1] = 1;
	wg_cookie_keys(&key, &other);
	wg_cookie_put_macs(&keys, cookie, msg, sizeof(msg));
	assert_true(wg_cookie_check_mac1(&keys, msg, sizeof(msg)));
	assert_false(wg_cookie_check_mac1(&other, msg, sizeof(msg)));
	assert_true(wg_cookie_check_mac2(cookie, msg, sizeof(msg)));
	for (size_t bit = 0; bit < 8 * sizeof(msg); bit++) {
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(wg_cookie_check_mac1(&keys, msg, sizeof(msg)),
			bit / 8 >= sizeof(msg) - WG_MAC_LEN);
		assert_false(wg_cookie_check_mac2(cookie, msg, sizeof(msg)));
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	cookie[0] ^= 1;
	assert_false(wg_cookie_check_mac2(cookie, msg, sizeof(msg)));
	wg_cookie_put_macs(&keys, NULL, msg, sizeof(msg));
	assert_true(sodium_is_zero(msg + sizeof(msg) - WG_MAC_LEN, WG_MAC_LEN));
	memset(cookie, 0, sizeof(cookie));
	assert_false(wg_cookie_check_mac2(cookie, msg, sizeof(msg)));
}

static void cookie_depends_on_address_port_and_secret(void **state)
{
	uint8_t secret[WG_COOKIE_KEY] = {1}, a[WG_COOKIE_LEN], b[WG_COOKIE_LEN];
	struct endpoint from;

	(void)state;
	assert_int_equal(endpoint_parse("192.0.2.1:5", &from), 0);
	wg_cookie_make(secret, &from, a);
	wg_cookie_make(secret, &from, b);
	assert_memory_equal(a, b, sizeof(a));
	from.port++;
	wg_cookie_make(secret, &from, b);
	assert_memory_not_equal(a, b, sizeof(a));
	from.port--;
	from.addr.b[15]++;
	wg_cookie_make(secret, &from, b);
	assert_memory_not_equal(a, b, sizeof(a));
	from.addr.b[15]--;
	secret[0]++;
	wg_cookie_make(secret, &from, b);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void cookie_reply_is_bound_to_key_and_mac1(void **state)
{
	uint8_t cookie[WG_COOKIE_LEN] = {1, 2}, nonce[WG_NONCE_LEN] = {3}, mac1[WG_MAC_LEN] = {4},
		got[WG_COOKIE_LEN], msg[WG_COOKIE_REPLY_LEN], zero[WG_COOKIE_LEN] = {0};
	struct wg_cookie_keys keys, other;
	struct key key = {{9}};

	(void)state;
	wg_cookie_keys(&key, &keys);
	key.b[1] = 1;
	wg_cookie_keys(&key, &other);
	wg_cookie_reply_seal(&keys, nonce, 0x01020304, cookie, mac1, msg);
	assert_int_equal(wg_msg_type(msg, sizeof(msg)), WG_COOKIE_REPLY);
	assert_int_equal(wg_get32(msg + WG_COOKIE_REPLY_RECEIVER), 0x01020304);
	assert_int_equal(wg_cookie_reply_open(&keys, mac1, msg, got), 0);
	assert_memory_equal(got, cookie, sizeof(cookie));
	memset(got, 0, sizeof(got));
	assert_int_equal(wg_cookie_reply_open(&other, mac1, msg, got), -EBADMSG);
	mac1[0]++;
	assert_int_equal(wg_cookie_reply_open(&keys, mac1, msg, got), -EBADMSG);
	mac1[0]--;
	for (size_t bit = 8 * WG_COOKIE_REPLY_NONCE; bit < 8 * sizeof(msg); bit++) {
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(wg_cookie_reply_open(&keys, mac1, msg, got), -EBADMSG);
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_memory_equal(got, zero, sizeof(got));
}

/* ---- replay window ---- */

static bool take(struct wg_replay *replay, uint64_t counter)
{
	if (wg_replay_seen(replay, counter))
		return false;
	wg_replay_mark(replay, counter);
	assert_true(wg_replay_seen(replay, counter));
	return true;
}

static void window_takes_each_counter_once(void **state)
{
	struct wg_replay replay;

	(void)state;
	wg_replay_init(&replay);
	assert_true(take(&replay, 0));
	assert_false(take(&replay, 0));
	assert_true(take(&replay, 1));
	assert_false(take(&replay, 1));
	assert_true(take(&replay, 9));
	assert_true(take(&replay, 8));
	assert_true(take(&replay, 7));
	assert_false(take(&replay, 7));
	assert_false(take(&replay, 8));
	assert_false(take(&replay, 9));
	assert_true(take(&replay, 2));
}

static void window_is_wide_and_ends(void **state)
{
	struct wg_replay replay;

	(void)state;
	assert_true(WG_REPLAY_WINDOW >= 2000);
	for (uint64_t top = WG_REPLAY_BITS; top < WG_REPLAY_BITS + 200; top++) {
		wg_replay_init(&replay);
		assert_true(take(&replay, top));
		assert_false(take(&replay, top + 1 - WG_REPLAY_WINDOW - 1));
		assert_true(take(&replay, top + 1 - WG_REPLAY_WINDOW));
		assert_false(take(&replay, top + 1 - WG_REPLAY_WINDOW));
		assert_false(take(&replay, 0));
	}
}

static void window_survives_jumps(void **state)
{
	const uint64_t last = UINT64_MAX - (1ULL << 13) - 1;
	struct wg_replay replay;

	(void)state;
	wg_replay_init(&replay);
	for (uint64_t counter = 0; counter < 3 * WG_REPLAY_BITS; counter++)
		assert_true(take(&replay, counter));
	/* Exactly the ring's size, more, and to the end of all counters. */
	assert_true(take(&replay, 4 * WG_REPLAY_BITS));
	assert_true(take(&replay, 4 * WG_REPLAY_BITS - 1));
	assert_false(take(&replay, 3 * WG_REPLAY_BITS - 1));
	assert_true(take(&replay, 1ULL << 40));
	assert_true(take(&replay, (1ULL << 40) - 1));
	assert_true(take(&replay, (1ULL << 40) - WG_REPLAY_WINDOW + 1));
	assert_false(take(&replay, 4 * WG_REPLAY_BITS + 1));
	assert_true(take(&replay, last));
	assert_true(take(&replay, last - 1));
	assert_false(take(&replay, last));
}

/* Against the plain definition: a set of all counters, and a lower end. */
static void window_agrees_with_a_plain_model(void **state)
{
	enum { RANGE = 60000 };
	uint8_t *set = calloc(1, RANGE);
	uint64_t top = 0, random = 88172645463325252ULL;
	struct wg_replay replay;
	bool any = false;

	(void)state;
	assert_non_null(set);
	wg_replay_init(&replay);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t counter, low;
		bool fresh;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		low = top > 5000 ? top - 5000 : 0;
		counter = low + random % (top - low + (random >> 60 ? 40 : 700));
		if (counter >= RANGE)
			break;
		fresh = !set[counter] && (!any || counter + WG_REPLAY_WINDOW > top);
		assert_int_equal(take(&replay, counter), fresh);
		if (fresh) {
			set[counter] = 1;
			if (counter > top)
				top = counter;
			any = true;
		}
	}
	assert_true(top > RANGE / 2);
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(type_needs_its_size_and_zero_reserved_bytes),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(packet_length_is_the_headers),
		cmocka_unit_test(macs_and_cookie_refuse_every_flipped_bit),
		cmocka_unit_test(cookie_depends_on_address_port_and_secret),
		cmocka_unit_test(cookie_reply_is_bound_to_key_and_mac1),
		cmocka_unit_test(window_takes_each_counter_once),
		cmocka_unit_test(window_is_wide_and_ends),
		cmocka_unit_test(window_survives_jumps),
		cmocka_unit_test(window_agrees_with_a_plain_model),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

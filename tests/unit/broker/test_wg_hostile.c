/* SPDX-License-Identifier: MIT */
/* What replays, forgeries, broken messages and floods do to the WireGuard protocol: nothing. */
#include "wg_world.h"

#include <errno.h>

#include "handshake.h"

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

/* Keeps the last message of a type from side 0 (side 1 with the second member). */
struct tap {
	struct world_msg msg[5];
	int side;
	bool drop;
};

static bool tap(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	struct tap *t = world->filter_arg;

	if (from != &world->side[t->side])
		return false;
	t->msg[msg[0]].len = len;
	memcpy(t->msg[msg[0]].bytes, msg, len);
	return t->drop;
}

static uint64_t rejected(struct world *w, int side)
{
	struct wg_peer_status status;

	wg_peer_status(w->side[side].peer, &status);
	return status.rejected;
}

static struct world *tapped(uint64_t seed, struct tap *t)
{
	struct world *w = world_new(seed, NULL);

	w->filter = tap;
	w->filter_arg = t;
	return w;
}

static int inject(struct world *w, int side, const struct world_msg *m)
{
	return world_inject(w, side, &w->side[!side].at, m->bytes, m->len);
}

static void replayed_messages_are_dropped(void **state)
{
	struct tap t = {.side = 0};
	struct world *w = tapped(1, &t);
	uint64_t responses;

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	responses = w->side[1].sent[WG_RESPONSE];
	assert_int_equal(inject(w, 1, &t.msg[WG_DATA]), -EALREADY);
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), -EALREADY);
	world_run(w, 30 * WG_S);
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), -EALREADY);
	assert_int_equal(w->side[1].sent[WG_RESPONSE], responses);
	assert_int_equal(w->side[1].ngot, 1);
	assert_int_equal(rejected(w, 1), 3);
	/* An older one than the last that was taken, although it never arrived. */
	t.drop = true;
	w->side[0].peer->handshake_ns = 0;
	wg_initiate(w->side[0].peer, false);
	t.drop = false;
	w->filter = NULL;
	world_run(w, 7 * WG_S); /* the retransmission is taken */
	assert_int_equal(w->side[1].sent[WG_RESPONSE], responses + 1);
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), -EALREADY);
	world_free(w);
}

static void replayed_response_finds_no_handshake(void **state)
{
	struct tap t = {.side = 1};
	struct world *w = tapped(2, &t);

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(inject(w, 0, &t.msg[WG_RESPONSE]), -ENOENT);
	assert_true(world_session(w, 0));
	world_free(w);
}

static void flip_all(struct world *w, int side, const struct world_msg *m)
{
	const struct endpoint mallory = {.addr = {{9}}, .port = 9};
	struct wg_peer_status before, after;
	uint8_t bytes[2048];

	wg_peer_status(w->side[side].peer, &before);
	for (size_t bit = 0; bit < 8 * m->len; bit++) {
		memcpy(bytes, m->bytes, m->len);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* MAC2 counts under load only. */
		if (m->bytes[0] <= WG_RESPONSE && bit / 8 >= m->len - WG_MAC_LEN)
			continue;
		assert_true(world_inject(w, side, &mallory, bytes, m->len) < 0);
	}
	wg_peer_status(w->side[side].peer, &after);
	assert_true(endpoint_equal(&before.endpoint, &after.endpoint));
	assert_int_equal(before.rx_bytes, after.rx_bytes);
	assert_true(before.heard_ns == after.heard_ns);
}

static void forged_messages_change_nothing(void **state)
{
	struct tap t = {.side = 0, .drop = true};
	struct world *w = tapped(3, &t);

	(void)state;
	world_output(w, 0, 1);
	flip_all(w, 1, &t.msg[WG_INITIATION]);
	assert_int_equal(w->side[1].sent[WG_RESPONSE], 0);
	t.side = 1;
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), 0);
	flip_all(w, 0, &t.msg[WG_RESPONSE]);
	t.side = 0;
	assert_int_equal(inject(w, 0, &t.msg[WG_RESPONSE]), 0);
	assert_int_equal(t.msg[WG_DATA].len, 16 + 32 + 16);
	flip_all(w, 1, &t.msg[WG_DATA]);
	assert_false(world_session(w, 1)); /* no forgery confirmed it */
	assert_true(inject(w, 1, &t.msg[WG_DATA]) > 0);
	assert_true(world_session(w, 1));
	assert_int_equal(w->side[1].ngot, 1);
	world_free(w);
}

static void forged_counters_do_not_move_the_window(void **state)
{
	static const uint64_t counters[] = {1, 5000, 1ULL << 60, WG_REJECT_AFTER_MESSAGES - 1,
		WG_REJECT_AFTER_MESSAGES, UINT64_MAX};
	struct tap t = {.side = 0};
	struct world *w = tapped(4, &t);

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		struct world_msg m = t.msg[WG_DATA];

		wg_put64(m.bytes + WG_DATA_COUNTER, counters[i]);
		assert_int_equal(inject(w, 1, &m),
			counters[i] >= WG_REJECT_AFTER_MESSAGES ? -EALREADY : -EBADMSG);
	}
	for (uint32_t i = 2; i < 10; i++)
		world_output(w, 0, i);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 9);
	world_free(w);
}

static void truncated_and_lengthened_messages_are_dropped(void **state)
{
	struct tap t = {.side = 0}, u = {.side = 1};
	struct world *w = tapped(5, &t);
	const struct world_msg *m[3];
	uint8_t bytes[2048] = {0};

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	w->filter_arg = &u;
	w->now_ns += 200 * WG_S;
	world_output(w, 0, 2);
	world_run(w, WG_S);
	m[0] = &t.msg[WG_INITIATION];
	m[1] = &u.msg[WG_RESPONSE];
	m[2] = &t.msg[WG_DATA];
	for (size_t i = 0; i < 3; i++) {
		assert_true(m[i]->len > 0);
		for (size_t len = 0; len < m[i]->len + 40; len++) {
			int r;

			if (len == m[i]->len)
				continue;
			memcpy(bytes, m[i]->bytes, m[i]->len);
			for (int side = 0; side < 2; side++) {
				r = world_inject(w, side, &w->side[!side].at, bytes, len);
				assert_true(r < 0);
				if (i < 2 || len < WG_DATA_MIN)
					assert_int_equal(r, -EPROTO);
			}
		}
	}
	assert_int_equal(w->side[1].ngot, 2);
	world_free(w);
}

/* A peer may send anything inside; what is no packet is not handed out. */
static void authentic_rubbish_is_counted_and_dropped(void **state)
{
	static const char texts[][7] = {"\x45\0\0\x13", "\x45\0\x20\0", "\x60\0\0\0\xff\xff",
		"\x10", "\0\0\0\0", "\xff\xff\xff\xff"};
	struct world *w = world_new(6, NULL);

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t buf[WG_HEADROOM * 2 + 64 + WG_TAILROOM] = {0};

		memcpy(buf + 2 * WG_HEADROOM, texts[i], 6);
		assert_int_equal(wg_output(w->side[0].peer, w->now_ns, w->wall_ns,
					 buf + 2 * WG_HEADROOM, 64),
			0);
		world_run(w, WG_S);
		assert_int_equal(w->side[1].ngot, 1);
		assert_int_equal(rejected(w, 1), i + 1);
	}
	assert_true(world_session(w, 1));
	world_free(w);
}

static void random_bytes_do_no_harm(void **state)
{
	struct world *w = world_new(7, NULL);
	struct wg_stats stats;
	uint8_t bytes[300];

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.computed, 1);
	for (unsigned i = 0; i < 20000; i++) {
		static const size_t sizes[] = {0, 148, 92, 64, 32};
		size_t len = world_random(w) % sizeof(bytes);

		world_fill_random(&w->side[0], bytes, sizeof(bytes));
		if (i % 4 > 0) {
			unsigned type = 1 + world_random(w) % 4;

			wg_msg_put_type(bytes, type);
			len = sizes[type] + (type == WG_DATA ? world_random(w) % 100 : 0);
		}
		if (i % 3 == 0 && bytes[0] == WG_DATA)
			wg_put32(bytes + WG_DATA_RECEIVER, w->side[1].peer->cur->index.number);
		assert_true(world_inject(w, 1, &w->side[0].at, bytes, len) < 0);
	}
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.computed, 1);
	assert_int_equal(w->side[1].ngot, 1);
	world_output(w, 0, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 2);
	world_free(w);
}

/* ---- floods ---- */

/* An initiation of somebody who knows the public key and nothing else. */
static void stranger(struct world *w, uint8_t msg[WG_INITIATION_LEN], bool mac1)
{
	world_fill_random(&w->side[2], msg, WG_INITIATION_LEN);
	wg_msg_put_type(msg, WG_INITIATION);
	if (mac1)
		wg_cookie_put_macs(&w->side[1].local->cookie_keys, NULL, msg, WG_INITIATION_LEN);
}

static struct world *with_stranger(uint64_t seed)
{
	struct world *w = world_new(seed, NULL);

	w->side[2].world = w;
	return w;
}

static void flood_without_mac1_costs_no_diffie_hellman(void **state)
{
	struct world *w = with_stranger(8);
	uint8_t msg[WG_INITIATION_LEN];
	struct wg_stats stats;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		stranger(w, msg, false);
		assert_int_equal(world_inject(w, 1, &w->side[0].at, msg, sizeof(msg)), -ENOENT);
	}
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.computed, 0);
	assert_int_equal(stats.scans, 5000);
	assert_false(stats.under_load);
	world_free(w);
}

/* With a thousand identities each message may cost a thousand hashes: there is a limit on these. */
static void flood_over_many_identities_is_bounded(void **state)
{
	struct world *w = with_stranger(9);
	uint8_t msg[WG_INITIATION_LEN];
	struct wg_stats stats;
	unsigned limited = 0;

	(void)state;
	w->side[1].wg->nlocals = 1000; /* as if they were there */
	for (unsigned i = 0; i < 2000; i++) {
		int r;

		stranger(w, msg, false);
		r = world_inject(w, 1, &w->side[0].at, msg, sizeof(msg));
		assert_true(r == -ENOENT || r == -EAGAIN);
		limited += r == -EAGAIN;
		world_set_time(w, w->now_ns + WG_MS);
	}
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.scans + limited, 2000);
	assert_int_equal(stats.limited, limited);
	/* 300 in the first second's credit, and 300 a second. */
	assert_true(stats.scans >= 800 && stats.scans <= 950);
	w->side[1].wg->nlocals = 1;
	world_free(w);
}

/* Who has had a handshake from where it is costs one hash, so it does not depend on that limit. */
static void peer_rekeys_while_strangers_use_up_the_budget(void **state)
{
	struct world *w = world_new(30, NULL);
	uint8_t msg[WG_INITIATION_LEN];
	struct endpoint from = w->side[0].at;
	unsigned limited = 0;

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	w->side[1].wg->nlocals = 100000; /* as if they were there */
	from.addr.b[12] = 198;
	for (unsigned i = 0; i < 200 * 20; i++) {
		w->side[2].world = w;
		stranger(w, msg, false);
		world_fill_random(&w->side[2], from.addr.b + 13, 3);
		limited += world_inject(w, 1, &from, msg, sizeof(msg)) == -EAGAIN;
		world_run(w, 50 * WG_MS);
		if (i % 20 == 0)
			assert_int_equal(world_output(w, 0, 2 + i / 20), 0);
	}
	assert_true(limited > 3000);
	assert_int_equal(w->side[1].ngot, 1 + 200);
	assert_true(w->side[1].received[WG_INITIATION] >= 2);
	assert_true(w->side[1].sent[WG_RESPONSE] == w->side[1].received[WG_INITIATION]);
	w->side[1].wg->nlocals = 1;
	world_free(w);
}

/* A cookie costs its owner nothing; it must not buy him hashes without end. */
static void a_cookie_buys_no_unlimited_search(void **state)
{
	struct world *w = with_stranger(31);
	uint8_t msg[WG_INITIATION_LEN], cookie[WG_COOKIE_LEN];
	struct wg_stats stats;

	(void)state;
	w->side[1].wg->loaded_until_ns = UINT64_MAX;
	for (unsigned i = 0; i < 1000; i++) {
		stranger(w, msg, false);
		w->side[1].wg->now_ns = w->now_ns;
		wg_load_cookie(w->side[1].wg, &w->side[0].at, cookie);
		wg_mac(cookie, sizeof(cookie), msg, sizeof(msg) - WG_MAC_LEN,
			msg + sizeof(msg) - WG_MAC_LEN);
		assert_true(world_inject(w, 1, &w->side[0].at, msg, sizeof(msg)) < 0);
		world_set_time(w, w->now_ns + WG_MS);
	}
	wg_stats(w->side[1].wg, &stats);
	/* The burst, and a second's rate. */
	assert_true(stats.scans >= WG_SOURCE_RATE && stats.scans <= WG_SOURCE_RATE + 6);
	assert_int_equal(stats.scans + stats.limited, 1000);
	world_free(w);
}

static void flood(struct world *w, unsigned n, uint64_t ns)
{
	uint8_t msg[WG_INITIATION_LEN];
	struct endpoint from = w->side[0].at;

	for (unsigned i = 0; i < n; i++) {
		stranger(w, msg, true);
		world_fill_random(&w->side[2], from.addr.b + 12, 4);
		from.addr.b[12] = 198;
		assert_true(world_inject(w, 1, &from, msg, sizeof(msg)) < 0);
		world_run(w, ns / n);
	}
}

static void flood_with_mac1_is_answered_with_cookies(void **state)
{
	struct world *w = with_stranger(10);
	struct wg_stats stats;

	(void)state;
	flood(w, 2000, 100 * WG_MS);
	wg_stats(w->side[1].wg, &stats);
	assert_true(stats.under_load);
	assert_true(stats.computed >= WG_LOAD_BURST && stats.computed <= WG_LOAD_BURST + 30);
	assert_int_equal(stats.cookies, 2000 - stats.computed);
	assert_int_equal(w->side[1].sent[WG_COOKIE_REPLY], stats.cookies);
	world_run(w, 10 * WG_S);
	wg_tick(w->side[1].wg, w->now_ns, w->wall_ns);
	wg_stats(w->side[1].wg, &stats);
	assert_false(stats.under_load);
	world_free(w);
}

static void peer_gets_through_a_flood_by_its_cookie(void **state)
{
	struct world *w = with_stranger(11);
	struct wg_stats before, after;

	(void)state;
	flood(w, 1000, 100 * WG_MS);
	wg_stats(w->side[1].wg, &before);
	world_output(w, 0, 1);
	for (unsigned i = 0; i < 12 && w->side[1].ngot == 0; i++)
		flood(w, 1000, WG_S);
	wg_stats(w->side[1].wg, &after);
	assert_true(after.under_load);
	assert_int_equal(w->side[1].ngot, 1);
	/* Once for the cookie, once with it. */
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	assert_int_equal(w->side[0].received[WG_COOKIE_REPLY], 1);
	assert_int_equal(after.computed - before.computed, 1);
	world_free(w);
}

/* Both are under load: the response needs a cookie as well. */
static void response_under_load_needs_a_cookie_too(void **state)
{
	struct world *w = world_new(12, NULL);

	(void)state;
	for (unsigned i = 0; i < 20 && w->side[1].ngot == 0; i++) {
		if (i == 0)
			world_output(w, 0, 1);
		w->side[0].wg->loaded_until_ns = w->side[1].wg->loaded_until_ns = UINT64_MAX;
		world_run(w, WG_S);
	}
	assert_int_equal(w->side[1].ngot, 1);
	assert_int_equal(w->side[0].received[WG_COOKIE_REPLY], 1);
	assert_int_equal(w->side[1].received[WG_COOKIE_REPLY], 1);
	world_free(w);
}

static void cookie_is_bound_to_its_address_and_ages(void **state)
{
	struct tap t = {.side = 0, .drop = true};
	struct world *w = tapped(13, &t);
	struct endpoint other = w->side[0].at;
	struct wg_stats stats;

	(void)state;
	w->side[1].wg->loaded_until_ns = UINT64_MAX;
	world_output(w, 0, 1);
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), -EAGAIN);
	world_run(w, 6 * WG_S); /* the cookie arrives; the next initiation has MAC2 */
	other.port++;
	assert_int_equal(
		world_inject(w, 1, &other, t.msg[WG_INITIATION].bytes, t.msg[WG_INITIATION].len),
		-EAGAIN);
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.computed, 0);
	assert_int_equal(stats.cookies, 2);
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), 0);
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.computed, 1);
	/* Two minutes later the secret is another one, and the initiator has forgotten the cookie.
	 */
	world_run(w, 121 * WG_S);
	w->side[0].peer->handshake_ns = 0;
	wg_initiate(w->side[0].peer, false);
	assert_true(sodium_is_zero(
		t.msg[WG_INITIATION].bytes + WG_INITIATION_LEN - WG_MAC_LEN, WG_MAC_LEN));
	assert_int_equal(inject(w, 1, &t.msg[WG_INITIATION]), -EAGAIN);
	world_free(w);
}

static void forged_and_replayed_cookie_replies_are_dropped(void **state)
{
	struct tap t = {.side = 1, .drop = true};
	struct world *w = tapped(14, &t);

	(void)state;
	w->side[1].wg->loaded_until_ns = UINT64_MAX;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(t.msg[WG_COOKIE_REPLY].len, WG_COOKIE_REPLY_LEN);
	flip_all(w, 0, &t.msg[WG_COOKIE_REPLY]);
	assert_true(w->side[0].peer->cookie_ns == 0);
	assert_int_equal(inject(w, 0, &t.msg[WG_COOKIE_REPLY]), 0);
	assert_true(w->side[0].peer->cookie_ns != 0);
	assert_int_equal(inject(w, 0, &t.msg[WG_COOKIE_REPLY]), -EBADMSG);
	world_free(w);
}

static void source_with_a_cookie_is_limited_in_rate(void **state)
{
	struct world *w = with_stranger(15);
	uint8_t msg[WG_INITIATION_LEN], cookie[WG_COOKIE_LEN];
	struct wg_stats stats;

	(void)state;
	w->side[1].wg->loaded_until_ns = UINT64_MAX;
	w->side[1].wg->now_ns = w->now_ns;
	wg_load_cookie(w->side[1].wg, &w->side[0].at, cookie);
	for (unsigned i = 0; i < 1000; i++) {
		stranger(w, msg, true);
		wg_cookie_put_macs(&w->side[1].local->cookie_keys, cookie, msg, sizeof(msg));
		assert_true(world_inject(w, 1, &w->side[0].at, msg, sizeof(msg)) < 0);
		world_set_time(w, w->now_ns + WG_MS);
	}
	wg_stats(w->side[1].wg, &stats);
	assert_int_equal(stats.cookies, 0);
	assert_true(stats.computed >= WG_SOURCE_RATE);
	assert_true(stats.computed <= WG_SOURCE_RATE + WG_SOURCE_BURST);
	assert_int_equal(stats.limited + stats.computed, 1000);
	world_free(w);
}

/* A known peer that begins handshakes as fast as it can. */
static void peer_may_initiate_every_20_ms_only(void **state)
{
	struct tap t = {.side = 0, .drop = true};
	struct world *w = tapped(16, &t);
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		int r;

		w->side[0].peer->handshake_ns = 0;
		w->side[0].wg->now_ns = w->now_ns;
		wg_initiate(w->side[0].peer, false);
		r = inject(w, 1, &t.msg[WG_INITIATION]);
		assert_true(r == 0 || r == -EAGAIN);
		taken += r == 0;
		world_set_time(w, w->now_ns + 2 * WG_MS);
	}
	assert_int_equal(taken, 10);
	world_free(w);
}

/* A valid Noise message 1 by somebody who is no peer. */
static void unknown_initiator_gets_no_answer(void **state)
{
	struct world *w = world_new_sides(3, 17);

	(void)state;
	world_join(w, 1, 0, NULL, true, 0);
	world_join(w, 2, 1, NULL, true, 0);
	world_output(w, 2, 1);
	world_run(w, 20 * WG_S);
	assert_true(w->side[1].received[WG_INITIATION] > 1);
	assert_int_equal(w->side[1].sent[WG_RESPONSE], 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replayed_messages_are_dropped),
		cmocka_unit_test(replayed_response_finds_no_handshake),
		cmocka_unit_test(forged_messages_change_nothing),
		cmocka_unit_test(forged_counters_do_not_move_the_window),
		cmocka_unit_test(truncated_and_lengthened_messages_are_dropped),
		cmocka_unit_test(authentic_rubbish_is_counted_and_dropped),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(flood_without_mac1_costs_no_diffie_hellman),
		cmocka_unit_test(flood_over_many_identities_is_bounded),
		cmocka_unit_test(peer_rekeys_while_strangers_use_up_the_budget),
		cmocka_unit_test(a_cookie_buys_no_unlimited_search),
		cmocka_unit_test(flood_with_mac1_is_answered_with_cookies),
		cmocka_unit_test(peer_gets_through_a_flood_by_its_cookie),
		cmocka_unit_test(response_under_load_needs_a_cookie_too),
		cmocka_unit_test(cookie_is_bound_to_its_address_and_ages),
		cmocka_unit_test(forged_and_replayed_cookie_replies_are_dropped),
		cmocka_unit_test(source_with_a_cookie_is_limited_in_rate),
		cmocka_unit_test(peer_may_initiate_every_20_ms_only),
		cmocka_unit_test(unknown_initiator_gets_no_answer),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What the WireGuard protocol does by itself as time passes: rekeying, expiry, keepalives, and what
 * becomes of a peer that does not answer. */
#include "wg_world.h"

#include <errno.h>

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static struct world *connected(uint64_t seed)
{
	struct world *w = world_new(seed, NULL);

	world_output(w, 0, 0);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	return w;
}

static void initiator_rekeys_every_two_minutes_without_loss(void **state)
{
	struct world *w = connected(1);

	(void)state;
	/* 1 s has passed, so the session is 120 s old when packet 119 goes. */
	for (uint32_t i = 1; i <= 700; i++) {
		world_output(w, 0, i);
		world_output(w, 1, i);
		world_run(w, WG_S);
		if (i == 118)
			assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
		if (i == 121)
			assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	}
	assert_int_equal(w->side[1].ngot, 701);
	assert_int_equal(w->side[0].ngot, 700);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 6);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 0);
	world_free(w);
}

/* The initiator only listens: it asks for new keys before the old ones end at 180 s. */
static void listening_initiator_rekeys_from_165_seconds_on(void **state)
{
	struct world *w = connected(2);

	(void)state;
	world_run(w, 161 * WG_S);
	world_output(w, 1, 1);
	world_run(w, 2 * WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
	world_run(w, 2 * WG_S);
	world_output(w, 1, 2);
	world_run(w, 20 * WG_MS);
	assert_int_equal(w->side[0].ngot, 2);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	world_run(w, 5 * WG_S);
	for (uint32_t i = 3; i < 40; i++) {
		world_output(w, 1, i);
		world_run(w, WG_S);
	}
	assert_int_equal(w->side[0].ngot, 39);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 0);
	world_free(w);
}

static void rekeys_after_2_60_messages(void **state)
{
	struct world *w = connected(3);

	(void)state;
	world_run(w, 6 * WG_S);
	w->side[0].peer->cur->send.counter = WG_REKEY_AFTER_MESSAGES - 1;
	world_output(w, 0, 1);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
	world_output(w, 0, 2);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 3);
	/* The responder does so too, although it does not rekey by time. */
	world_run(w, 6 * WG_S);
	w->side[1].peer->cur->send.counter = WG_REKEY_AFTER_MESSAGES;
	world_output(w, 1, 3);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

static void never_sends_the_last_counters(void **state)
{
	struct world *w = connected(4);
	uint64_t data = w->side[0].sent[WG_DATA];

	(void)state;
	world_run(w, 6 * WG_S);
	w->side[0].peer->cur->send.counter = WG_REJECT_AFTER_MESSAGES - 1;
	world_output(w, 0, 1);
	assert_int_equal(w->side[0].sent[WG_DATA], data + 1);
	world_output(w, 0, 2); /* staged until there are new keys */
	assert_int_equal(w->side[0].sent[WG_DATA], data + 1);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 3);
	world_free(w);
}

static void session_ends_after_180_seconds(void **state)
{
	struct world *w = connected(5);

	(void)state;
	world_run(w, 178 * WG_S);
	assert_true(world_session(w, 0) && world_session(w, 1));
	world_run(w, 2 * WG_S);
	assert_false(world_session(w, 0) || world_session(w, 1));
	/* A message under the old keys is not taken any more. */
	world_output(w, 1, 1);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

static bool keep(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	struct world_msg *kept = world->filter_arg;

	if (msg[0] != WG_DATA || from != &world->side[0])
		return false;
	kept->len = len;
	memcpy(kept->bytes, msg, len);
	return true;
}

static void message_of_an_expired_session_is_dropped(void **state)
{
	struct world *w = connected(6);
	struct world_msg kept;

	(void)state;
	w->filter = keep;
	w->filter_arg = &kept;
	world_output(w, 0, 1);
	world_run(w, 180 * WG_S);
	assert_int_equal(world_inject(w, 1, &w->side[0].at, kept.bytes, kept.len), -ENOENT);
	assert_int_equal(w->side[1].ngot, 1);
	world_free(w);
}

static void all_keys_are_wiped_after_540_seconds(void **state)
{
	struct world *w = connected(7);
	struct aead_key keys[2][2];

	(void)state;
	world_run(w, 538 * WG_S);
	for (int side = 0; side < 2; side++)
		assert_false(sodium_is_zero(
			(uint8_t *)w->side[side].peer->slot, sizeof(w->side[side].peer->slot)));
	for (int side = 0; side < 2; side++) {
		keys[side][0] = w->side[side].peer->cur->send;
		keys[side][1] = w->side[side].peer->cur->recv;
		w->side[side].changed = 0;
	}
	world_run(w, 3 * WG_S);
	for (int side = 0; side < 2; side++) {
		const struct wg_peer *peer = w->side[side].peer;

		assert_true(sodium_is_zero((const uint8_t *)peer->slot, sizeof(peer->slot)));
		assert_true(sodium_is_zero((const uint8_t *)&peer->begun, sizeof(peer->begun)));
		for (int i = 0; i < 2; i++)
			assert_false(aead_remembers(w->side[side].wg->aead, &keys[side][i]));
		assert_null(w->side[side].wg->indices);
		assert_true(wg_deadline(w->side[side].wg) == UINT64_MAX);
		assert_int_equal(w->side[side].changed, 1);
	}
	world_output(w, 1, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

static void passive_keepalive_answers_silence_once(void **state)
{
	struct world *w = connected(8);

	(void)state;
	world_run(w, 8 * WG_S);
	assert_int_equal(w->side[1].keepalives, 0);
	world_run(w, 3 * WG_S);
	assert_int_equal(w->side[1].keepalives, 1);
	/* Neither does it answer itself nor does the other side answer it. */
	world_run(w, 60 * WG_S);
	assert_int_equal(w->side[1].keepalives, 1);
	assert_int_equal(w->side[0].keepalives, 0);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
	world_free(w);
}

static void passive_keepalives_go_on_while_data_comes(void **state)
{
	struct world *w = connected(9);

	(void)state;
	for (uint32_t i = 1; i <= 100; i++) {
		world_output(w, 0, i);
		world_run(w, WG_S);
	}
	assert_true(w->side[1].keepalives >= 9 && w->side[1].keepalives <= 11);
	/* One who answers sends none. */
	for (uint32_t i = 1; i <= 20; i++) {
		world_output(w, 0, i);
		world_output(w, 1, i);
		world_run(w, WG_S);
	}
	assert_true(w->side[1].keepalives <= 11);
	world_free(w);
}

static void persistent_keepalives_start_and_hold_the_session(void **state)
{
	struct world *w = world_new_sides(2, 10);
	size_t before;

	(void)state;
	world_join(w, 0, 1, NULL, true, 25);
	world_join(w, 1, 0, NULL, false, 0);
	world_run(w, WG_S);
	assert_true(world_session(w, 0) && world_session(w, 1));
	assert_int_equal(w->side[0].keepalives, 1);
	for (unsigned i = 0; i < 40; i++) {
		world_run(w, 25 * WG_S);
		assert_true(world_session(w, 0));
		assert_int_equal(world_output(w, 1, i), 0); /* the address is known */
	}
	assert_true(w->side[0].keepalives >= 38);
	/* Off again. */
	assert_int_equal(
		wg_peer_update(w->side[0].peer,
			&(struct wg_peer_config){.public_key = w->side[1].pub, .user = &w->side[0]},
			w->now_ns),
		0);
	world_run(w, 30 * WG_S); /* passive ones */
	before = w->side[0].keepalives;
	world_run(w, 200 * WG_S);
	assert_int_equal(w->side[0].keepalives, before);
	world_free(w);
}

static bool all(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	(void)world;
	(void)from;
	(void)msg;
	(void)len;
	return true;
}

static void dead_peer_gets_a_new_handshake_after_15_seconds(void **state)
{
	struct world *w = connected(11);

	(void)state;
	world_run(w, 20 * WG_S);
	w->filter = all;
	world_output(w, 0, 1);
	world_run(w, 14 * WG_S);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
	world_run(w, 2 * WG_S);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 2);
	w->filter = NULL;
	world_run(w, 6 * WG_S);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 3);
	assert_int_equal(w->side[1].sent[WG_RESPONSE], 2);
	world_free(w);
}

static void gives_up_after_90_seconds_and_begins_anew_with_data(void **state)
{
	struct world *w = world_new(12, NULL);
	uint64_t n = 0, at = 0;

	(void)state;
	w->filter = all;
	world_output(w, 0, 1);
	for (unsigned ms = 0; ms < 120000; ms += 10) {
		if (w->side[0].sent[WG_INITIATION] != n) {
			if (n > 0)
				assert_true(w->now_ns - at >= 5 * WG_S &&
					    w->now_ns - at < 5 * WG_S + 350 * WG_MS);
			at = w->now_ns;
			n = w->side[0].sent[WG_INITIATION];
		}
		world_run(w, 10 * WG_MS);
	}
	assert_int_equal(n, 1 + 18);
	assert_int_equal(w->side[0].peer->nstaged, 0);
	assert_false(w->side[0].peer->begun.used);
	w->filter = NULL;
	world_run(w, 60 * WG_S);
	assert_int_equal(w->side[0].sent[WG_INITIATION], n);
	world_output(w, 0, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	assert_int_equal(w->side[1].got[0], 2);
	world_free(w);
}

static void restarted_peer_is_found_again(void **state)
{
	struct world *w = connected(13);
	struct world_side *b = &w->side[1];

	(void)state;
	/* Side 1 loses all its state. */
	wg_peer_free(b->peer);
	b->peer = NULL;
	world_join(w, 1, 0, NULL, true, 0);
	for (uint32_t i = 1; i <= 20; i++) {
		world_output(w, 0, i);
		world_run(w, WG_S);
	}
	assert_true(b->ngot >= 4);
	/* Or it speaks first. */
	wg_peer_free(b->peer);
	b->peer = NULL;
	world_join(w, 1, 0, NULL, true, 0);
	world_output(w, 1, 50);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

static void clock_set_back_does_not_stop_rekeying(void **state)
{
	struct world *w = connected(14);

	(void)state;
	w->wall_ns -= 3600 * WG_S;
	for (uint32_t i = 1; i <= 300; i++) {
		world_output(w, 0, i);
		world_run(w, WG_S);
	}
	assert_int_equal(w->side[1].ngot, 301);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 3);
	world_free(w);
}

/* The answer got lost and only one packet was ever sent: the timer alone must bring it through. */
static void lone_packet_survives_a_lost_answer(void **state)
{
	struct world *w = world_new(15, NULL);

	(void)state;
	w->filter = all;
	world_output(w, 0, 1);
	world_run(w, 12 * WG_S);
	w->filter = NULL;
	world_run(w, 6 * WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	world_free(w);
}

static bool data_of_initiator(
	struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	(void)len;
	return from == &world->side[0] && msg[0] == WG_DATA;
}

/* The confirmation got lost, and the responder has one packet: it may not use the session, and has
 * just sent a handshake message; so it begins its own when the time for that has come. */
static void responder_with_a_lone_packet_begins_itself(void **state)
{
	struct world *w = world_new(16, NULL);

	(void)state;
	w->filter = data_of_initiator;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	world_output(w, 1, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 0);
	world_run(w, 5 * WG_S);
	assert_int_equal(w->side[1].sent[WG_INITIATION], 1);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

/* The deadline is a bound: waking at it often does no work, but never is anything late. */
static void tick_is_idle_between_deadlines(void **state)
{
	struct world *w = connected(17);
	uint64_t wakes = 0;

	(void)state;
	for (uint32_t i = 1; i <= 1000; i++) {
		world_output(w, 0, i);
		world_output(w, 1, i);
		world_run(w, 10 * WG_MS);
	}
	for (unsigned s = 0; s < 100; s++) {
		uint64_t deadline = wg_deadline(w->side[0].wg);

		world_run(w, WG_S);
		wakes += wg_deadline(w->side[0].wg) != deadline;
	}
	assert_true(wakes <= 5);
	world_free(w);
}

static void expect_heap(const struct wg *wg)
{
	for (size_t i = 0; i < wg->nheap; i++) {
		const struct wg_peer *peer = wg->heap[i];

		assert_int_equal(peer->heap_at, i);
		assert_true(i == 0 || wg->heap[(i - 1) / 2]->due_ns <= peer->due_ns);
		for (int t = 0; t < WG_TIMERS; t++)
			assert_true(peer->timer[t] >= peer->due_ns);
	}
}

static unsigned fired[200];
static uint64_t fired_at[200];

static bool count_peer(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	const struct wg_index *index =
		wg_index_find(from->wg, wg_get32(msg + WG_INITIATION_SENDER));

	(void)len;
	assert_int_equal(msg[0], WG_INITIATION);
	fired[index->peer->keepalive_s - 1]++;
	fired_at[index->peer->keepalive_s - 1] = world->now_ns;
	return true;
}

/* Many peers, each with its own interval, none reachable: each initiates in time. */
static void many_peers_keep_their_own_time(void **state)
{
	struct world *w = world_new_sides(1, 18);
	struct world_side *a = &w->side[0];
	struct wg_peer *peers[200];
	uint64_t start = w->now_ns;

	(void)state;
	memset(fired, 0, sizeof(fired));
	w->filter = count_peer;
	for (unsigned i = 0; i < 200; i++) {
		struct wg_peer_config config = {.has_endpoint = true,
			.endpoint = a->at,
			.keepalive_s = (uint16_t)(1 + i * 77 % 200),
			.user = a};

		world_fill_random(a, config.public_key.b, KEY_LEN);
		assert_int_equal(wg_peer_add(a->local, &config, w->now_ns, &peers[i]), 0);
		expect_heap(a->wg);
	}
	for (unsigned i = 0; i < 600; i++) {
		world_run(w, 500 * WG_MS);
		expect_heap(a->wg);
		assert_true(wg_deadline(a->wg) > w->now_ns);
	}
	for (unsigned i = 0; i < 200; i++) {
		/* Every 5 s, for 300 s with a short interval, else until it gives up. */
		assert_true(fired[i] >= 19 && fired[i] <= 61);
		assert_true(fired_at[i] > start + 90 * WG_S);
	}
	for (unsigned i = 0; i < 200; i += 2) {
		wg_peer_free(peers[i * 7 % 200]);
		expect_heap(a->wg);
	}
	world_run(w, 100 * WG_S);
	expect_heap(a->wg);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initiator_rekeys_every_two_minutes_without_loss),
		cmocka_unit_test(listening_initiator_rekeys_from_165_seconds_on),
		cmocka_unit_test(rekeys_after_2_60_messages),
		cmocka_unit_test(never_sends_the_last_counters),
		cmocka_unit_test(session_ends_after_180_seconds),
		cmocka_unit_test(message_of_an_expired_session_is_dropped),
		cmocka_unit_test(all_keys_are_wiped_after_540_seconds),
		cmocka_unit_test(passive_keepalive_answers_silence_once),
		cmocka_unit_test(passive_keepalives_go_on_while_data_comes),
		cmocka_unit_test(persistent_keepalives_start_and_hold_the_session),
		cmocka_unit_test(dead_peer_gets_a_new_handshake_after_15_seconds),
		cmocka_unit_test(gives_up_after_90_seconds_and_begins_anew_with_data),
		cmocka_unit_test(restarted_peer_is_found_again),
		cmocka_unit_test(clock_set_back_does_not_stop_rekeying),
		cmocka_unit_test(lone_packet_survives_a_lost_answer),
		cmocka_unit_test(responder_with_a_lone_packet_begins_itself),
		cmocka_unit_test(tick_is_idle_between_deadlines),
		cmocka_unit_test(many_peers_keep_their_own_time),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

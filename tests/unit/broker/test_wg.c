/* SPDX-License-Identifier: MIT */
/* The WireGuard protocol between brokers on a wire under a virtual clock: handshakes, packets,
 * peers and identities. Its timers: test_wg_timers.c; its enemies: test_wg_hostile.c. */
#include "wg_world.h"

#include <errno.h>

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static void handshake_and_data_in_both_directions(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct world *w = world_new(1 + (uint64_t)first, NULL);
		struct world_side *a = &w->side[first], *b = &w->side[!first];
		struct wg_peer_status status;

		assert_false(world_session(w, 0));
		assert_int_equal(world_output(w, first, 7), 0);
		world_run(w, WG_S);
		assert_int_equal(b->ngot, 1);
		assert_int_equal(b->got[0], 7);
		assert_int_equal(world_output(w, !first, 8), 0);
		world_run(w, WG_S);
		assert_int_equal(a->ngot, 1);
		assert_int_equal(a->got[0], 8);
		assert_int_equal(a->sent[WG_INITIATION], 1);
		assert_int_equal(b->sent[WG_RESPONSE], 1);
		assert_int_equal(b->sent[WG_INITIATION] + a->sent[WG_RESPONSE], 0);
		assert_true(world_session(w, 0) && world_session(w, 1));
		wg_peer_status(b->peer, &status);
		assert_int_equal(status.rx_packets, 1);
		assert_int_equal(status.tx_packets, 1);
		assert_int_equal(status.rx_bytes, 148 + 32 + 32); /* 31 bytes, padded to 32 */
		assert_int_equal(status.tx_bytes, 92 + 32 + 32);
		assert_true(status.handshake_wall_ns > 1700000000 * WG_S &&
			    status.handshake_wall_ns < 1700000001 * WG_S);
		assert_true(status.heard_ns > 1000 * WG_S && status.heard_ns <= 1001 * WG_S);
		assert_int_equal(status.rejected, 0);
		assert_true(a->changed > 0 && b->changed > 0);
		world_free(w);
	}
}

static void preshared_key_must_agree(void **state)
{
	struct key psk = {{1, 2, 3}};
	struct world *w = world_new(3, &psk);

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	world_free(w);

	for (int who = 0; who < 2; who++) {
		w = world_new_sides(2, 4);
		world_join(w, 0, 1, who ? &psk : NULL, true, 0);
		world_join(w, 1, 0, who ? NULL : &psk, true, 0);
		world_output(w, 0, 1);
		world_run(w, 20 * WG_S);
		assert_int_equal(w->side[1].ngot, 0);
		assert_false(world_session(w, 0));
		assert_true(w->side[1].sent[WG_RESPONSE] > 1);
		assert_int_equal(w->side[1].sent[WG_DATA], 0);
		world_free(w);
	}
}

static void crossing_initiations_both_succeed(void **state)
{
	struct world *w = world_new(5, NULL);

	(void)state;
	world_output(w, 0, 1);
	world_output(w, 1, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	assert_int_equal(w->side[1].ngot, 1);
	for (uint32_t i = 10; i < 20; i++) {
		world_output(w, 0, i);
		world_output(w, 1, i);
		world_run(w, WG_S);
	}
	for (int side = 0; side < 2; side++) {
		assert_int_equal(w->side[side].ngot, 11);
		assert_int_equal(w->side[side].sent[WG_INITIATION], 1);
	}
	world_free(w);
}

static void staged_packets_arrive_in_order_and_the_oldest_gives_way(void **state)
{
	struct world *w = world_new(6, NULL);

	(void)state;
	for (uint32_t i = 0; i < WG_STAGED_MAX + 10; i++)
		assert_int_equal(world_output(w, 0, i), 0);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, WG_STAGED_MAX);
	for (uint32_t i = 0; i < WG_STAGED_MAX; i++)
		assert_int_equal(w->side[1].got[i], i + 10);
	world_free(w);
}

/* The responder must not send with keys that the initiator has not shown to have. */
static bool no_data(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	(void)len;
	return msg[0] == WG_DATA && from == &world->side[0];
}

static void responder_waits_for_confirmation(void **state)
{
	struct world *w = world_new(7, NULL);

	(void)state;
	w->filter = no_data;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_true(world_session(w, 0));
	assert_false(world_session(w, 1));
	world_output(w, 1, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].sent[WG_DATA], 0);
	w->filter = NULL;
	world_output(w, 0, 3);
	world_run(w, WG_S);
	/* The first message that came confirmed, and what was staged left. */
	assert_int_equal(w->side[1].ngot, 1);
	assert_int_equal(w->side[0].ngot, 1);
	assert_int_equal(w->side[0].got[0], 2);
	world_free(w);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void bad_wire_loses_but_never_repeats(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct world *w = world_new(seed, NULL);

		w->lose = 15;
		w->repeat = 30;
		w->reorder = 50;
		for (uint32_t i = 0; i < 1500; i++) {
			world_output(w, 0, i);
			world_output(w, 1, i);
			world_run(w, (i % 3 ? 1 : 998) * WG_MS);
		}
		world_run(w, 10 * WG_S);
		for (int side = 0; side < 2; side++) {
			struct world_side *s = &w->side[side];

			assert_true(s->ngot > 1100);
			qsort(s->got, s->ngot, sizeof(s->got[0]), by_number);
			for (size_t i = 1; i < s->ngot; i++)
				assert_true(s->got[i] > s->got[i - 1]);
		}
		world_free(w);
	}
}

static void reordered_by_hundreds_still_arrives(void **state)
{
	struct world *w = world_new(9, NULL);

	(void)state;
	world_output(w, 0, 0);
	world_run(w, WG_S);
	w->reorder = 100;
	for (uint32_t i = 1; i <= 2000; i++)
		assert_int_equal(world_output_len(w, w->side[0].peer, i, 24), 0);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 2001);
	world_free(w);
}

static void output_errors(void **state)
{
	static uint8_t big[WG_MESSAGE_MAX + 64];
	struct world *w = world_new_sides(2, 10);
	struct wg_peer_status status;

	(void)state;
	world_join(w, 0, 1, NULL, false, 0);
	world_join(w, 1, 0, NULL, true, 0);
	assert_int_equal(world_output(w, 0, 1), -EDESTADDRREQ);
	wg_peer_status(w->side[0].peer, &status);
	assert_false(status.has_endpoint);
	assert_int_equal(wg_output(w->side[1].peer, w->now_ns, w->wall_ns, big + 32, 0), -EMSGSIZE);
	assert_int_equal(wg_output(w->side[1].peer, w->now_ns, w->wall_ns, big + 32,
				 WG_MESSAGE_MAX - WG_OVERHEAD + 1),
		-EMSGSIZE);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 0);
	/* It is known by now, because the other side has spoken. */
	world_output(w, 1, 1);
	world_run(w, WG_S);
	assert_int_equal(world_output(w, 0, 2), 0);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	wg_peer_status(w->side[0].peer, &status);
	assert_true(status.has_endpoint && endpoint_equal(&status.endpoint, &w->side[1].at));
	world_free(w);
}

static void padding_goes_to_16_bytes_but_not_beyond_the_mtu(void **state)
{
	static const struct {
		size_t packet, message;
	} cases[] = {{24, 32}, {31, 32}, {32, 32}, {33, 48}, {1408, 1408}, {1409, 1420},
		{1420, 1420}, {1421, 1424}};
	struct world *w = world_new(11, NULL);

	(void)state;
	world_output(w, 0, 0);
	world_run(w, WG_S);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(world_output_len(w, w->side[0].peer, 1, cases[i].packet), 0);
		assert_int_equal(w->last.len, cases[i].message + WG_OVERHEAD);
		world_run(w, WG_S);
		assert_int_equal(w->side[1].ngot, i + 2);
	}
	world_free(w);
}

static void endpoint_follows_the_peer(void **state)
{
	struct world *w = world_new(12, NULL);
	struct wg_peer_status status;
	unsigned changed;

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	changed = w->side[1].changed;
	w->side[0].at.port = 4000;
	w->side[0].at.addr.b[15] = 77;
	world_output(w, 1, 2); /* to the old place */
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 0);
	world_output(w, 0, 3);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 2);
	wg_peer_status(w->side[1].peer, &status);
	assert_true(endpoint_equal(&status.endpoint, &w->side[0].at));
	assert_int_equal(w->side[1].changed, changed + 1);
	world_output(w, 1, 4);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	assert_int_equal(w->side[0].got[0], 4);
	world_free(w);
}

static void identities_are_told_apart_by_mac1(void **state)
{
	struct world *w = world_new_sides(2, 13);
	struct wg_peer_config config = {.has_endpoint = true, .endpoint = w->side[1].at};
	struct wg_local *local[20];
	struct key key, pub;
	struct wg_peer *peer;

	(void)state;
	/* Strangers before and behind the right one. */
	for (size_t i = 0; i < 20; i++) {
		world_fill_random(&w->side[0], key.b, KEY_LEN);
		assert_int_equal(wg_local_add(w->side[1].wg, &key, NULL, &local[i]), 0);
	}
	/* Side 0 has a link to identity 10 of side 1. */
	world_fill_random(&w->side[0], key.b, KEY_LEN);
	wg_local_free(local[10]);
	assert_int_equal(wg_local_add(w->side[1].wg, &key, &w->side[1], &local[10]), 0);
	assert_ptr_equal(wg_local_user(local[10]), &w->side[1]);
	assert_int_equal(key_public(&key, &pub), 0);
	config.public_key = pub;
	config.user = &w->side[0];
	assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &w->side[0].peer), 0);
	config.public_key = w->side[0].pub;
	config.user = &w->side[1];
	assert_int_equal(wg_peer_add(local[10], &config, w->now_ns, &peer), 0);
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	/* Another identity does not know this peer. */
	wg_local_free(local[10]);
	world_output(w, 0, 2);
	world_run(w, 20 * WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	for (size_t i = 0; i < 20; i++)
		if (i != 10)
			wg_local_free(local[i]);
	world_free(w);
}

static void peers_and_identities_are_checked(void **state)
{
	struct world *w = world_new(14, NULL);
	struct wg_peer_config config = {.public_key = w->side[1].pub};
	struct wg_local *local;
	struct wg_peer *peer;

	(void)state;
	assert_int_equal(wg_local_add(w->side[0].wg, &w->side[0].priv, NULL, &local), -EEXIST);
	assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &peer), -EEXIST);
	config.public_key = w->side[0].pub; /* itself */
	assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &peer), -EINVAL);
	memset(&config.public_key, 0, sizeof(config.public_key));
	assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &peer), -EINVAL);
	config.public_key.b[0] = 1; /* of small order */
	assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &peer), -EINVAL);
	assert_int_equal(wg_peer_update(w->side[0].peer, &config, w->now_ns), -EINVAL);
	assert_ptr_equal(wg_peer_find(w->side[0].local, &w->side[1].pub), w->side[0].peer);
	assert_null(wg_peer_find(w->side[0].local, &w->side[0].pub));
	wg_peer_free(NULL);
	wg_local_free(NULL);
	wg_free(NULL);
	world_free(w);
}

static void update_keeps_sessions_unless_a_key_changes(void **state)
{
	struct world *w = world_new(15, NULL);
	struct wg_peer_config config = {
		.public_key = w->side[1].pub, .keepalive_s = 20, .user = &w->side[0]};
	struct key psk = {{7}};

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(wg_peer_update(w->side[0].peer, &config, w->now_ns), 0);
	assert_true(world_session(w, 0));
	world_output(w, 0, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 2);
	assert_int_equal(w->side[0].sent[WG_INITIATION], 1);
	config.psk = &psk;
	assert_int_equal(wg_peer_update(w->side[0].peer, &config, w->now_ns), 0);
	assert_false(world_session(w, 0));
	config.public_key = w->side[1].pub;
	config.psk = NULL;
	assert_int_equal(wg_peer_update(w->side[0].peer, &config, w->now_ns), 0);
	world_output(w, 0, 3);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 3);
	world_free(w);
}

static void update_to_another_key_finds_the_new_peer(void **state)
{
	struct world *w = world_new_sides(3, 16);
	struct wg_peer_config config = {.public_key = w->side[2].pub,
		.has_endpoint = true,
		.endpoint = w->side[2].at,
		.user = &w->side[0]};

	(void)state;
	world_join(w, 0, 1, NULL, true, 0);
	world_join(w, 1, 0, NULL, true, 0);
	world_join(w, 2, 0, NULL, true, 0);
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(wg_peer_update(w->side[0].peer, &config, w->now_ns), 0);
	assert_null(wg_peer_find(w->side[0].local, &w->side[1].pub));
	assert_ptr_equal(wg_peer_find(w->side[0].local, &w->side[2].pub), w->side[0].peer);
	world_output(w, 1, 9); /* its session is gone here */
	world_output(w, 0, 2);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 0);
	assert_int_equal(w->side[2].ngot, 1);
	world_output(w, 2, 3);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

static void freed_peer_leaves_no_index_behind(void **state)
{
	struct world *w = world_new(17, NULL);

	(void)state;
	world_output(w, 0, 1);
	world_run(w, WG_S);
	world_output(w, 0, 2);
	wg_peer_free(w->side[1].peer);
	w->side[1].peer = NULL;
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	assert_null(w->side[1].wg->indices);
	assert_true(wg_deadline(w->side[1].wg) == UINT64_MAX);
	world_free(w);
}

/* Tunnels inside tunnels: sending a message of one peer makes a packet for another. */
static bool nest(struct world *world, struct world_side *from, uint8_t *msg, size_t len)
{
	struct wg_peer *outer = world->filter_arg;

	if (from != &world->side[0] || !endpoint_equal(&from->peer->endpoint, &world->side[1].at))
		return false;
	(void)msg;
	(void)len;
	world->filter = NULL; /* the outer one goes by the wire */
	assert_int_equal(world_output_len(world, outer, 1000 + msg[0], 100), 0);
	world->filter = nest;
	return false;
}

static void send_may_come_back_for_another_peer(void **state)
{
	struct world *w = world_new_sides(3, 18);

	(void)state;
	world_join(w, 0, 1, NULL, true, 0);
	world_join(w, 1, 0, NULL, true, 0);
	w->filter_arg = world_join(w, 0, 2, NULL, true, 0);
	world_join(w, 2, 0, NULL, true, 0);
	w->filter = nest;
	for (uint32_t i = 0; i < 10; i++)
		world_output(w, 0, i);
	world_run(w, WG_S);
	w->filter = NULL;
	assert_int_equal(w->side[1].ngot, 10);
	assert_true(w->side[2].ngot >= 11);
	world_free(w);
}

static void a_thousand_idle_peers_have_no_timers(void **state)
{
	struct world *w = world_new(19, NULL);
	struct wg_peer *peers[1000];

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		struct wg_peer_config config = {.user = &w->side[0]};

		world_fill_random(&w->side[0], config.public_key.b, KEY_LEN);
		assert_int_equal(wg_peer_add(w->side[0].local, &config, w->now_ns, &peers[i]), 0);
	}
	assert_true(wg_deadline(w->side[0].wg) == UINT64_MAX);
	world_output(w, 0, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[1].ngot, 1);
	assert_true(wg_deadline(w->side[0].wg) < UINT64_MAX);
	for (size_t i = 0; i < 1000; i += 3)
		wg_peer_free(peers[i]);
	world_output(w, 1, 1);
	world_run(w, WG_S);
	assert_int_equal(w->side[0].ngot, 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_and_data_in_both_directions),
		cmocka_unit_test(preshared_key_must_agree),
		cmocka_unit_test(crossing_initiations_both_succeed),
		cmocka_unit_test(staged_packets_arrive_in_order_and_the_oldest_gives_way),
		cmocka_unit_test(responder_waits_for_confirmation),
		cmocka_unit_test(bad_wire_loses_but_never_repeats),
		cmocka_unit_test(reordered_by_hundreds_still_arrives),
		cmocka_unit_test(output_errors),
		cmocka_unit_test(padding_goes_to_16_bytes_but_not_beyond_the_mtu),
		cmocka_unit_test(endpoint_follows_the_peer),
		cmocka_unit_test(identities_are_told_apart_by_mac1),
		cmocka_unit_test(peers_and_identities_are_checked),
		cmocka_unit_test(update_keeps_sessions_unless_a_key_changes),
		cmocka_unit_test(update_to_another_key_finds_the_new_peer),
		cmocka_unit_test(freed_peer_leaves_no_index_behind),
		cmocka_unit_test(send_may_come_back_for_another_peer),
		cmocka_unit_test(a_thousand_idle_peers_have_no_timers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

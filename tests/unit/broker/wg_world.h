/* SPDX-License-Identifier: MIT */
/* Brokers joined by a wire in memory, under a virtual clock: what the tests of the WireGuard
 * protocol play on. The wire may lose, delay, reorder and repeat, by a seeded generator, so that a
 * run can be repeated exactly. */
#ifndef PERSONA_TEST_WG_WORLD_H
#define PERSONA_TEST_WG_WORLD_H

#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wg_priv.h"

enum { WORLD_SIDES = 3, WORLD_PACKET = 1500, WORLD_GOT = 4096, WORLD_WIRE = 8192 };

struct world;

struct world_side {
	struct world *world;
	struct wg *wg;
	struct wg_local *local;
	struct wg_peer *peer; /* the first other side */
	struct key priv, pub;
	struct endpoint at;
	unsigned changed;
	/* Numbers of the packets that arrived, in their order. */
	uint32_t got[WORLD_GOT];
	size_t ngot;
	uint64_t sent[5], received[5]; /* messages by type */
	size_t keepalives;	       /* among those sent */
};

struct world_msg {
	bool busy;
	uint64_t at_ns;
	uint64_t order;
	struct endpoint from, to;
	size_t len;
	uint8_t bytes[WORLD_PACKET + 200];
};

struct world {
	uint64_t now_ns, wall_ns;
	uint64_t random;
	struct world_side side[WORLD_SIDES];
	struct world_msg *wire;
	uint64_t order;
	uint64_t delay_ns;
	/* In percent. */
	unsigned lose, repeat, reorder;
	/* True: the message is dropped. */
	bool (*filter)(struct world *world, struct world_side *from, uint8_t *msg, size_t len);
	void *filter_arg;
	struct world_msg last; /* the last message that was sent */
};

static inline uint64_t world_random(struct world *world)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return world->random * 0x2545f4914f6cdd1dULL;
}

static inline bool world_chance(struct world *world, unsigned percent)
{
	return percent > 0 && world_random(world) >> 32 < ((uint64_t)percent << 32) / 100;
}

static inline void world_put(struct world *world, const struct endpoint *from,
	const struct endpoint *to, const uint8_t *msg, size_t len)
{
	uint64_t delay = world->delay_ns;

	if (world_chance(world, world->reorder))
		delay += world_random(world) % (4 * world->delay_ns + 1);
	for (size_t i = 0; i < WORLD_WIRE; i++) {
		struct world_msg *m = &world->wire[i];

		if (m->busy)
			continue;
		assert_true(len <= sizeof(m->bytes));
		m->busy = true;
		m->at_ns = world->now_ns + delay;
		m->order = world->order++;
		m->from = *from;
		m->to = *to;
		m->len = len;
		memcpy(m->bytes, msg, len);
		world->last = *m;
		return;
	}
	fail_msg("the wire is full");
}

static inline void world_transmit(
	struct world_side *side, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct world *world = side->world;

	side->sent[msg[0]]++;
	if (msg[0] == WG_DATA && len == WG_DATA_MIN)
		side->keepalives++;
	if (world->filter && world->filter(world, side, msg, len))
		return;
	if (world_chance(world, world->lose))
		return;
	world_put(world, &side->at, to, msg, len);
	if (world_chance(world, world->repeat))
		world_put(world, &side->at, to, msg, len);
}

static inline void world_send(
	void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct world_side *side = arg;
	const uint8_t junk[WG_ROOM_BEFORE] = {0};

	assert_ptr_equal(wg_peer_user(peer), side);
	world_transmit(side, to, msg, len);
	/* What wg.h allows. The staged and own ones have more room. */
	memset(msg, 0xee, len);
	if (msg[0] != WG_DATA)
		return;
	memcpy(msg - WG_HEADROOM, junk, WG_HEADROOM);
}

static inline void world_reply(void *arg, const struct endpoint *to, uint8_t *msg, size_t len)
{
	world_transmit(arg, to, msg, len);
}

static inline void world_changed(void *arg, struct wg_peer *peer)
{
	struct world_side *side = arg;

	assert_ptr_equal(wg_peer_user(peer), side);
	side->changed++;
}

static inline void world_fill_random(void *arg, void *buf, size_t len)
{
	struct world_side *side = arg;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(world_random(side->world) >> 40);
}

/* Sides 0..n-1, strangers to each other. */
static inline struct world *world_new_sides(size_t n, uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->wire = calloc(WORLD_WIRE, sizeof(*world->wire));
	assert_non_null(world->wire);
	world->random = seed * 0x9e3779b97f4a7c15ULL | 1;
	world->now_ns = 1000 * WG_S;
	world->wall_ns = 1700000000 * WG_S;
	world->delay_ns = 10 * WG_MS;
	for (size_t i = 0; i < n; i++) {
		struct world_side *side = &world->side[i];
		struct wg_ops ops = {.send = world_send,
			.reply = world_reply,
			.changed = world_changed,
			.random = world_fill_random,
			.arg = side};

		side->world = world;
		world_fill_random(side, side->priv.b, KEY_LEN);
		side->priv.b[0] &= 248;
		side->priv.b[31] = (side->priv.b[31] & 127) | 64;
		assert_int_equal(key_public(&side->priv, &side->pub), 0);
		assert_int_equal(addr_parse("192.0.2.1", &side->at.addr), 0);
		side->at.addr.b[15] = (uint8_t)(i + 1);
		side->at.port = (uint16_t)(51820 + i);
		assert_int_equal(wg_new(&ops, world->now_ns, &side->wg), 0);
		assert_int_equal(wg_local_add(side->wg, &side->priv, side, &side->local), 0);
	}
	return world;
}

/* `side` gets `other` as a peer. */
static inline struct wg_peer *world_join(struct world *world, int side, int other,
	const struct key *psk, bool endpoint, uint16_t keepalive_s)
{
	struct world_side *s = &world->side[side], *o = &world->side[other];
	struct wg_peer_config config = {.public_key = o->pub,
		.psk = psk,
		.keepalive_s = keepalive_s,
		.mtu = 1420,
		.has_endpoint = endpoint,
		.endpoint = o->at,
		.user = s};
	struct wg_peer *peer;

	assert_int_equal(wg_peer_add(s->local, &config, world->now_ns, &peer), 0);
	if (!s->peer)
		s->peer = peer;
	return peer;
}

/* Sides 0 and 1 that know each other and each other's endpoint. */
static inline struct world *world_new(uint64_t seed, const struct key *psk)
{
	struct world *world = world_new_sides(2, seed);

	world_join(world, 0, 1, psk, true, 0);
	world_join(world, 1, 0, psk, true, 0);
	return world;
}

static inline void world_free(struct world *world)
{
	for (size_t i = 0; i < WORLD_SIDES; i++) {
		wg_local_free(world->side[i].local);
		wg_free(world->side[i].wg);
	}
	free(world->wire);
	free(world);
}

/* An IPv4 packet of len bytes that carries a number. */
static inline void world_packet(uint8_t *packet, size_t len, uint32_t number)
{
	assert_true(len >= 24 && len <= WORLD_PACKET);
	for (size_t i = 0; i < len; i++)
		packet[i] = (uint8_t)(number + i);
	packet[0] = 0x45;
	packet[2] = (uint8_t)(len >> 8);
	packet[3] = (uint8_t)len;
	wg_put32(packet + 20, number);
}

static inline int world_output_len(
	struct world *world, struct wg_peer *peer, uint32_t number, size_t len)
{
	uint8_t buf[WORLD_PACKET + 2 * WG_HEADROOM + WG_TAILROOM], *packet = buf + 2 * WG_HEADROOM;

	world_packet(packet, len, number);
	return wg_output(peer, world->now_ns, world->wall_ns, packet, len);
}

static inline int world_output(struct world *world, int side, uint32_t number)
{
	return world_output_len(world, world->side[side].peer, number, 24 + number % 1300);
}

static inline int world_input(struct world *world, struct world_side *side,
	const struct endpoint *from, uint8_t *msg, size_t len)
{
	uint8_t want[WORLD_PACKET], *packet = NULL;
	struct wg_peer *peer = NULL;
	int r = wg_input(side->wg, world->now_ns, world->wall_ns, from, msg, len, &packet, &peer);

	if (r > 0) {
		uint32_t number = wg_get32(packet + 20);

		assert_true(packet >= msg && packet + r <= msg + len);
		world_packet(want, (size_t)r, number);
		assert_memory_equal(packet, want, (size_t)r);
		assert_true(side->ngot < WORLD_GOT);
		side->got[side->ngot++] = number;
	} else {
		assert_null(packet);
	}
	if (r > 0)
		assert_non_null(peer);
	else if (r < 0)
		assert_null(peer);
	if (peer)
		assert_ptr_equal(wg_peer_user(peer), side);
	return r;
}

/* A copy of the message in a buffer of exactly its size (a sanitizer sees a byte too far). */
static inline int world_inject(
	struct world *world, int side, const struct endpoint *from, const void *msg, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, msg, len);
	r = world_input(world, &world->side[side], from, copy, len);
	free(copy);
	return r;
}

static inline struct world_msg *world_next_msg(struct world *world)
{
	struct world_msg *next = NULL;

	for (size_t i = 0; i < WORLD_WIRE; i++) {
		struct world_msg *m = &world->wire[i];

		if (m->busy && (!next || m->at_ns < next->at_ns ||
				       (m->at_ns == next->at_ns && m->order < next->order)))
			next = m;
	}
	return next;
}

static inline void world_deliver(struct world *world, struct world_msg *m)
{
	for (size_t i = 0; i < WORLD_SIDES; i++) {
		struct world_side *side = &world->side[i];

		if (side->wg && endpoint_equal(&side->at, &m->to)) {
			side->received[m->bytes[0]]++;
			world_input(world, side, &m->from, m->bytes, m->len);
		}
	}
	m->busy = false;
}

static inline void world_set_time(struct world *world, uint64_t now_ns)
{
	assert_true(now_ns >= world->now_ns);
	world->wall_ns += now_ns - world->now_ns;
	world->now_ns = now_ns;
}

/* Lets this many nanoseconds pass, with all that happens in them. */
static inline void world_run(struct world *world, uint64_t ns)
{
	uint64_t end = world->now_ns + ns;

	for (;;) {
		struct world_msg *m = world_next_msg(world);
		uint64_t next = m ? m->at_ns : UINT64_MAX;
		struct world_side *timer = NULL;

		for (size_t i = 0; i < WORLD_SIDES; i++) {
			struct world_side *side = &world->side[i];

			if (side->wg && wg_deadline(side->wg) < next) {
				next = wg_deadline(side->wg);
				timer = side;
			}
		}
		if (next > end)
			break;
		world_set_time(world, next > world->now_ns ? next : world->now_ns);
		if (timer)
			assert_true(
				wg_tick(timer->wg, world->now_ns, world->wall_ns) > world->now_ns);
		else
			world_deliver(world, m);
	}
	world_set_time(world, end);
}

static inline bool world_session(const struct world *world, int side)
{
	struct wg_peer_status status;

	wg_tick(world->side[side].wg, world->now_ns, world->wall_ns);
	wg_peer_status(world->side[side].peer, &status);
	return status.session;
}

#endif

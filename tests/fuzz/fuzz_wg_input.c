/* SPDX-License-Identifier: MIT */
/* Messages of the underlay as the WireGuard protocol takes them, several in a row, by a broker that
 * has a session with an honest peer. A record of the input is a kind (its first byte), a length
 * (two bytes, big-endian) and so many bytes:
 * 0: a message; 1: the same for the index of the session; 2: with a correct MAC1 (the public key is
 * no secret); 3: as the contents of an authentic message (a peer that is hostile); 4: time passes
 * (first byte: seconds); 5: the other side begins a handshake whose next message is changed (first
 * byte: where, second: how); 6: everything on its way arrives. */
#include <sodium.h>

#include "fuzz.h"
#include "wg_priv.h"

enum { QUEUE = 32, TEXT = 2048 };

struct fuzz_side {
	struct wg *wg;
	struct wg_local *local;
	struct wg_peer *peer;
	struct endpoint at;
};

static struct fuzz_side side[2];
static uint64_t now_ns, wall_ns, seed, packets;
static struct {
	int to;
	size_t len;
	uint8_t bytes[TEXT + 64];
} queue[QUEUE];
static size_t nqueue;

static void fill(void *arg, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)arg;
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(seed >> 56);
	}
}

static void put(
	void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg, size_t len)
{
	(void)arg;
	(void)peer;
	if (nqueue == QUEUE || len > sizeof(queue[0].bytes))
		return;
	queue[nqueue].to = endpoint_equal(to, &side[1].at);
	queue[nqueue].len = len;
	memcpy(queue[nqueue++].bytes, msg, len);
	memset(msg, 0xdd, len);
}

static void put_reply(void *arg, const struct endpoint *to, uint8_t *msg, size_t len)
{
	put(arg, NULL, to, msg, len);
}

/* A copy of exactly its size, so that a byte too far is seen. */
static int input(int to, const uint8_t *msg, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1), *packet = NULL;
	struct wg_peer *peer = side[to].peer;
	int r;

	FUZZ_CHECK(copy);
	if (len)
		memcpy(copy, msg, len);
	r = wg_input(side[to].wg, now_ns, wall_ns, &side[!to].at, copy, len, &packet, &peer);
	FUZZ_CHECK(r >= 0 || peer == NULL);
	if (r > 0) {
		FUZZ_CHECK(peer == side[to].peer);
		FUZZ_CHECK(packet >= copy && packet + r <= copy + len);
		FUZZ_CHECK(r >= 20 && (packet[0] >> 4 == 4 || packet[0] >> 4 == 6));
		packets++;
	}
	free(copy);
	return r;
}

static void deliver_all(void)
{
	for (size_t rounds = 0; nqueue > 0 && rounds < 100; rounds++) {
		uint8_t bytes[sizeof(queue[0].bytes)];
		size_t len = queue[0].len;
		int to = queue[0].to;

		memcpy(bytes, queue[0].bytes, len);
		memmove(queue, queue + 1, --nqueue * sizeof(queue[0]));
		input(to, bytes, len);
	}
}

static void output(const uint8_t *text, size_t len)
{
	uint8_t buf[2 * WG_HEADROOM + TEXT + WG_TAILROOM];

	if (len > TEXT)
		len = TEXT;
	if (len)
		memcpy(buf + 2 * WG_HEADROOM, text, len);
	wg_output(side[1].peer, now_ns, wall_ns, buf + 2 * WG_HEADROOM, len);
}

static void open_sides(void)
{
	struct key key[2] = {{{0x40, 1}}, {{0x40, 2}}}, pub;

	now_ns = 1000 * WG_S;
	wall_ns = 1700000000 * WG_S;
	seed = 1;
	nqueue = 0;
	for (int i = 0; i < 2; i++) {
		struct wg_ops ops = {.send = put, .reply = put_reply, .random = fill};

		side[i].at = (struct endpoint){.addr = addr_loopback4, .port = (uint16_t)(1 + i)};
		FUZZ_CHECK(wg_new(&ops, now_ns, &side[i].wg) == 0);
		FUZZ_CHECK(wg_local_add(side[i].wg, &key[i], NULL, &side[i].local) == 0);
	}
	for (int i = 0; i < 2; i++) {
		struct wg_peer_config config = {.has_endpoint = true, .endpoint = side[!i].at};

		FUZZ_CHECK(key_public(&key[!i], &pub) == 0);
		config.public_key = pub;
		FUZZ_CHECK(wg_peer_add(side[i].local, &config, now_ns, &side[i].peer) == 0);
	}
}

static void close_sides(void)
{
	for (int i = 0; i < 2; i++) {
		wg_local_free(side[i].local);
		wg_free(side[i].wg);
	}
}

/* An honest packet from side 1. True: it arrived. */
static bool honest(void)
{
	static const uint8_t packet[24] = {0x45, 0, 0, 24};
	uint64_t before = packets;

	output(packet, sizeof(packet));
	deliver_all();
	return packets > before;
}

static void crafted(unsigned kind, const uint8_t *data, size_t len)
{
	uint8_t msg[TEXT];

	if (len > sizeof(msg) || len < WG_DATA_MIN)
		return;
	memcpy(msg, data, len);
	if (kind == 1 && side[0].peer->cur) {
		wg_msg_put_type(msg, WG_DATA);
		wg_put32(msg + WG_DATA_RECEIVER, side[0].peer->cur->index.number);
		FUZZ_CHECK(input(0, msg, len) < 0);
	} else if (kind == 2) {
		wg_cookie_put_macs(&side[0].local->cookie_keys, NULL, msg, len);
		FUZZ_CHECK(input(0, msg, len) <= 0);
	}
}

static void change_next(const uint8_t *data, size_t len)
{
	size_t at;

	if (len < 2 || data[1] == 0)
		return;
	side[1].peer->handshake_ns = 0;
	wg_initiate(side[1].peer, false);
	if (nqueue == 0)
		return;
	at = data[0] % queue[0].len;
	queue[0].bytes[at] ^= data[1];
}

static bool pass_time(const uint8_t *data, size_t len)
{
	uint64_t ns = len > 0 ? data[0] * WG_S : 0;

	now_ns += ns;
	wall_ns += ns;
	for (int i = 0; i < 2; i++)
		FUZZ_CHECK(wg_tick(side[i].wg, now_ns, wall_ns) > now_ns);
	return ns > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool disturbed = false;

	FUZZ_CHECK(sodium_init() >= 0);
	open_sides();
	FUZZ_CHECK(honest());
	while (size >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2];
		unsigned kind = data[0] % 7;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		if (kind == 0)
			FUZZ_CHECK(input(0, data, len) < 0);
		else if (kind <= 2)
			crafted(kind, data, len);
		else if (kind == 3)
			output(data, len);
		else if (kind == 4)
			disturbed |= pass_time(data, len);
		else if (kind == 5)
			change_next(data, len);
		else
			deliver_all();
		data += len;
		size -= len;
	}
	/* Whatever strangers sent, the session works on. */
	deliver_all();
	FUZZ_CHECK(honest() || disturbed);
	close_sides();
	return 0;
}

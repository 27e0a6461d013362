/* SPDX-License-Identifier: MIT */
/* The WireGuard protocol's bytes: primitives as they are used, against published vectors, and whole
 * messages against those of an independent model (tests/vectors/wireguard.py). X25519, BLAKE2s,
 * HKDF and ChaCha20-Poly1305 themselves: test_noise.c and test_aead.c. */
#include "vectors.h"
#include "wg_world.h"

#include <errno.h>
#include <stdio.h>

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void xchacha20poly1305_published_vector(void **state)
{
	const char *text = "Ladies and Gentlemen of the class of '99: If I could offer you only "
			   "one tip for the future, sunscreen would be it.";
	uint8_t key[32], nonce[24], ad[12], want[130], got[130];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)(0x40 + i);
	vector_hex("50515253c0c1c2c3c4c5c6c7", ad, sizeof(ad));
	assert_int_equal(
		vector_hex("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			   "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			   "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			   "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780a"
			   "cf49",
			want, sizeof(want)),
		sizeof(want));
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_encrypt(got, NULL,
				 (const uint8_t *)text, 114, ad, sizeof(ad), NULL, nonce, key),
		0);
	assert_memory_equal(got, want, sizeof(want));
}

/* Python: hashlib.blake2s(bytes(range(n)), key=bytes(range(keylen)), digest_size=16). */
static void keyed_blake2s_known_answers(void **state)
{
	static const struct {
		size_t len, keylen;
		const char *want;
	} cases[] = {
		{0, 32, "9536f9b267655743dee97b8a670f9f53"},
		{116, 32, "072e94ffbfc684bd8ab2a1b9dade2fd5"},
		{132, 16, "b03d1196bdcfaad40f911db86b79ac7e"},
	};
	uint8_t text[132], key[32], want[WG_MAC_LEN], got[WG_MAC_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	memcpy(key, text, sizeof(key));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vector_hex(cases[i].want, want, sizeof(want));
		wg_mac(key, cases[i].keylen, text, cases[i].len, got);
		assert_memory_equal(got, want, sizeof(want));
	}
}

/* The whole of a vector in both directions, with the random numbers that it names. */
struct feed {
	uint8_t secrets[4][32];
	size_t nsecrets, secret;
	uint32_t numbers[2];
	size_t number;
	uint8_t nonce[WG_NONCE_LEN];
	uint8_t out[WG_MESSAGE_MAX];
	size_t len;
};

static void feed_random(void *arg, void *buf, size_t len)
{
	struct feed *feed = arg;

	if (len == 32) {
		assert_true(feed->secret < feed->nsecrets);
		memcpy(buf, feed->secrets[feed->secret++], 32);
	} else if (len == 4) {
		assert_true(feed->number < 2);
		memcpy(buf, &feed->numbers[feed->number++], 4);
	} else if (len == WG_NONCE_LEN) {
		memcpy(buf, feed->nonce, len);
	} else {
		memset(buf, 1, len);
	}
}

static void feed_send(
	void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct feed *feed = arg;

	(void)peer;
	(void)to;
	memcpy(feed->out, msg, len);
	feed->len = len;
}

static void feed_reply(void *arg, const struct endpoint *to, uint8_t *msg, size_t len)
{
	feed_send(arg, NULL, to, msg, len);
}

static void make_side(const json_t *v, const char *name, struct feed *feed, const struct key *psk,
	const char *other, struct wg **wgp, struct wg_local **localp, struct wg_peer **peerp)
{
	struct wg_ops ops = {
		.send = feed_send, .reply = feed_reply, .random = feed_random, .arg = feed};
	struct wg_peer_config config = {.psk = psk, .mtu = 1420, .has_endpoint = true};
	struct key own, their;

	vector_exact(v, name, own.b, KEY_LEN);
	vector_exact(v, other, their.b, KEY_LEN);
	assert_int_equal(key_public(&their, &config.public_key), 0);
	assert_int_equal(endpoint_parse("192.0.2.1:51820", &config.endpoint), 0);
	assert_int_equal(wg_new(&ops, 1000 * WG_S, wgp), 0);
	assert_int_equal(wg_local_add(*wgp, &own, NULL, localp), 0);
	assert_int_equal(wg_peer_add(*localp, &config, 1000 * WG_S, peerp), 0);
}

static uint32_t number(const json_t *v, const char *name)
{
	return (uint32_t)json_integer_value(json_object_get(v, name));
}

static void expect(const struct feed *feed, const char *hex)
{
	uint8_t want[2048];
	size_t len = vector_hex(hex, want, sizeof(want));

	assert_int_equal(feed->len, len);
	assert_memory_equal(feed->out, want, len);
}

/* Gives what `from` sent last to `to`. */
static int pass(struct feed *from, struct wg *to, uint64_t now_ns, uint64_t wall_ns, size_t lenwant)
{
	struct endpoint at;
	uint8_t want[WORLD_PACKET], *packet;
	struct wg_peer *peer;
	int r;

	assert_int_equal(endpoint_parse("192.0.2.1:51820", &at), 0);
	r = wg_input(to, now_ns, wall_ns, &at, from->out, from->len, &packet, &peer);
	if (r > 0) {
		assert_int_equal(r, lenwant);
		world_packet(want, lenwant, wg_get32(packet + 20));
		assert_memory_equal(packet, want, lenwant);
	}
	return r;
}

static void output(struct wg_peer *peer, uint64_t now_ns, uint64_t wall_ns, size_t len, uint32_t no)
{
	uint8_t buf[256], *packet = buf + WG_HEADROOM;

	world_packet(packet, len, no);
	assert_int_equal(wg_output(peer, now_ns, wall_ns, packet, len), 0);
}

static void play(const json_t *v)
{
	const char *const data[] = {
		json_string_value(json_array_get(json_object_get(v, "data"), 0)),
		json_string_value(json_array_get(json_object_get(v, "data"), 1)),
		json_string_value(json_array_get(json_object_get(v, "data"), 2))};
	uint64_t now = 1000 * WG_S, wall = number(v, "start_s") * WG_S;
	struct feed i = {.nsecrets = 2}, r = {.nsecrets = 2};
	struct wg_local *il, *rl;
	struct wg_peer *ip, *rp;
	struct wg *iw, *rw;
	struct key psk;

	vector_exact(v, "psk", psk.b, KEY_LEN);
	vector_exact(v, "init_ephemeral", i.secrets[0], 32);
	vector_exact(v, "init_ephemeral2", i.secrets[1], 32);
	vector_exact(v, "cookie_secret", r.secrets[0], 32);
	vector_exact(v, "resp_ephemeral", r.secrets[1], 32);
	vector_exact(v, "cookie_nonce", r.nonce, WG_NONCE_LEN);
	i.numbers[0] = number(v, "init_index");
	i.numbers[1] = number(v, "init_index2");
	r.numbers[0] = number(v, "resp_index");
	make_side(v, "init_static", &i, &psk, "resp_static", &iw, &il, &ip);
	make_side(v, "resp_static", &r, &psk, "init_static", &rw, &rl, &rp);

	output(ip, now, wall, 100, 1);
	expect(&i, json_string_value(json_object_get(v, "initiation")));
	rw->loaded_until_ns = now + WG_S;
	assert_int_equal(pass(&i, rw, now, wall, 0), -EAGAIN);
	expect(&r, json_string_value(json_object_get(v, "cookie_reply")));
	assert_int_equal(pass(&r, iw, now, wall, 0), 0);

	now += 7 * WG_S;
	wall += 7 * WG_S;
	rw->loaded_until_ns = now + WG_S; /* so that MAC2 is looked at */
	wg_tick(iw, now, wall);
	expect(&i, json_string_value(json_object_get(v, "initiation2")));
	assert_int_equal(pass(&i, rw, now, wall, 0), 0);
	expect(&r, json_string_value(json_object_get(v, "response")));
	assert_int_equal(pass(&r, iw, now, wall, 0), 0);

	expect(&i, data[0]); /* the staged packet */
	assert_int_equal(pass(&i, rw, now, wall, 100), 100);
	output(ip, now, wall, 64, 2);
	expect(&i, data[1]);
	assert_int_equal(pass(&i, rw, now, wall, 64), 64);
	output(rp, now, wall, 41, 3);
	expect(&r, data[2]);
	assert_int_equal(pass(&r, iw, now, wall, 41), 41);
	wg_tick(iw, now + WG_KEEPALIVE_NS, wall + WG_KEEPALIVE_NS);
	expect(&i, json_string_value(json_object_get(v, "keepalive")));
	assert_int_equal(pass(&i, rw, now + WG_KEEPALIVE_NS, wall, 0), 0);

	wg_local_free(il);
	wg_local_free(rl);
	wg_free(iw);
	wg_free(rw);
}

static void messages_are_those_of_the_model(void **state)
{
	json_t *root = vector_load(VECTORS_DIR "/wireguard.json"), *v;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(root, "vectors")), 2);
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		play(v);
	}
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xchacha20poly1305_published_vector),
		cmocka_unit_test(keyed_blake2s_known_answers),
		cmocka_unit_test(messages_are_those_of_the_model),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

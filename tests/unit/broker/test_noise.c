/* SPDX-License-Identifier: MIT */
/* The Noise pattern against vectors, and its primitives against the RFCs. The public vectors are
 * read from Debian's package golang-github-flynn-noise-dev; NOISE_VECTORS may name another file, in
 * that form (lines KEY=VALUE) or, where its name ends in .json, in that of the collections of
 * cacophony and snow. */
#include "vectors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "noise.h"

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static void chacha(const uint8_t k[32], uint64_t n, const uint8_t *plain, size_t len, uint8_t *out)
{
	uint8_t nonce[12] = {0};

	for (unsigned i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n >> 8 * i);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, NULL, 0, NULL, nonce, k);
}

struct side {
	struct noise noise;
	struct key s, s_pub, e, psk;
	uint8_t prologue[256];
	size_t prologue_len;
};

static void load_side(const json_t *v, const char *who, struct side *side)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_prologue", who);
	side->prologue_len = vector_member(v, name, side->prologue, sizeof(side->prologue));
	snprintf(name, sizeof(name), "%s_static", who);
	vector_exact(v, name, side->s.b, KEY_LEN);
	snprintf(name, sizeof(name), "%s_ephemeral", who);
	vector_exact(v, name, side->e.b, KEY_LEN);
	snprintf(name, sizeof(name), "%s_psks", who);
	assert_int_equal(vector_hex(json_string_value(json_array_get(json_object_get(v, name), 0)),
				 side->psk.b, KEY_LEN),
		KEY_LEN);
	assert_int_equal(key_public(&side->s, &side->s_pub), 0);
}

/* Plays the handshake of a vector, then the transport messages, which alternate. */
static void play(const json_t *v)
{
	json_t *messages = json_object_get(v, "messages"), *m;
	uint8_t plain[1024], want[1024], got[1024], back[1024], hash[NOISE_HASH], k[2][32],
		kr[2][32];
	struct side init = {0}, resp = {0};
	size_t i, len, sealed;
	struct key rs;

	load_side(v, "init", &init);
	load_side(v, "resp", &resp);
	vector_exact(v, "init_remote_static", rs.b, KEY_LEN);
	assert_true(key_equal(&rs, &resp.s_pub));
	noise_init(&init.noise, true, init.prologue, init.prologue_len, &init.s, &init.s_pub, &rs);
	noise_init(
		&resp.noise, false, resp.prologue, resp.prologue_len, &resp.s, &resp.s_pub, NULL);
	noise_set_ephemeral(&init.noise, &init.e);
	noise_set_ephemeral(&resp.noise, &resp.e);
	assert_true(json_array_size(messages) >= 2);
	json_array_foreach(messages, i, m)
	{
		len = vector_member(m, "payload", plain, sizeof(plain));
		sealed = vector_member(m, "ciphertext", want, sizeof(want));
		if (i == 0) {
			assert_int_equal(noise_write1(&init.noise, plain, len, got), 0);
			assert_int_equal(sealed, len + NOISE_MSG1_OVERHEAD);
			assert_int_equal(noise_read1(&resp.noise, want, sealed, back), 0);
			assert_true(key_equal(&resp.noise.rs, &init.s_pub));
		} else if (i == 1) {
			assert_int_equal(noise_write2(&resp.noise, &resp.psk, plain, len, got), 0);
			assert_int_equal(sealed, len + NOISE_MSG2_OVERHEAD);
			assert_int_equal(
				noise_read2(&init.noise, &init.psk, want, sealed, back), 0);
			assert_memory_equal(init.noise.h, resp.noise.h, sizeof(hash));
			if (json_object_get(v, "handshake_hash")) {
				vector_exact(v, "handshake_hash", hash, sizeof(hash));
				assert_memory_equal(init.noise.h, hash, sizeof(hash));
			}
			noise_split(&init.noise, k[0], k[1]);
			noise_split(&resp.noise, kr[0], kr[1]);
			assert_memory_equal(k, kr, sizeof(k));
			assert_true(sodium_is_zero((uint8_t *)&init.noise, sizeof(init.noise)));
		} else {
			chacha(k[i % 2], (i - 2) / 2, plain, len, got);
			assert_int_equal(sealed, len + NOISE_TAG);
		}
		assert_memory_equal(got, want, sealed);
		if (i < 2)
			assert_memory_equal(back, plain, len);
	}
}

static int play_all(json_t *vectors)
{
	int played = 0;
	json_t *v;
	size_t i;

	json_array_foreach(vectors, i, v)
	{
		const char *name = json_string_value(json_object_get(v, "protocol_name"));

		if (!name || strcmp(name, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s") != 0)
			continue;
		play(v);
		played++;
	}
	return played;
}

static int play_file(const char *path)
{
	json_t *root = vector_load(path);
	int played = play_all(json_object_get(root, "vectors"));

	json_decref(root);
	return played;
}

/* ---- public vectors as lines KEY=VALUE; `handshake` begins a vector ---- */

static void set_text(json_t *v, const char *name, const char *value)
{
	assert_int_equal(json_object_set_new(v, name, json_string(value)), 0);
}

/* What the initiator must know beforehand is not in the file. */
static void add_remote_static(json_t *v, const char *resp_static)
{
	char hex[2 * KEY_LEN + 1];
	struct key s, pub;

	assert_int_equal(vector_hex(resp_static, s.b, KEY_LEN), KEY_LEN);
	assert_int_equal(key_public(&s, &pub), 0);
	set_text(v, "init_remote_static", sodium_bin2hex(hex, sizeof(hex), pub.b, KEY_LEN));
}

static void add_line(json_t *v, const char *key, const char *value)
{
	json_t *messages = json_object_get(v, "messages"), *m;
	unsigned no;
	char part[16];

	if (sscanf(key, "msg_%u_%15s", &no, part) == 2) {
		if (no >= json_array_size(messages))
			assert_int_equal(json_array_append_new(messages, json_object()), 0);
		m = json_array_get(messages, no);
		assert_non_null(m);
		set_text(m, part, value);
	} else if (strcmp(key, "preshared_key") == 0) {
		assert_int_equal(json_object_set_new(v, "init_psks", json_pack("[s]", value)), 0);
		assert_int_equal(json_object_set_new(v, "resp_psks", json_pack("[s]", value)), 0);
	} else if (strcmp(key, "prologue") == 0) {
		set_text(v, "init_prologue", value);
		set_text(v, "resp_prologue", value);
	} else if (strncmp(key, "gen_", 4) == 0) {
		set_text(v, key + 4, value);
	} else {
		set_text(v, key, value);
		if (strcmp(key, "resp_static") == 0)
			add_remote_static(v, value);
	}
}

static int play_text(const char *path)
{
	FILE *file = fopen(path, "r");
	json_t *vectors = json_array(), *v = NULL;
	char *line = NULL, *value;
	size_t cap = 0;
	int played;

	assert_non_null(file);
	while (getline(&line, &cap, file) >= 0) {
		line[strcspn(line, "\r\n")] = '\0';
		value = strchr(line, '=');
		if (line[0] == '#' || !value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "handshake") == 0) {
			v = json_pack("{ss ss ss s[]}", "protocol_name", value, "init_prologue", "",
				"resp_prologue", "", "messages");
			assert_int_equal(json_array_append_new(vectors, v), 0);
		} else {
			assert_non_null(v);
			add_line(v, line, value);
		}
	}
	free(line);
	fclose(file);
	played = play_all(vectors);
	json_decref(vectors);
	return played;
}

static void own_vectors(void **state)
{
	(void)state;
	assert_int_equal(play_file(VECTORS_DIR "/noise_ikpsk2.json"), 2);
}

#define PUBLIC_VECTORS "/usr/share/gocode/src/github.com/flynn/noise/vectors.txt"

static const char *public_path(void)
{
	const char *path = getenv("NOISE_VECTORS");

	return path ? path : PUBLIC_VECTORS;
}

static void public_vectors(void **state)
{
	const char *path = public_path(), *dot = strrchr(path, '.');

	(void)state;
	if (dot && strcmp(dot, ".json") == 0)
		assert_true(play_file(path) > 0);
	else
		/* without and with a prologue, without and with payloads of the handshake */
		assert_int_equal(play_text(path), 4);
}

/* RFC 7693 appendix B. */
static void blake2s_published_vector(void **state)
{
	uint8_t want[NOISE_HASH], got[NOISE_HASH];

	(void)state;
	vector_hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982", want, 32);
	noise_hash("abc", 3, NULL, 0, got);
	assert_memory_equal(got, want, 32);
	noise_hash("a", 1, "bc", 2, got);
	assert_memory_equal(got, want, 32);
	noise_hash("abc", 3, "", 0, got);
	assert_memory_equal(got, want, 32);
}

/* Computed with Python's hmac and hashlib.blake2s. */
static void hkdf_known_answer(void **state)
{
	uint8_t ck[NOISE_HASH], want[3][NOISE_HASH], out[3][NOISE_HASH];

	(void)state;
	for (size_t i = 0; i < sizeof(ck); i++)
		ck[i] = (uint8_t)i;
	vector_hex("93e2a65883e34ac95485f5d0aa4b09163a4e944dab8cf9406d3a138e362851c6", want[0], 32);
	vector_hex("dd6fae42afdb2a41170f44dc5b885ec4cfd17c8dd324d38b390c548630dd0a83", want[1], 32);
	vector_hex("4125e0adfa9b7e736615e99dde6f3f0b64b949d8b480e82cab2e685dc286e45d", want[2], 32);
	noise_hkdf(ck, "input key material", 18, 3, out);
	assert_memory_equal(out, want, sizeof(out));
	memset(out, 0, sizeof(out));
	noise_hkdf(ck, "input key material", 18, 2, out);
	assert_memory_equal(out, want, 64);
	assert_true(sodium_is_zero(out[2], 32));
	vector_hex("1a17621f346abdc520746a9fb64d8eb03231d674fc15687537b0780fd9c060fd", want[1], 32);
	noise_hkdf(ck, NULL, 0, 2, out);
	assert_memory_equal(out[1], want[1], 32);
}

/* RFC 7748 section 6.1, and section 5.2 iterated. */
static void x25519_published_vectors(void **state)
{
	struct key alice, bob, pub, want;
	uint8_t k[32] = {9}, u[32] = {9}, next[32];

	(void)state;
	vector_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", alice.b, 32);
	vector_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", bob.b, 32);
	vector_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", want.b, 32);
	assert_int_equal(key_public(&alice, &pub), 0);
	assert_true(key_equal(&pub, &want));
	vector_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", want.b, 32);
	assert_int_equal(key_public(&bob, &pub), 0);
	assert_true(key_equal(&pub, &want));
	vector_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want.b, 32);
	assert_int_equal(crypto_scalarmult_curve25519(next, alice.b, pub.b), 0);
	assert_memory_equal(next, want.b, 32);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(crypto_scalarmult_curve25519(next, k, u), 0);
		memcpy(u, k, 32);
		memcpy(k, next, 32);
		if (i == 0) {
			vector_hex(
				"422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
				want.b, 32);
			assert_memory_equal(k, want.b, 32);
		}
	}
	vector_hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", want.b, 32);
	assert_memory_equal(k, want.b, 32);
}

/* Two sides that know each other. */
struct pair {
	struct key is, is_pub, rs, rs_pub, psk;
	struct noise init, resp;
};

static void make_pair(struct pair *p)
{
	key_generate_private(&p->is);
	key_generate_private(&p->rs);
	key_generate_psk(&p->psk);
	assert_int_equal(key_public(&p->is, &p->is_pub), 0);
	assert_int_equal(key_public(&p->rs, &p->rs_pub), 0);
	noise_init(&p->init, true, "p", 1, &p->is, &p->is_pub, &p->rs_pub);
	noise_init(&p->resp, false, "p", 1, &p->rs, &p->rs_pub, NULL);
}

static void fresh_ephemerals_differ(void **state)
{
	uint8_t a[NOISE_MSG1_OVERHEAD], b[NOISE_MSG1_OVERHEAD];
	struct noise again;
	struct pair p;

	(void)state;
	make_pair(&p);
	again = p.init;
	assert_int_equal(noise_write1(&p.init, NULL, 0, a), 0);
	assert_int_equal(noise_write1(&again, NULL, 0, b), 0);
	assert_memory_not_equal(a, b, KEY_LEN);
	assert_int_equal(noise_read1(&p.resp, a, sizeof(a), NULL), 0);
	assert_true(key_equal(&p.resp.rs, &p.is_pub));
}

static void message1_refuses_every_flipped_bit_and_truncation(void **state)
{
	uint8_t msg[NOISE_MSG1_OVERHEAD + 5], bad[sizeof(msg)], payload[8];
	struct noise before;
	struct pair p;

	(void)state;
	make_pair(&p);
	assert_int_equal(noise_write1(&p.init, "hello", 5, msg), 0);
	before = p.resp;
	for (size_t bit = 0; bit < 8 * sizeof(msg); bit++) {
		memcpy(bad, msg, sizeof(msg));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(noise_read1(&p.resp, bad, sizeof(bad), payload), -EBADMSG);
		assert_memory_equal(&p.resp, &before, sizeof(before));
	}
	for (size_t len = 0; len < sizeof(msg); len++)
		assert_int_equal(noise_read1(&p.resp, msg, len, payload),
			len < NOISE_MSG1_OVERHEAD ? -EPROTO : -EBADMSG);
	/* None of this harmed the state. */
	assert_int_equal(noise_read1(&p.resp, msg, sizeof(msg), payload), 0);
	assert_memory_equal(payload, "hello", 5);
}

static void message2_refuses_every_flipped_bit_and_truncation(void **state)
{
	uint8_t msg[NOISE_MSG1_OVERHEAD], msg2[NOISE_MSG2_OVERHEAD + 3], bad[sizeof(msg2)],
		payload[4];
	struct noise before;
	struct pair p;

	(void)state;
	make_pair(&p);
	assert_int_equal(noise_write1(&p.init, NULL, 0, msg), 0);
	assert_int_equal(noise_read1(&p.resp, msg, sizeof(msg), payload), 0);
	assert_int_equal(noise_write2(&p.resp, &p.psk, "yes", 3, msg2), 0);
	before = p.init;
	for (size_t bit = 0; bit < 8 * sizeof(msg2); bit++) {
		memcpy(bad, msg2, sizeof(msg2));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(noise_read2(&p.init, &p.psk, bad, sizeof(bad), payload), -EBADMSG);
		assert_memory_equal(&p.init, &before, sizeof(before));
	}
	for (size_t len = 0; len < sizeof(msg2); len++)
		assert_int_equal(noise_read2(&p.init, &p.psk, msg2, len, payload),
			len < NOISE_MSG2_OVERHEAD ? -EPROTO : -EBADMSG);
	assert_int_equal(noise_read2(&p.init, &p.psk, msg2, sizeof(msg2), payload), 0);
	assert_memory_equal(payload, "yes", 3);
	assert_memory_equal(p.init.h, p.resp.h, NOISE_HASH);
}

static void other_prologue_key_or_psk_is_refused(void **state)
{
	uint8_t msg[NOISE_MSG1_OVERHEAD], msg2[NOISE_MSG2_OVERHEAD];
	struct key other, other_pub, psk;
	struct noise resp;
	struct pair p;

	(void)state;
	make_pair(&p);
	assert_int_equal(noise_write1(&p.init, NULL, 0, msg), 0);
	noise_init(&resp, false, "q", 1, &p.rs, &p.rs_pub, NULL);
	assert_int_equal(noise_read1(&resp, msg, sizeof(msg), NULL), -EBADMSG);
	key_generate_private(&other);
	assert_int_equal(key_public(&other, &other_pub), 0);
	noise_init(&resp, false, "p", 1, &other, &other_pub, NULL);
	assert_int_equal(noise_read1(&resp, msg, sizeof(msg), NULL), -EBADMSG);
	assert_int_equal(noise_read1(&p.resp, msg, sizeof(msg), NULL), 0);
	psk = p.psk;
	psk.b[31] ^= 1;
	assert_int_equal(noise_write2(&p.resp, &p.psk, NULL, 0, msg2), 0);
	assert_int_equal(noise_read2(&p.init, &psk, msg2, sizeof(msg2), NULL), -EBADMSG);
	assert_int_equal(noise_read2(&p.init, &p.psk, msg2, sizeof(msg2), NULL), 0);
}

/* Points of small order (RFC 7748 section 6.1): they give an all-zero shared secret. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_order_points_are_refused(void **state)
{
	uint8_t msg[NOISE_MSG1_OVERHEAD], msg2[NOISE_MSG2_OVERHEAD];
	struct pair p;
	struct key bad;

	(void)state;
	for (size_t i = 0; i < sizeof(low_order) / sizeof(low_order[0]); i++) {
		vector_hex(low_order[i], bad.b, KEY_LEN);
		make_pair(&p);
		noise_init(&p.init, true, "p", 1, &p.is, &p.is_pub, &bad);
		assert_int_equal(noise_write1(&p.init, NULL, 0, msg), -EINVAL);
		memset(msg, 0, sizeof(msg));
		memcpy(msg, bad.b, KEY_LEN); /* as the initiator's ephemeral key */
		assert_int_equal(noise_read1(&p.resp, msg, sizeof(msg), NULL), -EBADMSG);
		memset(msg2, 0, sizeof(msg2));
		memcpy(msg2, bad.b, KEY_LEN); /* as the responder's */
		make_pair(&p);
		assert_int_equal(noise_write1(&p.init, NULL, 0, msg), 0);
		assert_int_equal(noise_read2(&p.init, &p.psk, msg2, sizeof(msg2), NULL), -EBADMSG);
		/* As the initiator's static key: it can seal it, but ss gives nothing. */
		make_pair(&p);
		p.init.s_pub = bad;
		assert_int_equal(noise_write1(&p.init, NULL, 0, msg), 0);
		assert_int_equal(noise_read1(&p.resp, msg, sizeof(msg), NULL), -EBADMSG);
	}
}

/* "public": the public vectors alone, so that their absence shows as a skipped test. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_vectors),
		cmocka_unit_test(blake2s_published_vector),
		cmocka_unit_test(hkdf_known_answer),
		cmocka_unit_test(x25519_published_vectors),
		cmocka_unit_test(fresh_ephemerals_differ),
		cmocka_unit_test(message1_refuses_every_flipped_bit_and_truncation),
		cmocka_unit_test(message2_refuses_every_flipped_bit_and_truncation),
		cmocka_unit_test(other_prologue_key_or_psk_is_refused),
		cmocka_unit_test(low_order_points_are_refused),
	};
	const struct CMUnitTest public[] = {cmocka_unit_test(public_vectors)};

	if (argc != 2 || strcmp(argv[1], "public") != 0)
		return cmocka_run_group_tests(tests, setup, NULL);
	if (!getenv("NOISE_VECTORS") && access(PUBLIC_VECTORS, R_OK) < 0) {
		puts("1..0 # SKIP golang-github-flynn-noise-dev is not installed");
		return 0;
	}
	return cmocka_run_group_tests(public, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Records: round trips of every type, everything a network or a peer can do to them, and the fixed
 * bodies. */
#include "vectors.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>

#include "record.h"

struct ctx {
	struct aead *aead;
	struct aead_key tx, rx;
	uint8_t buf[RECORD_MAX], copy[RECORD_MAX];
	enum record_type type;
	uint8_t *body;
	size_t body_len;
};

static int setup(void **state)
{
	static const uint8_t raw[AEAD_KEY] = "a key of exactly 32 bytes......";
	struct ctx *c = calloc(1, sizeof(*c));

	if (!c || sodium_init() < 0 || aead_new(&c->aead) < 0)
		return -1;
	aead_key_init(&c->tx, AEAD_CHACHA20POLY1305, raw);
	c->rx = c->tx;
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	aead_free(c->aead);
	free(c);
	return 0;
}

/* Seals a record with a body of counting bytes into buf; returns its whole length. */
static size_t seal(struct ctx *c, enum record_type type, size_t len)
{
	for (size_t i = 0; i < len; i++)
		c->buf[RECORD_HEAD + i] = (uint8_t)i;
	assert_int_equal(record_seal(c->aead, &c->tx, type, c->buf, len), len + RECORD_OVERHEAD);
	return len + RECORD_OVERHEAD;
}

static int open_at(struct ctx *c, uint8_t *rec, size_t len)
{
	return record_open(c->aead, &c->rx, rec, len, &c->type, &c->body, &c->body_len);
}

/* Seals an arbitrary plaintext, as a hostile peer with the key can. */
static size_t seal_raw(struct ctx *c, const uint8_t *plain, size_t len)
{
	c->buf[0] = (uint8_t)((len + AEAD_TAG) >> 8);
	c->buf[1] = (uint8_t)(len + AEAD_TAG);
	if (len)
		memcpy(c->buf + 2, plain, len);
	assert_int_equal(aead_seal(c->aead, &c->tx, c->buf, 2, c->buf + 2, len), 0);
	return 2 + len + AEAD_TAG;
}

static const struct {
	enum record_type type;
	size_t len;
} forms[] = {{RECORD_DATA, 1}, {RECORD_DATA, 1000}, {RECORD_DATA, RECORD_BODY_MAX},
	{RECORD_OPEN, RECORD_OPEN_LEN}, {RECORD_OPENED, 1}, {RECORD_FIN, 0},
	{RECORD_RST, RECORD_RST_LEN}, {RECORD_WANT, 4}, {RECORD_CLOSE, 0}};

static void every_type_round_trips(void **state)
{
	struct ctx *c = *state;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t len = seal(c, forms[i].type, forms[i].len);

		assert_int_equal(record_length(c->buf, len), len);
		assert_int_equal(record_length(c->buf, 2), len);
		assert_int_equal(open_at(c, c->buf, len), 0);
		assert_int_equal(c->type, forms[i].type);
		assert_int_equal(c->body_len, forms[i].len);
		assert_ptr_equal(c->body, c->buf + RECORD_HEAD);
		for (size_t k = 0; k < c->body_len; k++)
			assert_int_equal(c->body[k], (uint8_t)k);
	}
}

static void length_needs_two_bytes_and_seventeen(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(record_length(c->buf, 0), 0);
	assert_int_equal(record_length(c->buf, 1), 0);
	for (unsigned n = 0; n <= 65535; n++) {
		c->buf[0] = (uint8_t)(n >> 8);
		c->buf[1] = (uint8_t)n;
		assert_int_equal(record_length(c->buf, 2), n < 17 ? -EPROTO : (int)n + 2);
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	struct ctx *c = *state;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t len = seal(c, forms[i].type, forms[i].len);

		if (len > 2000)
			len = seal(c, RECORD_DATA, 1800); /* every bit of 64 KiB takes too long */
		memcpy(c->copy, c->buf, len);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			memcpy(c->buf, c->copy, len);
			c->buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(open_at(c, c->buf, len), -EBADMSG);
		}
		/* The key is as it was: the record itself still opens, unless it came out of turn.
		 */
		memcpy(c->buf, c->copy, len);
		c->rx.counter = c->tx.counter - 1;
		assert_int_equal(open_at(c, c->buf, len), 0);
	}
}

static void truncated_records_are_refused(void **state)
{
	struct ctx *c = *state;
	size_t len = seal(c, RECORD_DATA, 100);

	memcpy(c->copy, c->buf, len);
	for (size_t n = 0; n < len; n++) {
		memcpy(c->buf, c->copy, len);
		assert_int_equal(open_at(c, c->buf, n), -EBADMSG);
		if (n < RECORD_OVERHEAD)
			continue;
		/* Also with a length field that fits what is left. */
		c->buf[0] = (uint8_t)((n - 2) >> 8);
		c->buf[1] = (uint8_t)(n - 2);
		assert_int_equal(open_at(c, c->buf, n), -EBADMSG);
	}
	memcpy(c->buf, c->copy, len);
	assert_int_equal(open_at(c, c->buf, len + 1), -EBADMSG);
	memcpy(c->buf, c->copy, len);
	assert_int_equal(open_at(c, c->buf, len), 0);
}

static void replayed_record_is_refused(void **state)
{
	struct ctx *c = *state;
	size_t len = seal(c, RECORD_DATA, 10);

	memcpy(c->copy, c->buf, len);
	assert_int_equal(open_at(c, c->buf, len), 0);
	assert_int_equal(open_at(c, c->copy, len), -EBADMSG);
}

static void reordered_record_is_refused(void **state)
{
	struct ctx *c = *state;
	size_t len = seal(c, RECORD_DATA, 10);

	memcpy(c->copy, c->buf, len);
	seal(c, RECORD_DATA, 10);
	assert_int_equal(open_at(c, c->buf, len), -EBADMSG); /* the second before the first */
	assert_int_equal(open_at(c, c->copy, len), 0);
}

static void reflected_record_is_refused(void **state)
{
	struct ctx *c = *state;
	size_t len;

	/* The two directions have different keys. */
	c->rx.key[0] ^= 1;
	len = seal(c, RECORD_DATA, 10);
	assert_int_equal(open_at(c, c->buf, len), -EBADMSG);
}

static void garbage_is_refused(void **state)
{
	struct ctx *c = *state;

	for (size_t i = 0; i < 5000; i++) {
		size_t len = RECORD_OVERHEAD + randombytes_uniform(200);

		randombytes_buf(c->buf, len);
		c->buf[0] = (uint8_t)((len - 2) >> 8);
		c->buf[1] = (uint8_t)(len - 2);
		assert_int_equal(open_at(c, c->buf, len), -EBADMSG);
	}
}

static void authentic_but_malformed_is_a_protocol_error(void **state)
{
	static const size_t want[RECORD_TYPES] = {
		[RECORD_OPEN] = 38, [RECORD_OPENED] = 1, [RECORD_RST] = 4, [RECORD_WANT] = 4};
	uint8_t plain[64] = {0};
	struct ctx *c = *state;
	size_t n;

	for (unsigned type = 0; type < 256; type++) {
		for (size_t len = 0; len < 45; len++) {
			bool good = type == RECORD_DATA ? len > 0
							: type < RECORD_TYPES && len == want[type];

			plain[0] = (uint8_t)type;
			n = seal_raw(c, plain, 1 + len);
			assert_int_equal(open_at(c, c->buf, n), good ? 0 : -EPROTO);
			if (good && type == RECORD_REKEY)
				assert_int_equal(aead_rekey(c->aead, &c->tx), 0);
		}
	}
	/* Not even a type inside. */
	n = seal_raw(c, plain, 0);
	assert_int_equal(open_at(c, c->buf, n), -EBADMSG);
}

static void sender_keeps_to_the_sizes(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(record_seal(c->aead, &c->tx, RECORD_DATA, c->buf, 0), -EINVAL);
	assert_int_equal(
		record_seal(c->aead, &c->tx, RECORD_DATA, c->buf, RECORD_BODY_MAX + 1), -EINVAL);
	assert_int_equal(record_seal(c->aead, &c->tx, RECORD_OPEN, c->buf, 37), -EINVAL);
	assert_int_equal(record_seal(c->aead, &c->tx, RECORD_FIN, c->buf, 1), -EINVAL);
	assert_int_equal(record_seal(c->aead, &c->tx, RECORD_TYPES, c->buf, 0), -EINVAL);
	assert_int_equal(c->tx.counter, 0);
	c->tx.counter = UINT64_MAX;
	assert_int_equal(record_seal(c->aead, &c->tx, RECORD_FIN, c->buf, 0), -EKEYEXPIRED);
}

static void rekey_moves_both_sides(void **state)
{
	struct aead_key before;
	struct ctx *c = *state;
	size_t len;

	for (size_t i = 0; i < 20; i++) {
		before = c->tx;
		len = seal(c, RECORD_REKEY, 0);
		assert_int_equal(aead_rekey(c->aead, &c->tx), 0);
		assert_int_equal(open_at(c, c->buf, len), 0);
		assert_int_equal(c->type, RECORD_REKEY);
		assert_int_equal(c->body_len, 0);
		assert_memory_equal(&c->rx, &c->tx, sizeof(c->tx));
		assert_memory_not_equal(c->tx.key, before.key, AEAD_KEY);
		len = seal(c, RECORD_DATA, 50);
		assert_int_equal(open_at(c, c->buf, len), 0);
	}
}

static void record_under_the_old_key_is_refused_after_rekey(void **state)
{
	struct ctx *c = *state;
	struct aead_key old;
	size_t len = seal(c, RECORD_REKEY, 0);

	old = c->tx;
	assert_int_equal(open_at(c, c->buf, len), 0);
	c->tx = old; /* the sender forgot */
	len = seal(c, RECORD_DATA, 50);
	assert_int_equal(open_at(c, c->buf, len), -EBADMSG);
}

static void limits_are_the_documented(void **state)
{
	(void)state;
	assert_true(record_limits_default.rekey_bytes == 64ULL << 30);
	assert_true(record_limits_default.rekey_ms == 120000);
}

static void codes_and_errnos(void **state)
{
	static const int errnos[] = {
		0, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EACCES, EAGAIN};

	(void)state;
	for (unsigned code = 0; code < sizeof(errnos) / sizeof(errnos[0]); code++) {
		assert_int_equal(record_code_of(errnos[code]), code);
		assert_int_equal(record_errno_of(code), errnos[code]);
	}
	assert_int_equal(record_code_of(ELOOP), RECORD_HOPS);
	assert_int_equal(record_errno_of(RECORD_HOPS), EHOSTUNREACH);
	assert_int_equal(record_code_of(ENOMEM), RECORD_UNREACHABLE_HOST);
	assert_int_equal(record_code_of(-1), RECORD_UNREACHABLE_HOST);
	for (unsigned code = RECORD_HOPS + 1; code < 256; code++)
		assert_int_equal(record_errno_of(code), EHOSTUNREACH);
}

static void open_message_round_trips(void **state)
{
	struct record_open_msg msg = {.proto = IPPROTO_TCP, .hops = 8}, got;
	uint8_t body[RECORD_OPEN_LEN + 1] = {0}, want[RECORD_OPEN_LEN];

	(void)state;
	assert_int_equal(endpoint_parse("10.77.0.1:40000", &msg.src), 0);
	assert_int_equal(endpoint_parse("[2001:db8::2]:80", &msg.dst), 0);
	record_put_open(body, &msg);
	vector_hex("0608"
		   "00000000000000000000ffff0a4d00019c40"
		   "20010db80000000000000000000000020050",
		want, sizeof(want));
	assert_memory_equal(body, want, sizeof(want));
	assert_int_equal(record_get_open(body, RECORD_OPEN_LEN, &got), 0);
	assert_int_equal(got.proto, IPPROTO_TCP);
	assert_int_equal(got.hops, 8);
	assert_true(endpoint_equal(&got.src, &msg.src));
	assert_true(endpoint_equal(&got.dst, &msg.dst));
}

static void malformed_open_message_is_refused(void **state)
{
	struct record_open_msg msg = {.proto = IPPROTO_TCP}, got = {.hops = 77};
	uint8_t body[RECORD_OPEN_LEN + 1] = {0};

	(void)state;
	record_put_open(body, &msg);
	for (size_t len = 0; len <= sizeof(body); len++)
		if (len != RECORD_OPEN_LEN)
			assert_int_equal(record_get_open(body, len, &got), -EPROTO);
	body[0] = IPPROTO_UDP;
	assert_int_equal(record_get_open(body, RECORD_OPEN_LEN, &got), -EPROTO);
	assert_int_equal(got.hops, 77); /* untouched */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_round_trips),
		TEST(length_needs_two_bytes_and_seventeen),
		TEST(every_flipped_bit_is_refused),
		TEST(truncated_records_are_refused),
		TEST(replayed_record_is_refused),
		TEST(reordered_record_is_refused),
		TEST(reflected_record_is_refused),
		TEST(garbage_is_refused),
		TEST(authentic_but_malformed_is_a_protocol_error),
		TEST(sender_keeps_to_the_sizes),
		TEST(rekey_moves_both_sides),
		TEST(record_under_the_old_key_is_refused_after_rekey),
		cmocka_unit_test(limits_are_the_documented),
		cmocka_unit_test(codes_and_errnos),
		cmocka_unit_test(open_message_round_trips),
		cmocka_unit_test(malformed_open_message_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

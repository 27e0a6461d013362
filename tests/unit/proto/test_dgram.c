/* SPDX-License-Identifier: MIT */
/* The head of datagram messages: there and back, cut, too long, and with each wrong value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "dgram.h"

/* Where the fields are on the wire. */
enum { AT_FLAGS = 1, AT_ERR = 44, AT_TAIL = 68 };

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, &e), 0);
	return e;
}

static struct dgram_head data_head(void)
{
	struct dgram_head head = {.kind = DGRAM_DATA,
		.flags = DGRAM_HAS_SRC | DGRAM_HAS_DST | DGRAM_HAS_TTL | DGRAM_DONTFRAG,
		.ttl = 64,
		.tos = 0xb8,
		.ifindex = 0x01020304};

	head.src = endpoint("10.77.0.1:40000");
	head.dst = endpoint("[2001:db8::1]:53");
	return head;
}

static struct dgram_head error_head(void)
{
	struct dgram_head head = data_head();

	head.kind = DGRAM_ERROR;
	head.flags = DGRAM_EOR_ERR;
	head.err = EHOSTUNREACH;
	head.icmp_type = 11;
	head.icmp_code = 1;
	head.info = 1280;
	assert_int_equal(addr_parse("192.0.2.1", &head.offender), 0);
	return head;
}

static void assert_same(const struct dgram_head *a, const struct dgram_head *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->ttl, b->ttl);
	assert_int_equal(a->tos, b->tos);
	assert_int_equal(a->ifindex, b->ifindex);
	assert_true(endpoint_equal(&a->src, &b->src));
	assert_true(endpoint_equal(&a->dst, &b->dst));
	assert_int_equal(a->err, b->err);
	assert_int_equal(a->icmp_type, b->icmp_type);
	assert_int_equal(a->icmp_code, b->icmp_code);
	assert_int_equal(a->info, b->info);
	assert_true(addr_equal(&a->offender, &b->offender));
}

/* Decodes a message of `len` bytes that begins with `head`; the memory is exactly as long. */
static int decode(const uint8_t *head, size_t len, struct dgram_head *headp)
{
	uint8_t *copy = calloc(1, len ? len : 1);
	int r;

	memcpy(copy, head, len < DGRAM_HEAD ? len : DGRAM_HEAD);
	r = dgram_head_decode(copy, len, headp);
	free(copy);
	return r;
}

static void heads_round_trip(void **state)
{
	struct dgram_head heads[] = {data_head(), error_head()}, got;
	uint8_t buf[DGRAM_HEAD];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		memset(buf, 0xff, sizeof(buf));
		dgram_head_encode(&heads[i], buf);
		assert_int_equal(decode(buf, DGRAM_HEAD + 5, &got), 0);
		assert_same(&got, &heads[i]);
	}
}

static void data_carries_nothing_of_an_error(void **state)
{
	struct dgram_head head = error_head(), want = data_head(), got;
	uint8_t buf[DGRAM_HEAD];

	(void)state;
	head.kind = DGRAM_DATA;
	head.flags = want.flags;
	dgram_head_encode(&head, buf);
	assert_int_equal(decode(buf, DGRAM_HEAD, &got), 0);
	assert_same(&got, &want);
	for (size_t at = AT_ERR; at < DGRAM_HEAD; at++) {
		buf[at] = 1;
		assert_int_equal(decode(buf, DGRAM_HEAD, &got), -EPROTO);
		buf[at] = 0;
	}
}

static void lengths_are_bounded(void **state)
{
	struct dgram_head data = data_head(), error = error_head(), got = {.info = 77};
	uint8_t buf[DGRAM_HEAD];

	(void)state;
	dgram_head_encode(&data, buf);
	for (size_t len = 0; len < DGRAM_HEAD; len++)
		assert_int_equal(decode(buf, len, &got), -EPROTO);
	assert_int_equal(decode(buf, DGRAM_HEAD + DGRAM_PAYLOAD_MAX + 1, &got), -EPROTO);
	dgram_head_encode(&error, buf);
	assert_int_equal(decode(buf, DGRAM_HEAD + DGRAM_QUOTE_MAX + 1, &got), -EPROTO);
	assert_int_equal(got.info, 77); /* untouched */
	assert_int_equal(decode(buf, DGRAM_HEAD + DGRAM_QUOTE_MAX, &got), 0);
	dgram_head_encode(&data, buf);
	assert_int_equal(decode(buf, DGRAM_HEAD, &got), 0);
	assert_int_equal(decode(buf, DGRAM_HEAD + DGRAM_PAYLOAD_MAX, &got), 0);
}

static void bad_values_are_refused(void **state)
{
	struct dgram_head error = error_head(), data = data_head(), got;
	uint8_t buf[DGRAM_HEAD];

	(void)state;
	dgram_head_encode(&error, buf);
	for (unsigned kind = 0; kind < 256; kind++) {
		buf[0] = (uint8_t)kind;
		assert_int_equal(decode(buf, DGRAM_HEAD, &got), kind == DGRAM_ERROR ? 0 : -EPROTO);
	}
	buf[0] = DGRAM_ERROR;
	for (unsigned flags = 0; flags < 256; flags++) {
		buf[AT_FLAGS] = (uint8_t)flags;
		assert_int_equal(decode(buf, DGRAM_HEAD, &got), flags < 32 ? 0 : -EPROTO);
	}
	buf[AT_FLAGS] = 0;
	for (unsigned err = 0; err < 65536; err++) {
		buf[AT_ERR] = (uint8_t)(err >> 8);
		buf[AT_ERR + 1] = (uint8_t)err;
		assert_int_equal(dgram_head_decode(buf, DGRAM_HEAD, &got),
			err > 0 && err < 4096 ? 0 : -EPROTO);
	}
	dgram_head_encode(&error, buf);
	for (size_t at = AT_TAIL; at < DGRAM_HEAD; at++) {
		buf[at] = 1;
		assert_int_equal(decode(buf, DGRAM_HEAD, &got), -EPROTO);
		buf[at] = 0;
	}
	dgram_head_encode(&data, buf);
	for (unsigned flags = 0; flags < 256; flags++) {
		buf[AT_FLAGS] = (uint8_t)flags;
		assert_int_equal(decode(buf, DGRAM_HEAD, &got), flags < 16 ? 0 : -EPROTO);
	}
}

/* Any random head is refused or encodes back to itself. */
static void random_heads(void **state)
{
	uint8_t buf[DGRAM_HEAD], again[DGRAM_HEAD];
	struct dgram_head got;
	unsigned accepted = 0;

	(void)state;
	srandom(1);
	for (unsigned i = 0; i < 100000; i++) {
		for (size_t k = 0; k < sizeof(buf); k++)
			buf[k] = (uint8_t)(k < AT_ERR || random() % 8 == 0 ? random() : 0);
		buf[0] = (uint8_t)(DGRAM_DATA + random() % 3);
		buf[AT_FLAGS] %= 64;
		if (dgram_head_decode(buf, sizeof(buf), &got) < 0)
			continue;
		dgram_head_encode(&got, again);
		assert_memory_equal(again, buf, sizeof(buf));
		accepted++;
	}
	assert_true(accepted > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_round_trip),
		cmocka_unit_test(data_carries_nothing_of_an_error),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(random_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

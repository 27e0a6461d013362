/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "nlreq.h"

static void test_a_head_survives_the_way(void **state)
{
	const struct nlreq req = {
		.flags = NLREQ_STRICT | NLREQ_SET_GROUPS, .portid = 0xdeadbeef, .groups = 5};
	uint8_t buf[NLREQ_HEAD + 4] = {[NLREQ_HEAD] = 9};
	struct nlreq got;
	const void *body;
	size_t len;

	(void)state;
	nlreq_encode(&req, buf);
	assert_int_equal(nlreq_decode(buf, sizeof(buf), &got, &body, &len), 0);
	assert_int_equal(got.flags, req.flags);
	assert_int_equal(got.portid, req.portid);
	assert_int_equal(got.groups, req.groups);
	assert_ptr_equal(body, buf + NLREQ_HEAD);
	assert_int_equal(len, 4);
}

static void test_without_a_head_nothing_is_written(void **state)
{
	const struct nlreq req = {.portid = 1};
	uint8_t buf[NLREQ_HEAD], garbage[NLREQ_HEAD] = {20};
	struct nlreq got = {.portid = 42};
	const void *body = NULL;
	size_t len = 7;

	(void)state;
	nlreq_encode(&req, buf);
	for (size_t n = 0; n < sizeof(buf); n++)
		assert_int_equal(nlreq_decode(buf, n, &got, &body, &len), -ENOENT);
	assert_int_equal(nlreq_decode(garbage, sizeof(garbage), &got, &body, &len), -ENOENT);
	assert_int_equal(got.portid, 42);
	assert_null(body);
	assert_int_equal(len, 7);
}

/* No netlink message is mistaken for one: it would have to be longer than any request. */
static void test_the_mark_is_no_length_of_a_message(void **state)
{
	const struct nlreq req = {.portid = 1};
	uint8_t buf[NLREQ_HEAD];
	uint32_t native;

	(void)state;
	nlreq_encode(&req, buf);
	memcpy(&native, buf, sizeof(native));
	assert_true(native > NLREQ_MAX && __builtin_bswap32(native) > NLREQ_MAX);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_head_survives_the_way),
		cmocka_unit_test(test_without_a_head_nothing_is_written),
		cmocka_unit_test(test_the_mark_is_no_length_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

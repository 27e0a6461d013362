/* SPDX-License-Identifier: MIT */
/* Bounded cursors: every size of buffer against every call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "buf.h"

static void integers_are_big_endian(void **state)
{
	static const uint8_t want[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t buf[15];
	struct buf_wr wr;
	struct buf_rd rd;

	(void)state;
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_u8(&wr, 1);
	buf_put_u16(&wr, 0x0203);
	buf_put_u32(&wr, 0x04050607);
	buf_put_u64(&wr, 0x08090a0b0c0d0e0f);
	assert_false(wr.bad);
	assert_int_equal(wr.len, 15);
	assert_memory_equal(buf, want, 15);
	buf_rd_init(&rd, buf, sizeof(buf));
	assert_int_equal(buf_get_u8(&rd), 1);
	assert_int_equal(buf_get_u16(&rd), 0x0203);
	assert_int_equal(buf_get_u32(&rd), 0x04050607);
	assert_false(buf_rd_done(&rd));
	assert_true(buf_get_u64(&rd) == 0x08090a0b0c0d0e0f);
	assert_true(buf_rd_done(&rd));
}

static void short_read_gives_zero_and_stays_bad(void **state)
{
	uint8_t buf[8], out[8];
	struct buf_rd rd;

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	for (size_t len = 0; len < 8; len++) {
		buf_rd_init(&rd, buf, len);
		assert_int_equal(buf_get_u64(&rd), 0);
		assert_true(rd.bad);
		/* Sticky, although a byte would be there. */
		assert_int_equal(buf_get_u8(&rd), 0);
		assert_null(buf_get_ptr(&rd, 0));
		memset(out, 1, sizeof(out));
		buf_get_bytes(&rd, out, len);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(out[i], 0);
		assert_int_equal(rd.left, len);
		assert_false(buf_rd_done(&rd));
	}
	buf_rd_init(&rd, buf, 3);
	assert_int_equal(buf_get_u32(&rd), 0);
	buf_rd_init(&rd, buf, 1);
	assert_int_equal(buf_get_u16(&rd), 0);
	buf_rd_init(&rd, NULL, 0);
	assert_true(buf_rd_done(&rd));
	assert_int_equal(buf_get_u8(&rd), 0);
	assert_false(buf_rd_done(&rd));
}

static void huge_length_does_not_wrap(void **state)
{
	uint8_t buf[4] = {0};
	struct buf_rd rd;
	struct buf_wr wr;

	(void)state;
	buf_rd_init(&rd, buf, sizeof(buf));
	buf_get_u8(&rd);
	assert_null(buf_get_ptr(&rd, SIZE_MAX));
	assert_true(rd.bad);
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_u8(&wr, 1);
	buf_put_zero(&wr, SIZE_MAX);
	assert_true(wr.bad);
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_u8(&wr, 1);
	buf_put_bytes(&wr, buf, SIZE_MAX);
	assert_true(wr.bad);
}

static void pointers_point_inside(void **state)
{
	static const uint8_t buf[] = {1, 2, 3};
	struct buf_rd rd;

	(void)state;
	buf_rd_init(&rd, buf, sizeof(buf));
	assert_ptr_equal(buf_get_ptr(&rd, 2), buf);
	assert_ptr_equal(buf_get_ptr(&rd, 1), buf + 2);
	assert_ptr_equal(buf_get_ptr(&rd, 0), buf + 3);
	assert_true(buf_rd_done(&rd));
	assert_null(buf_get_ptr(&rd, 1));
}

static void write_that_does_not_fit_writes_nothing(void **state)
{
	uint8_t buf[16];
	struct buf_wr wr;

	(void)state;
	for (size_t cap = 0; cap < 8; cap++) {
		memset(buf, 0xee, sizeof(buf));
		buf_wr_init(&wr, buf, cap);
		buf_put_u64(&wr, 0);
		assert_true(wr.bad);
		buf_put_u8(&wr, 0); /* would fit, but the cursor is bad */
		buf_put_zero(&wr, 0);
		buf_put_bytes(&wr, "x", 1);
		assert_int_equal(wr.len, 0);
		for (size_t i = 0; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xee);
	}
	buf_wr_init(&wr, buf, 4);
	buf_put_zero(&wr, 4);
	assert_false(wr.bad);
	buf_put_zero(&wr, 1);
	assert_true(wr.bad);
	assert_int_equal(buf[4], 0xee);
}

static void strings_round_trip(void **state)
{
	char text[8];
	uint8_t buf[16];
	struct buf_wr wr;
	struct buf_rd rd;

	(void)state;
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_str(&wr, "");
	buf_put_str(&wr, "seven77");
	assert_int_equal(wr.len, 2 + 2 + 7);
	buf_rd_init(&rd, buf, wr.len);
	buf_get_str(&rd, text, sizeof(text));
	assert_string_equal(text, "");
	buf_get_str(&rd, text, sizeof(text));
	assert_string_equal(text, "seven77");
	assert_true(buf_rd_done(&rd));
}

static void string_that_does_not_fit_is_refused(void **state)
{
	static const uint8_t buf[] = {0, 3, 'a', 'b', 'c'};
	char text[4] = "old";
	struct buf_rd rd;

	(void)state;
	buf_rd_init(&rd, buf, sizeof(buf));
	buf_get_str(&rd, text, 3); /* no room for the terminator */
	assert_true(rd.bad);
	assert_string_equal(text, "");
	for (size_t len = 0; len < sizeof(buf); len++) {
		strcpy(text, "old");
		buf_rd_init(&rd, buf, len);
		buf_get_str(&rd, text, sizeof(text));
		assert_true(rd.bad);
		assert_string_equal(text, "");
	}
	buf_rd_init(&rd, buf, sizeof(buf));
	buf_get_str(&rd, text, 4);
	assert_true(buf_rd_done(&rd));
	assert_string_equal(text, "abc");
}

static void string_with_a_nul_is_refused(void **state)
{
	static const uint8_t buf[] = {0, 3, 'a', 0, 'c'};
	char text[8] = "old";
	struct buf_rd rd;

	(void)state;
	buf_rd_init(&rd, buf, sizeof(buf));
	buf_get_str(&rd, text, sizeof(text));
	assert_true(rd.bad);
	assert_string_equal(text, "");
}

static void string_too_long_for_its_length_field_is_refused(void **state)
{
	static char text[65537], back[65536];
	static uint8_t buf[70000];
	struct buf_wr wr;
	struct buf_rd rd;

	(void)state;
	memset(text, 'x', 65536);
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_str(&wr, text);
	assert_true(wr.bad);
	assert_int_equal(wr.len, 0);
	text[65535] = '\0';
	buf_wr_init(&wr, buf, sizeof(buf));
	buf_put_str(&wr, text);
	assert_false(wr.bad);
	buf_rd_init(&rd, buf, wr.len);
	buf_get_str(&rd, back, sizeof(back));
	assert_true(buf_rd_done(&rd));
	assert_string_equal(back, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(short_read_gives_zero_and_stays_bad),
		cmocka_unit_test(huge_length_does_not_wrap),
		cmocka_unit_test(pointers_point_inside),
		cmocka_unit_test(write_that_does_not_fit_writes_nothing),
		cmocka_unit_test(strings_round_trip),
		cmocka_unit_test(string_that_does_not_fit_is_refused),
		cmocka_unit_test(string_with_a_nul_is_refused),
		cmocka_unit_test(string_too_long_for_its_length_field_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* proxyproto: the header byte by byte, as section 2.2 of the specification has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proxyproto.h"

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

static struct endpoint endpoint(const char *s)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(s, &e), 0);
	return e;
}

static void is(const char *src, const char *dst, const char *wanted, size_t len)
{
	const struct endpoint s = endpoint(src), d = endpoint(dst);
	uint8_t buf[PROXYPROTO_MAX];

	assert_int_equal(proxyproto_header(&s, &d, buf), len);
	assert_memory_equal(buf, wanted, len);
}

static void test_ipv4(void **state)
{
	static const char wanted[] = SIGNATURE "\x21\x11\x00\x0c"
					       "\x0a\x4d\x00\x01"
					       "\x0a\x4d\x00\x02"
					       "\x9c\x40\x00\x50";

	(void)state;
	is("10.77.0.1:40000", "10.77.0.2:80", wanted, 28);
}

static void test_ipv6(void **state)
{
	static const char wanted[] =
		SIGNATURE "\x21\x21\x00\x24"
			  "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
			  "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
			  "\xff\xff\x01\xbb";

	(void)state;
	is("[fd00::1]:65535", "[fd00::2]:443", wanted, PROXYPROTO_MAX);
}

static void test_mixed_families_are_written_as_ipv6(void **state)
{
	static const char wanted[] =
		SIGNATURE "\x21\x21\x00\x24"
			  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x4d\x00\x01"
			  "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
			  "\x00\x01\x00\x50";

	(void)state;
	is("10.77.0.1:1", "[fd00::2]:80", wanted, PROXYPROTO_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_mixed_families_are_written_as_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

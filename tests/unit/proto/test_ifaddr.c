/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "ifaddr.h"

static struct info info_of(const char *a, const char *b)
{
	struct info info = {.naddr = 2};

	assert_int_equal(prefix_parse(a, &info.addr[0]), 0);
	assert_int_equal(prefix_parse(b, &info.addr[1]), 0);
	return info;
}

static void source_is(const struct info *info, const char *dst, const char *src)
{
	struct addr d, s = addr_any6, wanted;

	assert_int_equal(addr_parse(dst, &d), 0);
	assert_int_equal(ifaddr_source(info, &d, &s), src ? 0 : -ENETUNREACH);
	assert_int_equal(addr_parse(src ? src : "::", &wanted), 0);
	assert_true(addr_equal(&s, &wanted));
}

static void test_lo_has_loopback_and_links_have_the_addresses(void **state)
{
	struct info info = info_of("10.77.0.1/24", "fd77::1/64");
	struct prefix out[IFADDR_MAX];

	(void)state;
	assert_int_equal(ifaddr_of(&info, true, 2, out), 2);
	assert_true(addr_equal(&out[0].addr, &addr_loopback4));
	assert_int_equal(out[0].len, 96 + 8);
	assert_true(addr_equal(&out[1].addr, &addr_loopback6));
	assert_int_equal(ifaddr_of(&info, false, 2, out), 2);
	assert_true(addr_equal(&out[0].addr, &info.addr[0].addr));
}

static void test_without_a_link_the_addresses_are_on_lo(void **state)
{
	struct info info = info_of("10.77.0.1/24", "fd77::1/64");
	struct prefix out[IFADDR_MAX];

	(void)state;
	assert_int_equal(ifaddr_of(&info, true, 1, out), 4);
	assert_true(addr_equal(&out[2].addr, &info.addr[0].addr));
}

static void test_the_source_is_the_nearest_address(void **state)
{
	struct info two = info_of("10.1.0.1/8", "10.77.0.1/16"),
		    one = info_of("10.77.0.1/24", "10.78.0.1/24");

	(void)state;
	source_is(&two, "10.77.3.4", "10.77.0.1");
	source_is(&two, "10.9.0.1", "10.1.0.1");
	source_is(&two, "192.0.2.1", "10.1.0.1");
	source_is(&one, "10.78.0.1", "10.78.0.1");
	source_is(&two, "127.0.0.9", "127.0.0.1");
	source_is(&two, "::1", "::1");
	source_is(&two, "fd77::2", NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lo_has_loopback_and_links_have_the_addresses),
		cmocka_unit_test(test_without_a_link_the_addresses_are_on_lo),
		cmocka_unit_test(test_the_source_is_the_nearest_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

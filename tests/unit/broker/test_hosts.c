/* SPDX-License-Identifier: MIT */
/* hosts: names, both directions of lookup, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hosts.h"

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void add(struct hosts *hosts, const char *name, const char *text)
{
	const struct addr a = addr(text);

	assert_int_equal(hosts_add(hosts, name, &a), 0);
}

static int setup(void **state)
{
	return hosts_new((struct hosts **)state);
}

static int teardown(void **state)
{
	hosts_free(*state);
	return 0;
}

static void test_valid_names(void **state)
{
	static const char *const good[] = {"a", "web", "web.", "web-1.example", "1a",
		"3com.example", "_srv._tcp.example", "A.B.C", "xn--bcher-kva.example", "9.a"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(hosts_name_valid(good[i]));
}

static void test_invalid_names(void **state)
{
	static const char *const wrong[] = {"", ".", "..", "a..b", ".a", "-a", "a-", "a.-b", "a-.b",
		"a b", "a/b", "a\nb", "1", "10.0.0.1", "a.1", "b\xc3\xbc", "a:b", "::1", "a#"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(hosts_name_valid(wrong[i]));
}

static void test_name_length_limits(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_true(hosts_name_valid(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_false(hosts_name_valid(name));

	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < 253; i += 64)
		name[i] = '.';
	name[253] = '\0';
	assert_true(hosts_name_valid(name));
	name[253] = '.';
	name[254] = '\0';
	assert_true(hosts_name_valid(name));
	name[253] = 'a';
	assert_false(hosts_name_valid(name));
	memset(name + 253, 'a', 46);
	name[299] = '\0';
	assert_false(hosts_name_valid(name));
}

static void test_lookup_ignores_case_and_dot(void **state)
{
	struct hosts *hosts = *state;
	struct addr found[4];
	const char *canon = NULL;

	add(hosts, "Web.Example.", "10.0.0.1");
	assert_int_equal(hosts_lookup(hosts, "wEB.eXAMPLE", found, 4, &canon), 1);
	assert_true(addr_equal(&found[0], &(struct addr){.b = {[10] = 255, 255, 10, 0, 0, 1}}));
	assert_string_equal(canon, "Web.Example");
	assert_int_equal(hosts_lookup(hosts, "web.example.", found, 4, NULL), 1);
	assert_int_equal(hosts_lookup(hosts, "web", found, 4, NULL), 0);
	assert_int_equal(hosts_lookup(hosts, "", found, 4, NULL), 0);
	assert_int_equal(hosts_lookup(hosts, "not valid", found, 4, NULL), 0);
}

static void test_lookup_keeps_order_and_cap(void **state)
{
	struct hosts *hosts = *state;
	struct addr found[4], first = addr("fd00::1");

	add(hosts, "db", "fd00::1");
	add(hosts, "db", "10.0.0.2");
	add(hosts, "DB", "fd00::1"); /* again: no effect */
	add(hosts, "db", "10.0.0.3");
	assert_int_equal(hosts_count(hosts), 3);
	assert_int_equal(hosts_lookup(hosts, "db", found, 4, NULL), 3);
	assert_true(addr_equal(&found[0], &first));
	assert_int_equal(hosts_lookup(hosts, "db", found, 2, NULL), 2);
	assert_int_equal(hosts_lookup(hosts, "db", found, 0, NULL), 0);
}

static void test_alias_has_canonical_name(void **state)
{
	struct hosts *hosts = *state;
	struct addr found[1], a = addr("10.0.0.1");
	const char *canon = NULL;

	add(hosts, "web1.example", "10.0.0.1");
	add(hosts, "www", "10.0.0.1");
	assert_int_equal(hosts_lookup(hosts, "www", found, 1, &canon), 1);
	assert_string_equal(canon, "web1.example");
	assert_string_equal(hosts_reverse(hosts, &a), "web1.example");
}

static void test_reverse(void **state)
{
	struct hosts *hosts = *state;
	struct addr a = addr("10.0.0.1"), other = addr("10.0.0.2");

	assert_null(hosts_reverse(hosts, &a));
	add(hosts, "one", "10.0.0.1");
	assert_string_equal(hosts_reverse(hosts, &a), "one");
	assert_null(hosts_reverse(hosts, &other));
}

static void test_localhost_is_built_in(void **state)
{
	struct hosts *hosts = *state;
	struct addr found[4], a = addr("10.0.0.1"), loop = addr("127.1.2.3");
	const char *canon = NULL;

	assert_int_equal(hosts_lookup(hosts, "LocalHost.", found, 4, &canon), 2);
	assert_true(addr_equal(&found[0], &addr_loopback4));
	assert_true(addr_equal(&found[1], &addr_loopback6));
	assert_string_equal(canon, "localhost");
	assert_int_equal(hosts_lookup(hosts, "a.b.localhost", found, 1, NULL), 1);
	assert_int_equal(hosts_lookup(hosts, "notlocalhost", found, 4, NULL), 0);
	assert_int_equal(hosts_add(hosts, "localhost", &a), -EINVAL);
	assert_int_equal(hosts_add(hosts, "x.LOCALHOST", &a), -EINVAL);
	assert_int_equal(hosts_add(hosts, "notlocalhost", &a), 0);
	assert_string_equal(hosts_reverse(hosts, &addr_loopback4), "localhost");
	assert_string_equal(hosts_reverse(hosts, &addr_loopback6), "localhost");
	assert_string_equal(hosts_reverse(hosts, &loop), "localhost");
	add(hosts, "me", "127.1.2.3");
	assert_string_equal(hosts_reverse(hosts, &loop), "me");
}

static void test_remove(void **state)
{
	struct hosts *hosts = *state;
	struct addr found[4], a = addr("10.0.0.1"), b = addr("10.0.0.2");

	add(hosts, "web", "10.0.0.1");
	add(hosts, "www", "10.0.0.1");
	add(hosts, "web", "10.0.0.2");
	assert_int_equal(hosts_remove(hosts, "www", &b), -ENOENT);
	assert_int_equal(hosts_remove(hosts, "nobody", &a), -ENOENT);
	assert_int_equal(hosts_remove(hosts, "not valid", &a), -ENOENT);
	assert_int_equal(hosts_remove(hosts, "WEB", &a), 0);
	assert_int_equal(hosts_remove(hosts, "web", &a), -ENOENT);
	assert_string_equal(hosts_reverse(hosts, &a), "www");
	assert_int_equal(hosts_lookup(hosts, "web", found, 4, NULL), 1);
	assert_true(addr_equal(&found[0], &b));
	assert_int_equal(hosts_remove(hosts, "web", &b), 0);
	assert_int_equal(hosts_remove(hosts, "www", &a), 0);
	assert_int_equal(hosts_count(hosts), 0);
	assert_null(hosts_reverse(hosts, &a));
	assert_int_equal(hosts_lookup(hosts, "web", found, 4, NULL), 0);
}

static void test_refuses_invalid_name(void **state)
{
	struct addr a = addr("10.0.0.1");

	assert_int_equal(hosts_add(*state, "10.0.0.1", &a), -EINVAL);
	assert_int_equal(hosts_add(*state, "", &a), -EINVAL);
	assert_int_equal(hosts_count(*state), 0);
}

static void test_limit_of_addresses(void **state)
{
	struct hosts *hosts = *state;
	struct addr a = addr("10.0.0.0");

	for (int i = 0; i < HOSTS_ADDRS_MAX; i++) {
		a.b[15] = (uint8_t)i;
		assert_int_equal(hosts_add(hosts, "many", &a), 0);
	}
	assert_int_equal(hosts_add(hosts, "many", &a), 0); /* there already */
	a.b[15]++;
	assert_int_equal(hosts_add(hosts, "many", &a), -ENOSPC);
	assert_int_equal(hosts_add(hosts, "other", &a), 0);
}

static void test_limit_of_pairs(void **state)
{
	struct hosts *hosts = *state;
	struct addr a = addr("10.0.0.0");
	char name[32];

	for (int i = 0; i < HOSTS_PAIRS_MAX; i++) {
		a.b[14] = (uint8_t)(i >> 8);
		a.b[15] = (uint8_t)i;
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(hosts_add(hosts, name, &a), 0);
	}
	assert_int_equal(hosts_add(hosts, "more", &a), -ENOSPC);
	assert_int_equal(
		hosts_remove(hosts, "n5", &(struct addr){.b = {[10] = 255, 255, 10, 0, 0, 5}}), 0);
	assert_int_equal(hosts_add(hosts, "more", &a), 0);
	assert_string_equal(hosts_reverse(hosts, &a), "n65535");
}

static void append(const char *name, const struct addr *a, void *arg)
{
	char text[ADDR_STRLEN];

	strcat(strcat(strcat(strcat(arg, name), "="), addr_format(a, text)), ";");
}

static void test_each_in_order(void **state)
{
	char list[256] = "";

	add(*state, "b", "10.0.0.1");
	add(*state, "a", "10.0.0.1");
	add(*state, "b", "10.0.0.2");
	hosts_each(*state, append, list);
	assert_string_equal(list, "b=10.0.0.1;a=10.0.0.1;b=10.0.0.2;");
}

static void test_free_null(void **state)
{
	(void)state;
	hosts_free(NULL);
}

#define with_hosts(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_names),
		cmocka_unit_test(test_invalid_names),
		cmocka_unit_test(test_name_length_limits),
		with_hosts(test_lookup_ignores_case_and_dot),
		with_hosts(test_lookup_keeps_order_and_cap),
		with_hosts(test_alias_has_canonical_name),
		with_hosts(test_reverse),
		with_hosts(test_localhost_is_built_in),
		with_hosts(test_remove),
		with_hosts(test_refuses_invalid_name),
		with_hosts(test_limit_of_addresses),
		with_hosts(test_limit_of_pairs),
		with_hosts(test_each_in_order),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

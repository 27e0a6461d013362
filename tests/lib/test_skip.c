/* SPDX-License-Identifier: MIT */
/* skip.h by its output: the program runs itself with an argument that names a group of tests, and
 * reads what a TAP reader would read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "skip.h"

static const char *self;

/* ---- the groups ---- */

static int setups, teardowns;

static int count_setup(void **state)
{
	(void)state;
	setups++;
	return 0;
}

static int count_teardown(void **state)
{
	(void)state;
	teardowns++;
	return 0;
}

static int refuse(void **state)
{
	(void)state;
	return -1;
}

static void passes(void **state)
{
	(void)state;
}

static void fails(void **state)
{
	(void)state;
	fail();
}

static void helper(int n)
{
	if (n > 0)
		skip_test("no %d of %s", n, "these");
}

static void skips(void **state)
{
	(void)state;
	helper(3);
	fail();
}

static int run_group(const char *name)
{
	const struct CMUnitTest good[] = {
		cmocka_unit_test(passes),
		cmocka_unit_test_setup_teardown(skips, count_setup, count_teardown),
		cmocka_unit_test(passes),
	};
	const struct CMUnitTest bad[] = {
		cmocka_unit_test(fails),
		cmocka_unit_test_setup(passes, refuse),
		cmocka_unit_test(skips),
	};
	int r = strcmp(name, "good") == 0 ? skip_run_group_tests(good, NULL, NULL)
					  : skip_run_group_tests(bad, NULL, NULL);

	printf("# %d setups, %d teardowns\n", setups, teardowns);
	return r;
}

/* ---- the tests ---- */

/* What the group prints, and its exit status. */
static int output(const char *group, char *buf, size_t size)
{
	char command[4200];
	size_t len;
	int status;
	FILE *f;

	assert_true(snprintf(command, sizeof(command), "CMOCKA_MESSAGE_OUTPUT=TAP '%s' %s 2>&1",
			    self, group) < (int)sizeof(command));
	f = popen(command, "r");
	assert_non_null(f);
	len = fread(buf, 1, size - 1, f);
	buf[len] = '\0';
	status = pclose(f);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_skip_is_ok_with_its_reason(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(output("good", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "ok 1 - passes\n"));
	assert_non_null(strstr(out, "\nok 2 - skips # SKIP no 3 of these\n"));
	assert_non_null(strstr(out, "\nok 3 - passes\n"));
	assert_null(strstr(out, "not ok"));
	assert_non_null(strstr(out, "# 1 setups, 1 teardowns\n"));
}

static void test_failures_stay_failures_and_names_do_not_shift(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(output("bad", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "not ok 1 - fails\n"));
	assert_non_null(strstr(out, "not ok 2 - passes"));
	assert_non_null(strstr(out, "\nok 3 - skips # SKIP no 3 of these\n"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_skip_is_ok_with_its_reason),
		cmocka_unit_test(test_failures_stay_failures_and_names_do_not_shift),
	};

	if (argc == 2)
		return run_group(argv[1]);
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

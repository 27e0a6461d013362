/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "run_args.h"

static struct run_args args;
static struct fail failure;

/* The words after "persona-run", NULL-terminated. */
static int parse(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	optind = 0;
	memset(&args, 0xee, sizeof(args));
	memset(&failure, 0, sizeof(failure));
	return run_args_parse(argc, argv, &args, &failure);
}

#define W(...) ((char *[]){(char[]){"persona-run"}, __VA_ARGS__ __VA_OPT__(, ) NULL})
#define S(s)   ((char[]){s})

static void a_name_and_a_program_behind_dashes(void **state)
{
	(void)state;
	assert_int_equal(parse(W(S("work"), S("--"), S("curl"), S("-v"), S("--"), S("x"))), 0);
	assert_int_equal(args.what, RUN_PROGRAM);
	assert_int_equal(args.seal, RUN_SEAL_SEALED);
	assert_string_equal(args.name, "work");
	assert_string_equal(args.command[0], "curl");
	assert_string_equal(args.command[1], "-v");
	assert_string_equal(args.command[2], "--");
	assert_string_equal(args.command[3], "x");
	assert_null(args.command[4]);
	assert_int_equal(args.naddress, 0);
}

static void dashes_may_be_left_out(void **state)
{
	(void)state;
	assert_int_equal(parse(W(S("work"), S("curl"), S("--seal=shim"))), 0);
	assert_string_equal(args.name, "work");
	assert_string_equal(args.command[0], "curl");
	assert_string_equal(args.command[1], "--seal=shim");
	assert_int_equal(args.seal, RUN_SEAL_SEALED);
}

static void options_stand_before_or_behind_the_name(void **state)
{
	(void)state;
	assert_int_equal(parse(W(S("--seal"), S("shim"), S("work"), S("true"))), 0);
	assert_int_equal(args.seal, RUN_SEAL_SHIM);
	assert_int_equal(parse(W(S("work"), S("--seal=shim"), S("--"), S("true"))), 0);
	assert_int_equal(args.seal, RUN_SEAL_SHIM);
	assert_string_equal(args.command[0], "true");
	assert_int_equal(parse(W(S("--seal=shim"), S("--seal=sealed"), S("w"), S("true"))), 0);
	assert_int_equal(args.seal, RUN_SEAL_SEALED);
}

static void new_takes_no_name(void **state)
{
	(void)state;
	assert_int_equal(parse(W(S("--new"), S("--"), S("make"), S("check"))), 0);
	assert_null(args.name);
	assert_string_equal(args.command[0], "make");
	assert_int_equal(parse(W(S("--new"), S("--address"), S("10.1.1.1"), S("--address=fd00::1"),
				 S("make"))),
		0);
	assert_null(args.name);
	assert_string_equal(args.command[0], "make");
	assert_int_equal(args.naddress, 2);
	assert_string_equal(args.address[0], "10.1.1.1");
	assert_string_equal(args.address[1], "fd00::1");
	assert_int_equal(parse(W(S("work"), S("--new"), S("--"), S("make"))), -EINVAL);
	assert_int_equal(parse(W(S("--new"), S("work"), S("--"), S("make"))), -EINVAL);
	assert_non_null(strstr(failure.message, "work"));
	/* The program's own dashes behind ours. */
	assert_int_equal(parse(W(S("--new"), S("--"), S("env"), S("--"), S("make"))), 0);
	assert_string_equal(args.command[0], "env");
}

static void help_and_version_need_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(parse(W(S("--help"))), 0);
	assert_int_equal(args.what, RUN_HELP);
	assert_int_equal(parse(W(S("work"), S("-h"))), 0);
	assert_int_equal(args.what, RUN_HELP);
	assert_int_equal(parse(W(S("--version"))), 0);
	assert_int_equal(args.what, RUN_VERSION);
	assert_int_equal(parse(W(S("work"), S("prog"), S("--help"))), 0);
	assert_int_equal(args.what, RUN_PROGRAM);
}

static void wrong_usage_is_refused_with_a_message(void **state)
{
	char address[] = "--address=10.0.0.1", *many[40] = {S("persona-run")};
	char **const wrong[] = {W(), W(S("work")), W(S("work"), S("--")), W(S("--"), S("work")),
		W(S("--new")), W(S("--new"), S("--")), W(S("--seal=none"), S("w"), S("true")),
		W(S("--seal")), W(S("--bogus"), S("w"), S("true")), W(S("-x"), S("w"), S("true")),
		W(S("work"), S("--bogus"), S("--"), S("true")), many};
	size_t i;

	(void)state;
	for (i = 1; i < 20; i++)
		many[i] = address;
	many[i++] = S("w");
	many[i] = S("true");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i]), -EINVAL);
		assert_true(failure.message[0] && failure.hint[0]);
	}
}

static void seals_have_names(void **state)
{
	(void)state;
	assert_string_equal(run_seal_name(RUN_SEAL_SHIM), "shim");
	assert_string_equal(run_seal_name(RUN_SEAL_SEALED), "sealed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_name_and_a_program_behind_dashes),
		cmocka_unit_test(dashes_may_be_left_out),
		cmocka_unit_test(options_stand_before_or_behind_the_name),
		cmocka_unit_test(new_takes_no_name),
		cmocka_unit_test(help_and_version_need_nothing_else),
		cmocka_unit_test(wrong_usage_is_refused_with_a_message),
		cmocka_unit_test(seals_have_names)};

	opterr = 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

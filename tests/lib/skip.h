/* SPDX-License-Identifier: MIT */
/* A cmocka test that cannot run here says why and counts as a skip.
 *
 * Model: cmocka's own skip() gives no reason and, as TAP, prints "not ok N # SKIP", which TAP 13
 * and meson take for a failure. Here a test that is skipped returns to cmocka as if it had passed,
 * and the directive of the TAP line is appended to the test's name, which cmocka prints last of
 * all: "ok N - name # SKIP reason". With another output of cmocka the name with the reason is
 * shown, too.
 *
 * Use: include this after cmocka.h, end main() with skip_run_group_tests() in place of
 * cmocka_run_group_tests(), call skip_test("why") in a test function or in what it calls. What the
 * test has opened is its own to close before. A forked child gives a status to the test instead.
 * One group for each program at a time, one thread.
 *
 * References: TAP 13, "directives". */
#ifndef TESTS_LIB_SKIP_H
#define TESTS_LIB_SKIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SKIP_NAME_MAX = 400 };

struct skip_case {
	const struct CMUnitTest *test;
	char name[SKIP_NAME_MAX];
};

static struct {
	struct skip_case *next;	   /* of the group's cases, by order */
	struct skip_case *current; /* whose setup or test runs */
	bool running;		   /* between setjmp and the test's end */
	jmp_buf back;
} skip_state;

/* Ends the running test as skipped; the reason is one line without '#'. */
__attribute__((noreturn, format(printf, 1, 2), unused)) static void skip_test(
	const char *format, ...)
{
	struct skip_case *c = skip_state.current;
	size_t len;
	va_list args;

	if (!skip_state.running) {
		fprintf(stderr, "skip_test() outside of a test\n");
		abort();
	}
	len = strlen(c->name);
	len += (size_t)snprintf(c->name + len, sizeof(c->name) - len, " # SKIP ");
	va_start(args, format);
	(void)vsnprintf(c->name + len, sizeof(c->name) - len, format, args);
	va_end(args);
	skip_state.running = false;
	longjmp(skip_state.back, 1);
}

/* cmocka calls the setup of each test, also one that will fail: so the count is right. */
static int skip_setup(void **state)
{
	struct skip_case *c = skip_state.next++;

	skip_state.current = c;
	return c->test->setup_func ? c->test->setup_func(state) : 0;
}

static void skip_body(void **state)
{
	skip_state.running = true;
	if (!setjmp(skip_state.back))
		skip_state.current->test->test_func(state);
	skip_state.running = false;
}

static int skip_run(const char *group, const struct CMUnitTest *tests, size_t n,
	CMFixtureFunction group_setup, CMFixtureFunction group_teardown)
{
	struct CMUnitTest *wrapped = calloc(n, sizeof(*wrapped));
	struct skip_case *cases = calloc(n, sizeof(*cases));
	int r = 1;

	if (!wrapped || !cases)
		goto out;
	for (size_t i = 0; i < n; i++) {
		cases[i].test = &tests[i];
		(void)snprintf(cases[i].name, SKIP_NAME_MAX / 2, "%s", tests[i].name);
		wrapped[i] = tests[i];
		wrapped[i].name = cases[i].name;
		wrapped[i].test_func = skip_body;
		wrapped[i].setup_func = skip_setup;
	}
	skip_state.next = cases;
	r = _cmocka_run_group_tests(group, wrapped, n, group_setup, group_teardown);
out:
	free(wrapped);
	free(cases);
	return r;
}

/* As cmocka_run_group_tests(): the number of tests that failed. */
#define skip_run_group_tests(tests, setup, teardown) \
	skip_run(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

/* Not the way here. */
#undef skip
#define skip() _Static_assert(0, "skip_test() says why")

#endif

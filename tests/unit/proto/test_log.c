/* SPDX-License-Identifier: MIT */
/* Log lines: levels, form, length, and foreign text in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LOG_MODULE "carrier"
#include "log.h"

static int saved = -1, capture[2];

/* Standard error goes into a pipe while a test runs. */
static int begin(void **state)
{
	(void)state;
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	if (saved < 0 || pipe2(capture, O_NONBLOCK) < 0)
		return -1;
	return dup2(capture[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(capture[0]);
	close(capture[1]);
	unsetenv("PERSONA_DEBUG");
	return 0;
}

/* What was written since the last call. */
static const char *written(void)
{
	static char buf[8192];
	ssize_t n = read(capture[0], buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void start(const char *debug)
{
	if (debug)
		setenv("PERSONA_DEBUG", debug, 1);
	else
		unsetenv("PERSONA_DEBUG");
	log_init("persona-test");
}

/* Which of the four levels come through, as a string of their initials. */
static const char *levels(const char *debug)
{
	static char got[5];
	const char *text;
	size_t n = 0;

	start(debug);
	log_error("E");
	log_warning("W");
	log_info("I");
	log_debug("D");
	text = written();
	for (const char *c = "EWID"; *c; c++) {
		char end_of_line[4] = {' ', *c, '\n', 0};

		if (strstr(text, end_of_line))
			got[n++] = *c;
	}
	got[n] = '\0';
	return got;
}

static void line_has_the_documented_form(void **state)
{
	(void)state;
	start(NULL);
	log_warning("text %d", 7);
	assert_string_equal(written(), "persona-test: warning: carrier: text 7\n");
}

static void default_is_info(void **state)
{
	(void)state;
	assert_string_equal(levels(NULL), "EWI");
	assert_string_equal(levels(""), "EWI");
}

static void levels_follow_the_environment(void **state)
{
	(void)state;
	assert_string_equal(levels("debug"), "EWID");
	assert_string_equal(levels("error"), "E");
	assert_string_equal(levels("carrier:debug"), "EWID");
	assert_string_equal(levels("other:debug"), "EWI");
	assert_string_equal(levels("carrier:debug,warning"), "EWID");
	assert_string_equal(levels("debug,carrier:warning"), "EW");
	assert_string_equal(levels("other:error,carrier:debug"), "EWID");
}

static void malformed_settings_are_ignored(void **state)
{
	(void)state;
	assert_string_equal(levels("loud"), "EWI");
	assert_string_equal(levels(",,,"), "EWI");
	assert_string_equal(levels("carrier:"), "EWI");
	assert_string_equal(levels(":debug"), "EWI");
	assert_string_equal(levels("carrier:debugx"), "EWI");
	assert_string_equal(levels("carrier:debug:x"), "EWI");
	assert_string_equal(levels("a-module-name-that-is-far-too-long-to-be-one:debug"), "EWI");
	assert_string_equal(levels(" debug"), "EWI");
	/* More rules than there is room for: the first ones count. */
	assert_string_equal(
		levels("carrier:error,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,"
		       "a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,"
		       "a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,"
		       "a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info,a:info"),
		"E");
}

static void long_lines_are_cut(void **state)
{
	static char text[5000], program[3000];
	const char *got;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	start(NULL);
	for (size_t cut = 900; cut < 1100; cut++) {
		text[cut] = '\0';
		log_info("%s", text);
		text[cut] = 'x';
		got = written();
		assert_true(strlen(got) <= 1024);
		assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
	}
	log_info("%s", text);
	got = written();
	assert_int_equal(strlen(got), 1023);
	/* A program's name of any length. */
	memset(program, 'p', sizeof(program) - 1);
	log_init(program);
	log_info("%s", text);
	got = written();
	assert_int_equal(strlen(got), 1023);
	assert_int_equal(got[1022], '\n');
}

static void foreign_text_cannot_forge_lines(void **state)
{
	(void)state;
	start(NULL);
	log_info("name %s", "a\npersona-broker: error: core: lie\r\x1b[31m\x7f\tb");
	assert_string_equal(written(), "persona-test: info: carrier: name "
				       "a?persona-broker: error: core: lie??[31m??b\n");
	log_info("%s", "z\xc3\xbcrich"); /* UTF-8 passes */
	assert_string_equal(written(), "persona-test: info: carrier: z\xc3\xbcrich\n");
}

static void errno_is_kept(void **state)
{
	(void)state;
	start(NULL);
	errno = 77;
	log_info("x");
	assert_int_equal(errno, 77);
	close(STDERR_FILENO);
	log_error("into nowhere");
	assert_int_equal(errno, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(line_has_the_documented_form),
		TEST(default_is_info),
		TEST(levels_follow_the_environment),
		TEST(malformed_settings_are_ignored),
		TEST(long_lines_are_cut),
		TEST(foreign_text_cannot_forge_lines),
		TEST(errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

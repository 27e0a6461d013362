/* SPDX-License-Identifier: MIT */
#include "exec_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SELF "/usr/lib/persona/" EXEC_ENV_LIBRARY
#define DIR  "/run/persona/ps/1"

/* Builds and joins with "|"; the sizes announced must suffice exactly. */
static const char *build(char *const *envp)
{
	static char text[1024];
	size_t n, bytes;
	char **out, *strings;

	exec_env_size(envp, SELF, DIR, &n, &bytes);
	out = malloc(n * sizeof(*out));
	strings = malloc(bytes);
	exec_env_build(envp, SELF, DIR, out, strings);
	text[0] = '\0';
	for (size_t i = 0; out[i]; i++) {
		assert_true(i + 1 < n);
		strcat(strcat(text, i ? "|" : ""), out[i]);
	}
	assert_true(exec_env_whole(out, SELF, DIR));
	free(out);
	free(strings);
	return text;
}

static void an_empty_environment_gets_both(void **state)
{
	char *envp[] = {NULL};

	(void)state;
	assert_false(exec_env_whole(envp, SELF, DIR));
	assert_string_equal(build(envp), "LD_PRELOAD=" SELF "|PERSONA_PORTSPACE_DIR=" DIR);
	assert_string_equal(build(NULL), "LD_PRELOAD=" SELF "|PERSONA_PORTSPACE_DIR=" DIR);
}

static void other_preloads_and_variables_stay(void **state)
{
	char *envp[] = {"A=1", "LD_PRELOAD=/x.so /y.so", "B=2", NULL};

	(void)state;
	assert_string_equal(
		build(envp), "A=1|B=2|LD_PRELOAD=" SELF ":/x.so /y.so|PERSONA_PORTSPACE_DIR=" DIR);
}

static void a_whole_environment_is_recognised(void **state)
{
	char *whole[] = {"LD_PRELOAD=/x.so:" SELF, "PERSONA_PORTSPACE_DIR=" DIR, NULL};
	char *moved[] = {"LD_PRELOAD=" SELF, "PERSONA_PORTSPACE_DIR=/elsewhere/ps/2", NULL};
	char *prefix[] = {"LD_PRELOAD=" SELF ".old", "PERSONA_PORTSPACE_DIR=" DIR, NULL};
	char *twice[] = {"LD_PRELOAD=", "LD_PRELOAD=" SELF, "PERSONA_PORTSPACE_DIR=" DIR, NULL};

	(void)state;
	assert_true(exec_env_whole(whole, SELF, DIR));
	assert_false(exec_env_whole(moved, SELF, DIR));
	assert_false(exec_env_whole(prefix, SELF, DIR));
	assert_false(exec_env_whole(twice, SELF, DIR));
	assert_string_equal(build(moved), "LD_PRELOAD=" SELF "|PERSONA_PORTSPACE_DIR=" DIR);
	assert_string_equal(build(whole), "LD_PRELOAD=/x.so:" SELF "|PERSONA_PORTSPACE_DIR=" DIR);
	assert_string_equal(build(twice), "LD_PRELOAD=" SELF "|PERSONA_PORTSPACE_DIR=" DIR);
}

static void nothing_known_changes_nothing(void **state)
{
	char *envp[] = {"LD_PRELOAD=/x.so", NULL};

	(void)state;
	assert_true(exec_env_whole(envp, "", ""));
}

static void only_an_absolute_path_of_the_library_is_the_shim(void **state)
{
	(void)state;
	assert_true(exec_env_is_self(SELF, strlen(SELF)));
	assert_false(exec_env_is_self(EXEC_ENV_LIBRARY, strlen(EXEC_ENV_LIBRARY)));
	assert_false(exec_env_is_self("/x/my" EXEC_ENV_LIBRARY, 5 + strlen(EXEC_ENV_LIBRARY)));
	assert_false(exec_env_is_self("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_environment_gets_both),
		cmocka_unit_test(other_preloads_and_variables_stay),
		cmocka_unit_test(a_whole_environment_is_recognised),
		cmocka_unit_test(nothing_known_changes_nothing),
		cmocka_unit_test(only_an_absolute_path_of_the_library_is_the_shim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

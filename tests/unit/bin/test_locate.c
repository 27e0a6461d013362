/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "locate.h"

static char root[PATH_MAX];

/* root/rest in one of a few buffers. */
static char *at(const char *rest)
{
	static char buf[4][2 * PATH_MAX];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", root, rest);
	return buf[i];
}

static void make(const char *rest, mode_t mode)
{
	char *path = at(rest);
	int fd;

	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT, mode);
	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/persona-loc-XXXXXX");
	return mkdtemp(root) && mkdir(at("bin"), 0700) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const files[] = {"bin/persona-broker", "broker/persona-broker",
		"other/persona-broker", "libpersona/preload/libpersona-preload.so",
		"lib/persona/libpersona-preload.so"};
	static const char *const dirs[] = {
		"bin", "broker", "other", "libpersona/preload", "libpersona", "."};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(at(files[i]));
	for (size_t i = 0; i + 1 < sizeof(dirs) / sizeof(dirs[0]); i++)
		rmdir(at(dirs[i]));
	return rmdir(root);
}

static void the_neighbour_comes_before_the_build_tree_and_the_path(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	make("other/persona-broker", 0700);
	assert_int_equal(locate_broker_from(at("bin"), NULL, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(locate_broker_from(at("bin"), at("other"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, at("other/persona-broker"));
	make("broker/persona-broker", 0700);
	assert_int_equal(locate_broker_from(at("bin"), at("other"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, at("broker/persona-broker"));
	make("bin/persona-broker", 0700);
	assert_int_equal(locate_broker_from(at("bin"), at("other"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, at("bin/persona-broker"));
}

static void path_is_searched_without_relative_entries(void **state)
{
	char buf[PATH_MAX], path[2 * PATH_MAX], cwd[PATH_MAX];

	(void)state;
	make("other/persona-broker", 0700);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(root), 0);
	assert_int_equal(
		locate_broker_from(at("bin"), ":other:./other:", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(chdir(cwd), 0);
	snprintf(path, sizeof(path), "::/nonexistent:%s", at("other"));
	assert_int_equal(locate_broker_from(at("bin"), path, buf, sizeof(buf)), 0);
}

static void a_file_that_cannot_be_executed_is_passed_over(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	make("bin/persona-broker", 0600);
	make("broker/persona-broker", 0700);
	assert_int_equal(locate_broker_from(at("bin"), NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, at("broker/persona-broker"));
}

static void the_library_of_the_build_tree_is_found(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	make("libpersona/preload/libpersona-preload.so", 0600);
	assert_int_equal(locate_preload_from(at("bin"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, at("libpersona/preload/libpersona-preload.so"));
	assert_int_equal(locate_preload_from(at("bin"), buf, 10), -ENAMETOOLONG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_neighbour_comes_before_the_build_tree_and_the_path),
		T(path_is_searched_without_relative_entries),
		T(a_file_that_cannot_be_executed_is_passed_over),
		T(the_library_of_the_build_tree_is_found)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

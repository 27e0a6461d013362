/* SPDX-License-Identifier: MIT */
/* Where the directories are, and how they are made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rundir.h"

static char base[] = "/tmp/persona-rundir.XXXXXX";

static int group_setup(void **state)
{
	(void)state;
	umask(022);
	return mkdtemp(base) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(base);
}

static int clear(void **state)
{
	static const char *const names[] = {"PERSONA_RUNTIME_DIR", "PERSONA_STATE_DIR",
		"PERSONA_CONFIG_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME",
		"HOME"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	return 0;
}

static void runtime_follows_the_environment(void **state)
{
	char buf[RUNDIR_PATH_MAX], want[64];

	(void)state;
	snprintf(want, sizeof(want), "/tmp/persona-%u", (unsigned)getuid());
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/run/user/7/persona");
	setenv("PERSONA_RUNTIME_DIR", "/run/mine///", 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/run/mine");
	setenv("PERSONA_RUNTIME_DIR", "", 1); /* empty counts as unset */
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/run/user/7/persona");
	setenv("PERSONA_RUNTIME_DIR", "/", 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/");
}

static void state_and_config_follow_the_environment(void **state)
{
	char buf[RUNDIR_PATH_MAX];

	(void)state;
	assert_int_equal(rundir_state(buf, sizeof(buf)), -ENOENT);
	assert_int_equal(rundir_config(buf, sizeof(buf)), -ENOENT);
	setenv("HOME", "/home/me", 1);
	assert_int_equal(rundir_state(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/home/me/.local/state/persona");
	assert_int_equal(rundir_config(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/home/me/.config/persona");
	setenv("XDG_STATE_HOME", "/x/state", 1);
	setenv("XDG_CONFIG_HOME", "/x/config", 1);
	assert_int_equal(rundir_state(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/x/state/persona");
	assert_int_equal(rundir_config(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/x/config/persona");
	setenv("PERSONA_STATE_DIR", "/p/state", 1);
	setenv("PERSONA_CONFIG_DIR", "/p/config/", 1);
	assert_int_equal(rundir_state(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/p/state");
	assert_int_equal(rundir_config(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/p/config");
}

static void relative_paths_are_refused(void **state)
{
	char buf[RUNDIR_PATH_MAX];

	(void)state;
	setenv("PERSONA_RUNTIME_DIR", "run", 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), -EINVAL);
	setenv("PERSONA_STATE_DIR", "./state", 1);
	assert_int_equal(rundir_state(buf, sizeof(buf)), -EINVAL);
	setenv("HOME", "home", 1);
	assert_int_equal(rundir_config(buf, sizeof(buf)), -EINVAL);
}

static void too_long_paths_are_refused(void **state)
{
	char path[RUNDIR_RUNTIME_MAX + 1] = "/", buf[RUNDIR_PATH_MAX];

	(void)state;
	memset(path + 1, 'r', RUNDIR_RUNTIME_MAX - 1);
	setenv("PERSONA_RUNTIME_DIR", path, 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), -ENAMETOOLONG);
	path[RUNDIR_RUNTIME_MAX - 1] = '\0';
	setenv("PERSONA_RUNTIME_DIR", path, 1);
	assert_int_equal(rundir_runtime(buf, sizeof(buf)), 0);
	assert_string_equal(buf, path);
	setenv("HOME", "/home/me", 1);
	for (size_t cap = 0; cap <= strlen("/home/me/.config/persona"); cap++)
		assert_int_equal(rundir_config(buf, cap), -ENAMETOOLONG);
	assert_int_equal(rundir_config(buf, 25), 0);
}

static void make_creates_parents_for_the_owner_only(void **state)
{
	char path[128], parent[128];
	struct stat st;

	(void)state;
	snprintf(parent, sizeof(parent), "%s/a", base);
	snprintf(path, sizeof(path), "%s/a/b", base);
	assert_int_equal(rundir_make(path), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(lstat(parent, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(rundir_make(path), 0); /* there already */
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(rundir_make(path), 0); /* others may read: not refused */
	assert_int_equal(chmod(path, 0720), 0);
	assert_int_equal(rundir_make(path), -EPERM);
	assert_int_equal(chmod(path, 0702), 0);
	assert_int_equal(rundir_make(path), -EPERM);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(parent), 0);
}

static void make_refuses_what_is_no_directory(void **state)
{
	char path[128], below[160];
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/f", base);
	snprintf(below, sizeof(below), "%s/below", path);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(rundir_make(path), -ENOTDIR);
	assert_int_equal(rundir_make(below), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	/* A symbolic link may point to a place of somebody else's choice. */
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(rundir_make(path), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rundir_make(""), -ENOENT);
}

static void make_refuses_a_directory_of_another_user(void **state)
{
	char path[128];

	(void)state;
	if (getuid() != 0) {
		assert_int_equal(rundir_make("/"), -EPERM); /* root's */
		return;
	}
	snprintf(path, sizeof(path), "%s/other", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(rundir_make(path), -EPERM);
	assert_int_equal(rmdir(path), 0);
}

static void make_refuses_endless_paths(void **state)
{
	static char path[2 * RUNDIR_PATH_MAX];

	(void)state;
	memset(path, '/', sizeof(path) - 1);
	assert_int_equal(rundir_make(path), -ENAMETOOLONG);
}

#define TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(runtime_follows_the_environment),
		TEST(state_and_config_follow_the_environment),
		TEST(relative_paths_are_refused),
		TEST(too_long_paths_are_refused),
		TEST(make_creates_parents_for_the_owner_only),
		TEST(make_refuses_what_is_no_directory),
		TEST(make_refuses_a_directory_of_another_user),
		TEST(make_refuses_endless_paths),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

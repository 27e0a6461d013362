/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "keyfile.h"

static const char good[] = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
static char path[64];

static void put(const void *bytes, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/persona-key-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void a_key_with_white_space_around_is_read(void **state)
{
	char text[80], back[KEY_STRLEN];
	struct key key;

	(void)state;
	snprintf(text, sizeof(text), " \t%s\r\n\n", good);
	put(text, strlen(text), 0600);
	assert_int_equal(keyfile_read(path, &key), 0);
	assert_string_equal(key_format(&key, back), good);
}

static void a_key_on_standard_input_is_read(void **state)
{
	char back[KEY_STRLEN];
	int saved = dup(0), fds[2];
	struct key key;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], good, strlen(good)), (ssize_t)strlen(good));
	close(fds[1]);
	dup2(fds[0], 0);
	close(fds[0]);
	assert_int_equal(keyfile_read("-", &key), 0);
	assert_string_equal(key_format(&key, back), good);
	dup2(saved, 0);
	close(saved);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
	struct key key;

	(void)state;
	put(good, strlen(good), 0640);
	assert_int_equal(keyfile_read(path, &key), -EPERM);
	put(good, strlen(good), 0604);
	assert_int_equal(keyfile_read(path, &key), -EPERM);
}

static void what_is_no_key_is_refused(void **state)
{
	char text[600];
	struct key key;

	(void)state;
	put("", 0, 0600);
	assert_int_equal(keyfile_read(path, &key), -EINVAL);
	put("hello\n", 6, 0600);
	assert_int_equal(keyfile_read(path, &key), -EINVAL);
	snprintf(text, sizeof(text), "%s %s", good, good);
	put(text, strlen(text), 0600);
	assert_int_equal(keyfile_read(path, &key), -EINVAL);
	memset(text, ' ', sizeof(text));
	memcpy(text + 300, good, strlen(good));
	put(text, sizeof(text), 0600);
	assert_int_equal(keyfile_read(path, &key), -EINVAL);
	assert_int_equal(keyfile_read("/nonexistent/key", &key), -ENOENT);
	assert_int_equal(keyfile_read("/", &key), -EISDIR);
}

static void a_text_is_read_up_to_its_limit(void **state)
{
	char *big = malloc(KEYFILE_TEXT_MAX + 1), *text;
	bool others;

	(void)state;
	memset(big, 'a', KEYFILE_TEXT_MAX + 1);
	put(big, KEYFILE_TEXT_MAX, 0600);
	assert_int_equal(keyfile_read_text(path, &text, &others), 0);
	assert_int_equal(strlen(text), KEYFILE_TEXT_MAX);
	assert_false(others);
	keyfile_free(text);
	put(big, KEYFILE_TEXT_MAX + 1, 0600);
	assert_int_equal(keyfile_read_text(path, &text, &others), -EFBIG);
	big[5] = '\0';
	put(big, 10, 0644);
	assert_int_equal(keyfile_read_text(path, &text, &others), -EILSEQ);
	put("x", 1, 0644);
	assert_int_equal(keyfile_read_text(path, &text, &others), 0);
	assert_true(others);
	keyfile_free(text);
	keyfile_free(NULL);
	free(big);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(a_key_with_white_space_around_is_read),
		T(a_key_on_standard_input_is_read), T(a_file_that_others_may_read_is_refused),
		T(what_is_no_key_is_refused), T(a_text_is_read_up_to_its_limit)};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

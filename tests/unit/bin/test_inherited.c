/* SPDX-License-Identifier: MIT */
/* Each test runs in a child, because the function looks at all descriptors of its process. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "inherited.h"
#include "skip.h"

enum { SKIPPED = 77 };

#define CHECK(x)                                  \
	do {                                      \
		if (!(x))                         \
			_exit(__LINE__ % 70 + 1); \
	} while (0)

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void sockets_of_the_base_network(void)
{
	static const int family[] = {AF_INET, AF_INET6, AF_NETLINK};
	int fd[3], n = 0;

	for (int i = 0; i < 3; i++) {
		fd[i] = socket(family[i], SOCK_DGRAM, 0);
		n += fd[i] >= 0;
	}
	CHECK(fd[0] >= 0);
	CHECK(inherited_close_foreign("test") == n);
	for (int i = 0; i < 3; i++)
		CHECK(fd[i] < 0 || !is_open(fd[i]));
	CHECK(inherited_close_foreign("test") == 0);
}

static void everything_else(void)
{
	int pair[2], pipes[2], file = open("/dev/zero", O_RDONLY);

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pipes) == 0);
	CHECK(inherited_close_foreign("test") == 0);
	CHECK(is_open(pair[0]) && is_open(pair[1]) && is_open(pipes[0]) && is_open(pipes[1]));
	CHECK(is_open(file) && is_open(0) && is_open(1) && is_open(2));
}

static void standard_descriptors(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd > 2);
	CHECK(dup2(fd, 0) == 0 && dup2(fd, 2) == 2);
	CHECK(inherited_close_foreign("test") == 3);
	CHECK(is_null(0) && is_null(2) && !is_open(fd));
}

static void rings(void)
{
	char params[120] = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 4, params);

	if (fd < 0)
		_exit(SKIPPED);
	CHECK(inherited_close_foreign("test") == 1);
	CHECK(!is_open(fd));
}

static void tuns(void)
{
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0)
		_exit(SKIPPED);
	CHECK(inherited_close_foreign("test") == 1);
	CHECK(!is_open(fd));
}

static void sockets_of_the_base_network_are_closed(void **state)
{
	(void)state;
	assert_int_equal(in_child(sockets_of_the_base_network), 0);
}

static void everything_else_stays(void **state)
{
	(void)state;
	assert_int_equal(in_child(everything_else), 0);
}

static void standard_descriptors_become_dev_null(void **state)
{
	(void)state;
	assert_int_equal(in_child(standard_descriptors), 0);
}

static void io_urings_are_closed(void **state)
{
	int r = in_child(rings);

	(void)state;
	if (r == SKIPPED)
		skip_test("this kernel makes no io_uring");
	assert_int_equal(r, 0);
}

static void tun_devices_are_closed(void **state)
{
	int r = in_child(tuns);

	(void)state;
	if (r == SKIPPED)
		skip_test("/dev/net/tun cannot be opened");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sockets_of_the_base_network_are_closed),
		cmocka_unit_test(everything_else_stays),
		cmocka_unit_test(standard_descriptors_become_dev_null),
		cmocka_unit_test(io_urings_are_closed), cmocka_unit_test(tun_devices_are_closed)};

	return skip_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Start of a process: hooks work before the shim's constructor ran (R10), a child without memory
 * of the shim's finds its state again, and the shim costs a program without network next to
 * nothing. */
#include <dlfcn.h>
#include <link.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "shimtest.h"

extern char **environ;
static char *self;
static int early_read = -1, early_socket = -1;

/* .preinit_array runs before every constructor of every library, libc's too: there is no
 * environment yet and so no portspace, but hooks must work and must not remember that. */
static void early(int argc, char **argv, char **envp)
{
	char byte;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)argc;
	(void)argv;
	(void)envp;
	early_read = (int)read(fd, &byte, 1);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	early_socket = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(
	int, char **, char **) = early;

static void r10_hooks_work_before_the_constructor(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(early_read, 0);
	assert_true(early_socket == 0 || early_socket == EAFNOSUPPORT);
	fd = connected(GOOD, ECHO);
	assert_echo(fd, fd);
	close(fd);
}

static int no_other_library(struct dl_phdr_info *info, size_t size, void *data)
{
	const char *name = strrchr(info->dlpi_name, '/');

	(void)size;
	if (name && strstr(name, "libsodium"))
		(*(int *)data)++;
	return 0;
}

static void nothing_is_loaded_but_the_shim_itself(void **state)
{
	int n = 0;

	(void)state;
	dl_iterate_phdr(no_other_library, &n);
	assert_int_equal(n, 0);
}

static void a_program_that_clears_its_environment_stays_inside(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		for (char **e = environ; *e; e++)
			memset(*e, 0, strlen(*e)); /* as setproctitle does */
		environ = NULL;
		_exit(dial(socket(AF_INET, SOCK_STREAM, 0), GOOD, ECHO));
	}
	assert_int_equal(reap(pid), 0);
}

static void a_small_stack_is_enough(void **state)
{
	struct rlimit limit = {128 * 1024, 128 * 1024};
	char *argv[] = {self, "connect", NULL};
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		setrlimit(RLIMIT_STACK, &limit);
		execv(self, argv);
		_exit(100);
	}
	assert_int_equal(reap(pid), 0);
}

/* Run time of a child in microseconds. The kernel's execve: the shim would mend envp. */
static long run_us(char *const argv[], char *const envp[])
{
	struct timespec a, b;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &a);
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execve, self, argv, envp);
		_exit(100);
	}
	assert_int_equal(reap(pid), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

/* Median run time of this program doing nothing, in microseconds. */
static long median_us(char *const envp[])
{
	enum { N = 101 };
	char *argv[] = {self, "nothing", NULL};
	long t[N];

	for (int i = 0; i < N; i++) {
		long us = run_us(argv, envp);
		int k;

		for (k = i; k > 0 && t[k - 1] > us; k--)
			t[k] = t[k - 1];
		t[k] = us;
	}
	return t[N / 2];
}

static void the_shim_costs_at_most_two_milliseconds_at_start(void **state)
{
	char *bare[] = {NULL};
	long with = median_us(environ), without = median_us(bare);

	(void)state;
	print_message("# start: %ld us with the shim, %ld us without\n", with, without);
	assert_true(with - without < 2000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r10_hooks_work_before_the_constructor),
		cmocka_unit_test(nothing_is_loaded_but_the_shim_itself),
		cmocka_unit_test(a_program_that_clears_its_environment_stays_inside),
		cmocka_unit_test(a_small_stack_is_enough),
		cmocka_unit_test(the_shim_costs_at_most_two_milliseconds_at_start),
	};

	self = argv[0];
	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0;
	if (argc == 2)
		return dial(socket(AF_INET, SOCK_STREAM, 0), GOOD, ECHO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Start of a process: hooks work before the shim's constructor ran (R10), a child without memory
 * of the shim's finds its state again, and the shim costs a program without network next to
 * nothing. */
#include <dlfcn.h>
#include <link.h>
#include <spawn.h>
#include <sys/ptrace.h>
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

/* The dynamic loader maps the shim, which then looks once at each of the first 64 descriptors: is
 * it a datagram socket that another program left? */
enum { SHIM_CALLS = 80, NO_TRACE = 99 };

/* Counts the system calls of this program doing nothing, from its first instruction on. The
 * kernel's execve: the shim would mend envp. -1: tracing is not allowed here. */
static int count_calls(char *const envp[])
{
	char *argv[] = {self, "nothing", NULL};
	int status, stops = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NO_TRACE);
		raise(SIGSTOP);
		syscall(SYS_execve, self, argv, envp);
		_exit(100);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_TRACE)
		return -1;
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				 PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD),
		0);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			stops = 0; /* here the program begins */
		else
			stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return stops / 2; /* each has a begin and an end */
}

static void the_shim_costs_few_system_calls_at_start(void **state)
{
	char *bare[256] = {NULL};
	size_t n = 0;
	int with, without;

	(void)state;
	for (char **e = environ; *e && n < sizeof(bare) / sizeof(bare[0]) - 1; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11) != 0)
			bare[n++] = *e;
	with = count_calls(environ);
	without = count_calls(bare);
	if (with < 0)
		skip();
	print_message("# start: %d system calls with the shim, %d without\n", with, without);
	assert_in_range(with, without + 1, without + SHIM_CALLS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r10_hooks_work_before_the_constructor),
		cmocka_unit_test(nothing_is_loaded_but_the_shim_itself),
		cmocka_unit_test(a_program_that_clears_its_environment_stays_inside),
		cmocka_unit_test(a_small_stack_is_enough),
		cmocka_unit_test(the_shim_costs_few_system_calls_at_start),
	};

	self = argv[0];
	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		_exit(0); /* LeakSanitizer would refuse to work under a tracer */
	if (argc == 2)
		return dial(socket(AF_INET, SOCK_STREAM, 0), GOOD, ECHO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

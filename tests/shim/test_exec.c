/* SPDX-License-Identifier: MIT */
/* Programs to come stay in the portspace, whatever environment they are given (R6, R10). */
#include <spawn.h>
#include <sys/syscall.h>
#include <wordexp.h>

#include "shimtest.h"

static char *self;
static char *none[] = {NULL};
static char *other[] = {"LD_PRELOAD=", "X=1", NULL};

/* Runs `start` in a child; the program it starts is this one with "inside", which exits 0 when it
 * is in the portspace. */
static int run_child(void (*start)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		start();
		_exit(100);
	}
	return reap(pid);
}

static char **arguments(void)
{
	static char *argv[3];

	argv[0] = self;
	argv[1] = "inside";
	return argv;
}

static void by_execve(void)
{
	execve(self, arguments(), none);
}

static void by_execve_null(void)
{
	execve(self, arguments(), NULL);
}

static void by_execve_other(void)
{
	execve(self, arguments(), other);
}

static void by_execle(void)
{
	execle(self, self, "inside", (char *)NULL, none);
}

static void by_execl(void)
{
	clearenv();
	execl(self, self, "inside", (char *)NULL);
}

static void by_execlp(void)
{
	clearenv();
	execlp(self, self, "inside", (char *)NULL);
}

static void by_execv(void)
{
	clearenv();
	execv(self, arguments());
}

static void by_execvp(void)
{
	clearenv();
	execvp(self, arguments());
}

static void by_execvpe(void)
{
	execvpe(self, arguments(), none);
}

static void by_fexecve(void)
{
	fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments(), none);
}

static void by_execveat(void)
{
	execveat(AT_FDCWD, self, arguments(), none, 0);
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(self, arguments(), none);
		_exit(101);
	}
	_exit(reap(pid));
}

static void by_posix_spawn(void)
{
	pid_t pid;

	if (posix_spawn(&pid, self, NULL, NULL, arguments(), none) == 0)
		_exit(reap(pid));
}

static void by_posix_spawnp(void)
{
	pid_t pid;

	if (posix_spawnp(&pid, self, NULL, NULL, arguments(), NULL) == 0)
		_exit(reap(pid));
}

static void by_system(void)
{
	char command[512];

	snprintf(command, sizeof(command), "'%s' inside", self);
	clearenv();
	_exit(WEXITSTATUS(system(command)));
}

static void by_popen(void)
{
	char command[512];

	snprintf(command, sizeof(command), "'%s' inside", self);
	unsetenv("LD_PRELOAD");
	_exit(WEXITSTATUS(pclose(popen(command, "w"))));
}

static void by_wordexp(void)
{
	char words[512];
	wordexp_t we;

	snprintf(words, sizeof(words), "$('%s' inside && echo yes)", self);
	unsetenv("LD_PRELOAD");
	_exit(wordexp(words, &we, 0) == 0 && we.we_wordc == 1 && strcmp(we.we_wordv[0], "yes") == 0
			? 0
			: 1);
}

static void by_env_i(void)
{
	execl("/usr/bin/env", "env", "-i", self, "inside", (char *)NULL);
}

static void every_way_to_start_a_program_keeps_the_portspace(void **state)
{
	(void)state;
	assert_int_equal(run_child(by_execve), 0);
	assert_int_equal(run_child(by_execve_null), 0);
	assert_int_equal(run_child(by_execve_other), 0);
	assert_int_equal(run_child(by_execle), 0);
	assert_int_equal(run_child(by_execl), 0);
	assert_int_equal(run_child(by_execlp), 0);
	assert_int_equal(run_child(by_execv), 0);
	assert_int_equal(run_child(by_execvp), 0);
	assert_int_equal(run_child(by_execvpe), 0);
	assert_int_equal(run_child(by_fexecve), 0);
	assert_int_equal(run_child(by_execveat), 0);
	assert_int_equal(run_child(by_vfork), 0);
	assert_int_equal(run_child(by_posix_spawn), 0);
	assert_int_equal(run_child(by_posix_spawnp), 0);
	assert_int_equal(run_child(by_system), 0);
	assert_int_equal(run_child(by_popen), 0);
	assert_int_equal(run_child(by_wordexp), 0);
	assert_int_equal(run_child(by_env_i), 0);
}

static void other_preloads_stay_and_ours_comes_first(void **state)
{
	char want[600], *envp[] = {"LD_PRELOAD=/nonexistent/other.so", "KEEP=me", NULL};
	char *argv[] = {"sh", "-c", "echo \"$LD_PRELOAD $KEEP\"", NULL}, got[600] = {0};
	int p[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(2);
		execve("/bin/sh", argv, envp);
		_exit(1);
	}
	assert_int_equal(reap(pid), 0);
	assert_true(read(p[0], got, sizeof(got) - 1) > 0);
	snprintf(want, sizeof(want), "%s:/nonexistent/other.so me\n", getenv("LD_PRELOAD"));
	assert_string_equal(got, want);
	close(p[0]);
	close(p[1]);
}

static void errors_are_execs_own(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(execve("/nonexistent", arguments(), none), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(posix_spawn(&pid, "/nonexistent", NULL, NULL, arguments(), none), ENOENT);
	assert_int_equal(fexecve(-1, arguments(), none), -1);
	assert_int_equal(errno, EINVAL);
}

static void without_a_portspace_there_is_no_internet(void **state)
{
	char preload[600], *envp[] = {preload, "PERSONA_PORTSPACE_DIR=/nonexistent/ps/1", NULL};
	char *argv[] = {self, "outside", NULL};
	pid_t pid = fork();

	(void)state;
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", getenv("LD_PRELOAD"));
	if (pid == 0) { /* by the kernel: the shim would mend the environment */
		syscall(SYS_execve, self, argv, envp);
		_exit(100);
	}
	assert_int_equal(reap(pid), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_to_start_a_program_keeps_the_portspace),
		cmocka_unit_test(other_preloads_stay_and_ours_comes_first),
		cmocka_unit_test(errors_are_execs_own),
		cmocka_unit_test(without_a_portspace_there_is_no_internet),
	};

	self = argv[0];
	if (argc == 2 && strcmp(argv[1], "inside") == 0)
		return dial(socket(AF_INET, SOCK_STREAM, 0), GOOD, ECHO) == 0 ? 0 : 1;
	if (argc == 2 && strcmp(argv[1], "outside") == 0)
		return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

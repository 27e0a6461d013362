/* SPDX-License-Identifier: MIT */
/* The seal, by real calls; seal_lab.h tells how. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "seal.h"
#include "seal_lab.h"
#include "skip.h"

#define CHECK(cases) lab_check(cases, sizeof(cases) / sizeof((cases)[0]))

static long init_word = 42;

/* Each returns 0 or a negative errno. */
static int result(long r)
{
	return r < 0 ? -errno : 0;
}

static int result_fd(long fd)
{
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

#define SOCKET_CASE(name, family, type)                                 \
	static int name##_libc(void)                                    \
	{                                                               \
		return result_fd(socket(family, type, 0));              \
	}                                                               \
	static int name##_raw(void)                                     \
	{                                                               \
		return result_fd(syscall(SYS_socket, family, type, 0)); \
	}

SOCKET_CASE(inet_stream, AF_INET, SOCK_STREAM)
SOCKET_CASE(inet_dgram, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
SOCKET_CASE(inet6, AF_INET6, SOCK_STREAM)
SOCKET_CASE(netlink, AF_NETLINK, SOCK_RAW)
SOCKET_CASE(packet, AF_PACKET, SOCK_RAW)
SOCKET_CASE(unspec, AF_UNSPEC, SOCK_STREAM)
SOCKET_CASE(vsock, AF_VSOCK, SOCK_STREAM)
SOCKET_CASE(alg, AF_ALG, SOCK_SEQPACKET)
SOCKET_CASE(local, AF_UNIX, SOCK_STREAM)

static int inet_raw_icmp(void)
{
	return result_fd(syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

/* The kernel ignores the upper half of the family; the filter must not be fooled by it. */
static int inet_high_bits(void)
{
	return result_fd(syscall(SYS_socket, 0x100000000L | AF_INET, SOCK_STREAM, 0));
}

static int inet_as_unix_high_bits(void)
{
	return result_fd(syscall(SYS_socket, ((long)AF_UNIX << 32) | AF_INET, SOCK_STREAM, 0));
}

static int pair_of(int family, bool raw)
{
	int fd[2];
	long r = raw ? syscall(SYS_socketpair, family, SOCK_STREAM, 0, fd)
		     : socketpair(family, SOCK_STREAM, 0, fd);

	if (r == 0) {
		close(fd[0]);
		close(fd[1]);
	}
	return result(r);
}

static int pair_inet_libc(void)
{
	return pair_of(AF_INET, false);
}

static int pair_inet_raw(void)
{
	return pair_of(AF_INET, true);
}

static int pair_local(void)
{
	return pair_of(AF_UNIX, false);
}

static int uring_setup(void)
{
	char params[120] = {0};

	return result_fd(syscall(SYS_io_uring_setup, 4, params));
}

static int uring_enter(void)
{
	return result(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
}

static int uring_register(void)
{
	return result(syscall(SYS_io_uring_register, -1, 0, NULL, 0));
}

static int steal_fd(void)
{
	return result_fd(syscall(SYS_pidfd_getfd, lab_init_pidfd, 0, 0));
}

static int type_into_tty(void)
{
	char c = 'x';

	return result(ioctl(lab_tty_fd, TIOCSTI, &c));
}

static int type_into_tty_high_bits(void)
{
	char c = 'x';

	return result(syscall(SYS_ioctl, lab_tty_fd, 0x500000000L | TIOCSTI, &c));
}

static int console_paste(void)
{
	char sub = 3;

	return result(ioctl(lab_tty_fd, TIOCLINUX, &sub));
}

/* The interface vanishes with its descriptor. */
static int attach_tun(void)
{
	struct ifreq ifr = {.ifr_name = "ptseal%d", .ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), r;

	/* Without the device the number alone is tried: ENOTTY without the seal. */
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	r = result(ioctl(fd, TUNSETIFF, &ifr));
	close(fd);
	return r;
}

static int attach_tun_queue_high_bits(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_ATTACH_QUEUE};

	return result(syscall(SYS_ioctl, lab_tty_fd, 0x500000000L | TUNSETQUEUE, &ifr));
}

static int kill_init(void)
{
	return result(kill(lab_init, SIGCONT));
}

static int kill_init_group(void)
{
	return result(kill(-lab_init, SIGCONT));
}

static int kill_init_high_bits(void)
{
	return result(syscall(SYS_kill, 0x700000000L | lab_init, SIGCONT));
}

static int tkill_init(void)
{
	return result(syscall(SYS_tkill, lab_init, SIGCONT));
}

static int tgkill_init(void)
{
	return result(syscall(SYS_tgkill, lab_init, lab_init, SIGCONT));
}

static int queue_init(void)
{
	siginfo_t info = {.si_signo = SIGCONT, .si_code = SI_QUEUE};

	return result(syscall(SYS_rt_sigqueueinfo, lab_init, SIGCONT, &info));
}

static int tgqueue_init(void)
{
	siginfo_t info = {.si_signo = SIGCONT, .si_code = SI_QUEUE};

	return result(syscall(SYS_rt_tgsigqueueinfo, lab_init, lab_init, SIGCONT, &info));
}

static int pidfd_init(void)
{
	return result_fd(syscall(SYS_pidfd_open, lab_init, 0));
}

static int ask_for_init(void)
{
	return result(kill(lab_init, 0));
}

static int trace_init(void)
{
	int r = result(ptrace(PTRACE_SEIZE, lab_init, 0, 0));

	if (r == 0)
		ptrace(PTRACE_DETACH, lab_init, 0, 0);
	return r;
}

static int write_into_init(void)
{
	long word = 42;
	struct iovec local = {&word, sizeof(word)}, remote = {&init_word, sizeof(init_word)};

	return result(process_vm_writev(lab_init, &local, 1, &remote, 1, 0));
}

static int open_memory_of_init(void)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)lab_init);
	return result_fd(open(path, O_RDWR | O_CLOEXEC));
}

static int connect_old_socket(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(1)};

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(connect(lab_inet_fd, (struct sockaddr *)&sin, sizeof(sin)));
}

static int trace_own_child(void)
{
	int status, r;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	r = result(waitpid(pid, &status, WUNTRACED));
	if (r == 0 && !WIFSTOPPED(status))
		r = -ECHILD;
	if (r == 0)
		r = result(ptrace(PTRACE_PEEKDATA, pid, &init_word, 0));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return r;
}

static int signal_own_child(void)
{
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	r = result(kill(pid, SIGKILL));
	waitpid(pid, NULL, 0);
	return r;
}

static int rename_between_directories(void)
{
	char a[] = "/tmp/persona-seal-a-XXXXXX", b[] = "/tmp/persona-seal-b-XXXXXX";
	char from[64], to[64];
	int r;

	if (!mkdtemp(a) || !mkdtemp(b))
		return -errno;
	snprintf(from, sizeof(from), "%s/f", a);
	snprintf(to, sizeof(to), "%s/f", b);
	close(open(from, O_WRONLY | O_CREAT, 0600));
	r = result(rename(from, to));
	unlink(from);
	unlink(to);
	rmdir(a);
	rmdir(b);
	return r;
}

#ifdef __x86_64__
/* A call by the i386 entry of the kernel, from 64-bit code. */
static long int80(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

static int i386_socket(void)
{
	long r = int80(359, AF_INET, SOCK_STREAM, 0);

	if (r >= 0)
		close((int)r);
	return r < 0 ? (int)r : 0;
}

static int i386_getpid(void)
{
	long r = int80(20, 0, 0, 0);

	return r < 0 ? (int)r : 0;
}

static int x32_getpid(void)
{
	return result(syscall(0x40000000 | SYS_getpid));
}

static int x32_socket(void)
{
	return result_fd(syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0));
}
#endif

static int has_no_new_privs(void)
{
	return result(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : (errno = ENOENT, -1));
}

#define SOCKET_CASES(name)                        \
	{#name "_libc", name##_libc, -EACCES},    \
	{                                         \
#name "_raw", name##_raw, -EACCES \
	}

static const struct seal_case denied[] = {
	SOCKET_CASES(inet_stream),
	SOCKET_CASES(inet_dgram),
	SOCKET_CASES(inet6),
	SOCKET_CASES(netlink),
	SOCKET_CASES(packet),
	SOCKET_CASES(unspec),
	SOCKET_CASES(vsock),
	SOCKET_CASES(alg),
	{"raw ICMP", inet_raw_icmp, -EACCES},
	{"AF_INET with high bits", inet_high_bits, -EACCES},
	{"AF_INET below AF_UNIX", inet_as_unix_high_bits, -EACCES},
	{"socketpair by libc", pair_inet_libc, -EACCES},
	{"socketpair raw", pair_inet_raw, -EACCES},
	{"io_uring_setup", uring_setup, -ENOSYS},
	{"io_uring_enter", uring_enter, -ENOSYS},
	{"io_uring_register", uring_register, -ENOSYS},
	{"pidfd_getfd", steal_fd, -EPERM},
	{"TIOCSTI", type_into_tty, -EPERM},
	{"TIOCSTI with high bits", type_into_tty_high_bits, -EPERM},
	{"TIOCLINUX", console_paste, -EPERM},
	{"TUNSETIFF", attach_tun, -EPERM},
	{"TUNSETQUEUE with high bits", attach_tun_queue_high_bits, -EPERM},
	{"kill", kill_init, -EPERM},
	{"kill of its group", kill_init_group, -EPERM},
	{"kill with high bits", kill_init_high_bits, -EPERM},
	{"tkill", tkill_init, -EPERM},
	{"tgkill", tgkill_init, -EPERM},
	{"rt_sigqueueinfo", queue_init, -EPERM},
	{"rt_tgsigqueueinfo", tgqueue_init, -EPERM},
	{"pidfd_open of init", pidfd_init, -EPERM},
	{"PTRACE_SEIZE of init", trace_init, -EPERM},
	{"process_vm_writev to init", write_into_init, -EPERM},
#ifdef __x86_64__
	{"i386 socket", i386_socket, -ENOSYS},
	{"i386 getpid", i386_getpid, -ENOSYS},
	{"x32 socket", x32_socket, -ENOSYS},
	{"x32 getpid", x32_getpid, -ENOSYS},
#endif
};

/* Landlock's part: without it these are as open as before. */
static const struct seal_case denied_by_landlock[] = {
	{"/proc/PID/mem of init", open_memory_of_init, -EACCES},
	{"connect of an older TCP socket", connect_old_socket, -EACCES}};

static const struct seal_case allowed[] = {{"AF_UNIX socket by libc", local_libc, 0},
	{"AF_UNIX socket raw", local_raw, 0}, {"AF_UNIX pair", pair_local, 0},
	{"signal 0 to init", ask_for_init, 0}, {"signal to a child", signal_own_child, 0},
	{"ptrace of a child", trace_own_child, 0},
	{"rename between directories", rename_between_directories, 0},
	{"no_new_privs", has_no_new_privs, 0}};

static void the_base_network_and_the_ways_around_are_denied(void **state)
{
	(void)state;
	/* INET sockets alone give this many, on any kernel. */
	assert_true(CHECK(denied) >= 15);
}

static void other_processes_are_out_of_reach_with_landlock(void **state)
{
	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 4)
		skip_test("no Landlock with network rules in this kernel");
	assert_int_equal(CHECK(denied_by_landlock), 2);
}

static void what_programs_need_still_works(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		int r = lab_run(&allowed[i], true);

		if (r != 0)
			print_error("%s: %d\n", allowed[i].name, r);
		assert_int_equal(r, 0);
	}
}

static const struct seal_case tracing[] = {{"PTRACE_SEIZE of init", trace_init, -EPERM},
	{"process_vm_writev to init", write_into_init, -EPERM}};
static const struct seal_case memory_file = {"/proc/PID/mem of init", open_memory_of_init, -EACCES};
static const struct seal_case renaming = {
	"rename between directories", rename_between_directories, 0};

static void tracing_is_denied_without_landlock(void **state)
{
	(void)state;
	lab_claimed_abi = 0;
	assert_int_equal(CHECK(tracing), 2);
	assert_int_equal(lab_run(&renaming, true), 0);
	lab_claimed_abi = -1;
}

/* Linux 5.19 to 6.6: no network rules yet, so the domain is one of file rules. */
static void tracing_is_denied_with_an_older_landlock(void **state)
{
	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 2)
		skip_test("no Landlock in this kernel");
	for (lab_claimed_abi = 2; lab_claimed_abi <= 3; lab_claimed_abi++) {
		assert_int_equal(CHECK(tracing), 2);
		assert_int_equal(lab_check(&memory_file, 1), 1);
		assert_int_equal(lab_run(&renaming, true), 0);
	}
	lab_claimed_abi = -1;
}

static int seal_twice(void)
{
	int r = seal_apply(lab_init);

	return r ? r : inet_stream_raw();
}

static void a_sealed_process_can_be_sealed_again(void **state)
{
	const struct seal_case c = {"twice", seal_twice, -EACCES};

	(void)state;
	assert_int_equal(lab_run(&c, true), -EACCES);
}

static int exec_and_try(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/usr/bin/python3", "python3", "-S", "-c",
			"import socket,sys,errno\n"
			"try: socket.socket()\n"
			"except OSError as e: sys.exit(e.errno)\n",
			(char *)NULL);
		_exit(200);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1;
}

static void the_seal_survives_fork_and_exec(void **state)
{
	const struct seal_case c = {"exec", exec_and_try, -EACCES};

	(void)state;
	if (access("/usr/bin/python3", X_OK) < 0)
		skip_test("/usr/bin/python3 is not installed");
	assert_int_equal(lab_run(&c, false), 0);
	assert_int_equal(lab_run(&c, true), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_base_network_and_the_ways_around_are_denied),
		cmocka_unit_test(other_processes_are_out_of_reach_with_landlock),
		cmocka_unit_test(what_programs_need_still_works),
		cmocka_unit_test(tracing_is_denied_without_landlock),
		cmocka_unit_test(tracing_is_denied_with_an_older_landlock),
		cmocka_unit_test(a_sealed_process_can_be_sealed_again),
		cmocka_unit_test(the_seal_survives_fork_and_exec)};

	return skip_run_group_tests(tests, lab_start_init, lab_stop_init);
}

/* SPDX-License-Identifier: MIT */
/* connect(2) by the broker: verdicts, events, waiting, signals (R1, R2). */
#include <pthread.h>
#include <sys/time.h>

#include "shimtest.h"

static void blocking_connect_succeeds_and_names_both_ends(void **state)
{
	int fd = connected(GOOD, ECHO);

	(void)state;
	assert_string_equal(name_of(fd, 1), "10.9.0.1 7");
	assert_memory_equal(name_of(fd, 0), "10.0.0.1 ", 9);
	assert_echo(fd, fd);
	assert_int_equal(dial(fd, GOOD, ECHO), EISCONN);
	close(fd);
}

static void the_broker_sees_the_same_addresses(void **state)
{
	char got[128] = {0}, want[256];
	int fd = connected(GOOD, TELLS);

	(void)state;
	assert_true(recv(fd, got, sizeof(got) - 1, MSG_WAITALL) > 0);
	snprintf(want, sizeof(want), "10.9.0.1:22 10.0.0.1:%d\n", port_of(fd));
	assert_string_equal(got, want);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 0);
	close(fd);
}

static void blocking_connect_reports_the_true_error(void **state)
{
	int fd = tcp(AF_INET, 0);

	(void)state;
	assert_int_equal(dial(fd, REFUSES, 1), ECONNREFUSED);
	assert_int_equal(so_error(fd), 0);
	assert_string_equal(name_of(fd, 1), "ENOTCONN");
	close(fd);
	fd = tcp(AF_INET, 0);
	assert_int_equal(dial(fd, UNREACH, 1), EHOSTUNREACH);
	close(fd);
}

static void r1_epoll_before_connect_fires_when_done(void **state)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP}, got;
	int fd = tcp(AF_INET, SOCK_NONBLOCK), ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start;

	(void)state;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(epoll_wait(ep, &got, 1, 0), 1);
	assert_int_equal(got.events, EPOLLOUT | EPOLLHUP); /* as a fresh TCP socket */
	start = now_ms();
	assert_int_equal(dial(fd, SLOW, ECHO), EINPROGRESS);
	assert_true(now_ms() - start < 200);
	assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	assert_int_equal(got.events, EPOLLOUT);
	assert_true(now_ms() - start >= 290);
	assert_int_equal(so_error(fd), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	do /* room to write again is an edge of its own */
		assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	while (got.events == EPOLLOUT);
	assert_true(got.events & EPOLLIN);
	close(fd);
	close(ep);
}

static void r2_nonblocking_connect_is_not_writable_before_the_verdict(void **state)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	(void)state;
	assert_int_equal(dial(fd, SLOW, ECHO), EINPROGRESS);
	assert_int_equal(dial(fd, SLOW, ECHO), EALREADY);
	assert_int_equal(so_error(fd), 0);
	assert_string_equal(name_of(fd, 1), "ENOTCONN");
	assert_int_equal(wait_for(fd, POLLOUT | POLLIN, 50), 0);
	assert_int_equal(wait_for(fd, POLLOUT | POLLIN, 5000), POLLOUT);
	assert_int_equal(dial(fd, SLOW, ECHO), 0); /* told once, as Linux does */
	assert_int_equal(dial(fd, SLOW, ECHO), EISCONN);
	close(fd);
}

static void r2_so_error_reports_the_failure_once(void **state)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);

	(void)state;
	assert_int_equal(dial(fd, UNREACH, 1), EINPROGRESS);
	assert_true(wait_for(fd, POLLOUT, 5000) & POLLERR);
	assert_int_equal(so_error(fd), EHOSTUNREACH);
	assert_int_equal(so_error(fd), 0);
	assert_int_equal(dial(fd, UNREACH, 1), ECONNABORTED);
	assert_int_equal(dial(fd, GOOD, ECHO), EINPROGRESS); /* a new life */
	assert_int_equal(wait_for(fd, POLLOUT, 5000), POLLOUT);
	assert_int_equal(so_error(fd), 0);
	close(fd);
}

static void a_failure_comes_out_of_read_as_well(void **state)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);
	char c;

	(void)state;
	assert_int_equal(dial(fd, REFUSES, 1), EINPROGRESS);
	assert_true(wait_for(fd, POLLOUT, 5000) & POLLERR);
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(so_error(fd), 0);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
}

static void a_broker_that_hangs_up_means_unreachable(void **state)
{
	int fd = tcp(AF_INET, 0);

	(void)state;
	assert_int_equal(dial(fd, DIES, 1), ENETUNREACH);
	close(fd);
	fd = tcp(AF_INET, SOCK_NONBLOCK);
	assert_int_equal(dial(fd, DIES, 1), EINPROGRESS);
	assert_true(wait_for(fd, POLLOUT, 5000) & (POLLERR | POLLHUP));
	assert_int_equal(so_error(fd), ENETUNREACH);
	close(fd);
}

static void send_timeout_bounds_a_blocking_connect(void **state)
{
	struct timeval tv = {.tv_usec = 150000};
	int fd = tcp(AF_INET, 0);
	uint64_t start = now_ms();

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(dial(fd, HANGS, 1), EINPROGRESS);
	assert_true(now_ms() - start >= 150 && now_ms() - start < 2000);
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static int connect_with_alarm(const char *text, int sa_flags)
{
	struct itimerval in = {.it_value.tv_usec = 100000}, off = {0};
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = sa_flags}, old;
	int fd = tcp(AF_INET, 0), r;

	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &in, NULL);
	r = dial(fd, text, ECHO);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	if (r == EINTR) {
		/* it goes on in the background */
		assert_int_equal(wait_for(fd, POLLOUT, 5000), POLLOUT);
		assert_int_equal(so_error(fd), 0);
	}
	close(fd);
	return r;
}

static void a_signal_interrupts_connect_unless_sa_restart(void **state)
{
	(void)state;
	assert_int_equal(connect_with_alarm(SLOW, 0), EINTR);
	assert_int_equal(connect_with_alarm(SLOW, SA_RESTART), 0);
}

static void a_second_connect_after_a_failure_keeps_options_and_flags(void **state)
{
	int fd = tcp(AF_INET, SOCK_CLOEXEC), on = 1, v = 0;
	socklen_t len = sizeof(v);

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(dial(fd, REFUSES, 1), ECONNREFUSED);
	assert_int_equal(dial(fd, GOOD, ECHO), 0);
	assert_echo(fd, fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len), 0);
	assert_int_equal(v, 1);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	assert_int_equal(v, 1);
	close(fd);
}

static void unspec_dissolves_a_connection(void **state)
{
	struct sockaddr sa = {.sa_family = AF_UNSPEC};
	int fd = connected(GOOD, ECHO);

	(void)state;
	assert_int_equal(connect(fd, &sa, sizeof(sa)), 0);
	assert_string_equal(name_of(fd, 1), "ENOTCONN");
	assert_int_equal(dial(fd, GOOD, ECHO), 0);
	assert_echo(fd, fd);
	close(fd);
}

static void a_bound_port_is_the_source_port(void **state)
{
	int fd = tcp(AF_INET, 0);
	char got[128] = {0};

	(void)state;
	assert_int_equal(bind_to(fd, "0.0.0.0", 1234), 0);
	assert_int_equal(dial(fd, GOOD, TELLS), 0);
	assert_string_equal(name_of(fd, 0), "10.0.0.1 1234");
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, "10.9.0.1:22 10.0.0.1:1234\n");
	close(fd);
}

static void a_loopback_source_cannot_leave(void **state)
{
	int fd = tcp(AF_INET, 0);

	(void)state;
	assert_int_equal(bind_to(fd, "127.0.0.1", 0), 0);
	assert_int_equal(dial(fd, GOOD, ECHO), EINVAL);
	close(fd);
}

static void r12_ipv6_and_mapped_destinations(void **state)
{
	int fd = connected("fd09::1", ECHO), on = 1;

	(void)state;
	assert_string_equal(name_of(fd, 1), "fd09::1 7");
	close(fd);
	fd = tcp(AF_INET6, 0);
	assert_int_equal(dial(fd, "::ffff:10.9.0.1", ECHO), 0);
	assert_string_equal(name_of(fd, 1), "::ffff:10.9.0.1 7");
	assert_memory_equal(name_of(fd, 0), "::ffff:10.0.0.1 ", 16);
	close(fd);
	fd = tcp(AF_INET6, 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	assert_int_equal(dial(fd, "::ffff:10.9.0.1", ECHO), ENETUNREACH);
	assert_int_equal(dial(fd, "fd09::1", ECHO), 0);
	close(fd);
	fd = tcp(AF_INET6, 0);
	assert_int_equal(dial(fd, GOOD, ECHO), EINVAL); /* too short for IPv6 */
	close(fd);
}

static void many_sockets_get_different_ports(void **state)
{
	enum { N = 200 };
	static char seen[65536];
	int fds[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		fds[i] = connected(GOOD, DISCARD);
		assert_int_equal(seen[port_of(fds[i])], 0);
		seen[port_of(fds[i])] = 1;
	}
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

static void *connect_many(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int fd = connected(GOOD, ECHO);

		assert_echo(fd, fd);
		close(fd);
	}
	return arg;
}

static void threads_connect_at_once(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, connect_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void bad_addresses_fail_as_on_linux(void **state)
{
	struct where w = at(GOOD, 1);
	int fd = tcp(AF_INET, 0), file = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(connect(-1, (struct sockaddr *)&w.ss, w.len), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(connect(file, (struct sockaddr *)&w.ss, w.len), -1);
	assert_int_equal(errno, ENOTSOCK);
	assert_int_equal(connect(fd, (struct sockaddr *)8, w.len), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(connect(fd, (struct sockaddr *)&w.ss, 4), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(connect(fd, (struct sockaddr *)&w.ss, 4096), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(dial(fd, "224.0.0.1", 1), ENETUNREACH);
	errno = 7777;
	assert_int_equal(dial(fd, GOOD, ECHO), 0);
	assert_int_equal(errno, 7777);
	close(fd);
	close(file);
}

static void *hang(void *arg)
{
	dial(*(int *)arg, HANGS, 1);
	return NULL;
}

static void cancellation_ends_a_blocked_connect(void **state)
{
	int fd = tcp(AF_INET, 0);
	pthread_t t;
	void *result;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, hang, &fd), 0);
	wait_for(-1, 0, 100);
	assert_int_equal(pthread_cancel(t), 0);
	assert_int_equal(pthread_join(t, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	close(fd);
}

static void without_a_broker_the_network_is_unreachable(void **state)
{
	pid_t broker = atoi(getenv("FIXTURE_BROKER_PID"));
	int fd = connected(GOOD, ECHO), fd2;
	char c;

	(void)state;
	kill(broker, SIGKILL);
	assert_int_equal(recv(fd, &c, 1, 0), -1); /* streams it carried are reset */
	assert_int_equal(errno, ECONNRESET);
	fd2 = tcp(AF_INET, 0);
	assert_int_equal(dial(fd2, GOOD, ECHO), ENETUNREACH);
	close(fd);
	close(fd2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocking_connect_succeeds_and_names_both_ends),
		cmocka_unit_test(the_broker_sees_the_same_addresses),
		cmocka_unit_test(blocking_connect_reports_the_true_error),
		cmocka_unit_test(r1_epoll_before_connect_fires_when_done),
		cmocka_unit_test(r2_nonblocking_connect_is_not_writable_before_the_verdict),
		cmocka_unit_test(r2_so_error_reports_the_failure_once),
		cmocka_unit_test(a_failure_comes_out_of_read_as_well),
		cmocka_unit_test(a_broker_that_hangs_up_means_unreachable),
		cmocka_unit_test(send_timeout_bounds_a_blocking_connect),
		cmocka_unit_test(a_signal_interrupts_connect_unless_sa_restart),
		cmocka_unit_test(a_second_connect_after_a_failure_keeps_options_and_flags),
		cmocka_unit_test(unspec_dissolves_a_connection),
		cmocka_unit_test(a_bound_port_is_the_source_port),
		cmocka_unit_test(a_loopback_source_cannot_leave),
		cmocka_unit_test(r12_ipv6_and_mapped_destinations),
		cmocka_unit_test(many_sockets_get_different_ports),
		cmocka_unit_test(threads_connect_at_once),
		cmocka_unit_test(bad_addresses_fail_as_on_linux),
		cmocka_unit_test(cancellation_ends_a_blocked_connect),
		cmocka_unit_test(without_a_broker_the_network_is_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Data, ends and resets, ancillary data and unusual flags (R9, R13). */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shimtest.h"

static void a_fin_is_an_end_and_the_other_direction_stays_open(void **state)
{
	int fd = connected(GOOD, FINS);
	char c;

	(void)state;
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_int_equal(wait_for(fd, POLLRDHUP | POLLHUP, 0), POLLRDHUP);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	close(fd);
}

static void assert_reset(int fd, ssize_t r)
{
	char c;

	assert_int_equal(r, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(read(fd, &c, 1), 0); /* told once */
	close(fd);
}

static int about_to_be_reset(void)
{
	int fd = connected(GOOD, RESETS);

	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_true(wait_for(fd, POLLIN, 5000) & POLLIN);
	return fd;
}

static void a_reset_is_econnreset_in_every_reading_call(void **state)
{
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr mmsg = {.msg_hdr = msg};
	int fd = about_to_be_reset();

	(void)state;
	assert_reset(fd, read(fd, &c, 1));
	fd = about_to_be_reset();
	assert_reset(fd, recv(fd, &c, 1, 0));
	fd = about_to_be_reset();
	assert_reset(fd, recv(fd, &c, 1, MSG_PEEK));
	fd = about_to_be_reset();
	assert_reset(fd, recvfrom(fd, &c, 1, 0, NULL, NULL));
	fd = about_to_be_reset();
	assert_reset(fd, readv(fd, &iov, 1));
	fd = about_to_be_reset();
	assert_reset(fd, recvmsg(fd, &msg, 0));
	fd = about_to_be_reset();
	assert_reset(fd, recvmmsg(fd, &mmsg, 1, 0, NULL));
}

static void an_end_after_own_shutdown_is_no_reset(void **state)
{
	int fd = connected(GOOD, ECHO);
	char c;

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void await_error(int fd)
{
	uint64_t end = now_ms() + 5000;

	while (!(wait_for(fd, 0, 100) & POLLERR))
		assert_true(now_ms() < end);
}

static void a_reset_after_own_shutdown_is_econnreset(void **state)
{
	int fd = connected(GOOD, CUTS);
	char c;

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await_error(fd);
	assert_int_equal(recv(fd, &c, 1, 0), 1); /* the answer comes first */
	assert_reset(fd, recv(fd, &c, 1, 0));
}

static void a_reset_after_own_shutdown_is_in_so_error(void **state)
{
	int fd = connected(GOOD, CUTS);

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await_error(fd);
	assert_int_equal(so_error(fd), ECONNRESET);
	assert_int_equal(so_error(fd), 0);
	close(fd);
}

/* The send buffer of a socket whose peer does not read has no room for another byte. */
static void a_reset_after_shutdown_with_a_full_buffer_is_econnreset(void **state)
{
	static char buf[1 << 16];
	int fd = connected(GOOD, CUTS), largest = 1 << 20, i = 0;
	char c;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &largest, sizeof(largest)), 0);
	kill(atoi(getenv("FIXTURE_BROKER_PID")), SIGSTOP);
	while (send(fd, buf, sizeof(buf) - (size_t)i % 7, MSG_DONTWAIT) > 0)
		i++;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	kill(atoi(getenv("FIXTURE_BROKER_PID")), SIGCONT);
	await_error(fd);
	for (errno = 0; recv(fd, buf, sizeof(buf), 0) > 0;)
		;
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void nothing_is_outstanding_after_own_shutdown(void **state)
{
	int fd = connected(GOOD, HOLDS), out = -1;

	(void)state;
	assert_int_equal(send(fd, "abc", 3, 0), 3);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (uint64_t end = now_ms() + 5000; out != 0 && now_ms() < end;)
		assert_int_equal(ioctl(fd, SIOCOUTQ, &out), 0);
	assert_int_equal(out, 0);
	assert_int_equal(wait_for(fd, POLLIN, 0), 0);
	close(fd);
}

static void set_linger(int fd, int on, int seconds)
{
	struct linger linger = {.l_onoff = on, .l_linger = seconds};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

static char close_is(int fd)
{
	char c = '?';

	assert_int_equal(send(fd, "?", 1, 0), 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	return c;
}

static void the_broker_knows_when_a_close_is_a_reset(void **state)
{
	struct where w = at(GOOD, CLOSES);
	int fd = connected(GOOD, CLOSES);

	(void)state;
	assert_int_equal(close_is(fd), 'f');
	set_linger(fd, 1, 0);
	assert_int_equal(close_is(fd), 'r');
	set_linger(fd, 1, 0);
	assert_int_equal(close_is(fd), 'r');
	set_linger(fd, 1, 5);
	assert_int_equal(close_is(fd), 'f');
	close(fd);
	fd = tcp(AF_INET, 0);
	set_linger(fd, 1, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&w.ss, w.len), 0);
	assert_int_equal(close_is(fd), 'r');
	set_linger(fd, 0, 0);
	assert_int_equal(close_is(fd), 'f');
	close(fd);
}

static void a_mebibyte_arrives_before_the_end(void **state)
{
	int fd = connected(GOOD, BURST);
	static char buf[65536];
	size_t total = 0;
	ssize_t n;

	(void)state;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(total, 1 << 20);
	close(fd);
}

static void r13_addresses_are_neither_needed_nor_given(void **state)
{
	struct where w = at("192.0.2.99", 1);
	char buf[16] = {0}, name[128];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {
		.msg_name = name, .msg_namelen = sizeof(name), .msg_iov = &iov, .msg_iovlen = 1};
	int fd = connected(GOOD, ECHO);
	socklen_t len = sizeof(name);

	(void)state;
	assert_int_equal(sendto(fd, "abc", 3, 0, (struct sockaddr *)&w.ss, w.len), 3);
	assert_int_equal(recvfrom(fd, buf, 3, MSG_WAITALL, (struct sockaddr *)name, &len), 3);
	assert_int_equal(len, 0);
	iov.iov_len = 3;
	msg.msg_name = &w.ss;
	msg.msg_namelen = w.len;
	assert_int_equal(sendmsg(fd, &msg, 0), 3);
	msg.msg_name = name;
	msg.msg_namelen = sizeof(name);
	assert_int_equal(recvmsg(fd, &msg, MSG_WAITALL), 3);
	assert_int_equal(msg.msg_namelen, 0);
	assert_memory_equal(buf, "abc", 3);
	close(fd);
}

static void r13_sendmmsg_and_recvmmsg(void **state)
{
	struct where w = at(GOOD, 1);
	char in[2][4] = {{0}};
	struct iovec out_iov[2] = {{"one", 3}, {"two", 3}}, in_iov[2] = {{in[0], 3}, {in[1], 3}};
	struct mmsghdr out[2] = {{.msg_hdr = {.msg_iov = &out_iov[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &out_iov[1], .msg_iovlen = 1}}};
	struct mmsghdr inm[2] = {{.msg_hdr = {.msg_iov = &in_iov[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &in_iov[1], .msg_iovlen = 1}}};
	int fd = connected(GOOD, ECHO);

	(void)state;
	out[0].msg_hdr.msg_name = &w.ss;
	out[0].msg_hdr.msg_namelen = w.len;
	assert_int_equal(sendmmsg(fd, out, 2, 0), 2);
	assert_int_equal(out[1].msg_len, 3);
	assert_int_equal(recvmmsg(fd, inm, 2, MSG_WAITALL, NULL), 2);
	assert_string_equal(in[0], "one");
	assert_string_equal(in[1], "two");
	close(fd);
}

static void r13_fast_open_connects_and_sends(void **state)
{
	struct where w = at(GOOD, ECHO), bad = at(REFUSES, 1);
	char buf[8] = {0};
	int fd = tcp(AF_INET, 0);

	(void)state;
	assert_int_equal(sendto(fd, "data", 4, MSG_FASTOPEN, (struct sockaddr *)&w.ss, w.len), 4);
	assert_int_equal(recv(fd, buf, 4, MSG_WAITALL), 4);
	assert_string_equal(buf, "data");
	close(fd);
	fd = tcp(AF_INET, 0);
	assert_int_equal(sendto(fd, "data", 4, MSG_FASTOPEN | MSG_NOSIGNAL,
				 (struct sockaddr *)&bad.ss, bad.len),
		-1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	fd = tcp(AF_INET, SOCK_NONBLOCK);
	assert_int_equal(sendto(fd, "data", 4, MSG_FASTOPEN, (struct sockaddr *)&w.ss, w.len), -1);
	assert_int_equal(errno, EINPROGRESS);
	close(fd);
}

static void r13_peek_does_not_consume(void **state)
{
	int fd = connected(GOOD, ECHO);
	char buf[4] = {0};

	(void)state;
	assert_int_equal(send(fd, "xy", 2, 0), 2);
	assert_int_equal(recv(fd, buf, 2, MSG_PEEK | MSG_WAITALL), 2);
	assert_int_equal(recv(fd, buf, 2, MSG_WAITALL), 2);
	assert_int_equal(recv(fd, buf, 2, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void r13_descriptors_do_not_come_over_a_tcp_socket(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte;
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int port, s = server("127.0.0.1", &port), a, fd = connected("127.0.0.1", port), lowest;

	(void)state;
	a = accept(s, NULL, NULL);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &s, sizeof(s));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
	lowest = dup(0);
	close(lowest);
	iov.iov_base = &byte;
	assert_int_equal(recvmsg(a, &msg, 0), 1);
	assert_int_equal(msg.msg_controllen, 0);
	assert_int_equal(dup(0), lowest); /* it was closed */
	close(lowest);
	close(a);
	close(fd);
	close(s);
}

static void the_error_queue_is_empty_and_truncation_discards(void **state)
{
	int fd = connected(GOOD, ECHO);
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	(void)state;
	assert_int_equal(send(fd, "abcd", 4, 0), 4);
	assert_true(wait_for(fd, POLLIN, 5000) & POLLIN);
	assert_int_equal(recvmsg(fd, &msg, MSG_ERRQUEUE), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(fd, NULL, 2, MSG_TRUNC), 2);
	assert_int_equal(recv(fd, buf, 8, 0), 2);
	assert_memory_equal(buf, "cd", 2);
	close(fd);
}

static void unconnected_sockets_fail_as_tcp(void **state)
{
	int fd = tcp(AF_INET, 0);
	char c;

	(void)state;
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(shutdown(fd, SHUT_WR), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(shutdown(fd, 9), -1);
	assert_int_equal(errno, EINVAL);
	close(fd);
}

static void r9_syscall_passes_through_with_six_arguments(void **state)
{
	char in[] = "six", out[4] = {0};
	int pipe_fd[2];
	loff_t *none = NULL;
	int p2[2];

	(void)state;
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(pipe(p2), 0);
	assert_int_equal(syscall(SYS_write, pipe_fd[1], in, 3), 3);
	assert_int_equal(syscall(SYS_splice, pipe_fd[0], none, p2[1], none, 3, 0), 3);
	assert_int_equal(syscall(SYS_read, p2[0], out, 3), 3);
	assert_string_equal(out, "six");
	for (int i = 0; i < 2; i++) {
		close(pipe_fd[i]);
		close(p2[i]);
	}
}

static void kernel_services_work_on_the_socket(void **state)
{
	int fd = connected(GOOD, ECHO), n = 0;
	char buf[4];

	(void)state;
	assert_int_equal(send(fd, "abc", 3, 0), 3);
	assert_true(wait_for(fd, POLLIN, 5000) & POLLIN);
	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	assert_int_equal(n, 3);
	n = 1;
	assert_int_equal(ioctl(fd, FIONBIO, &n), 0);
	assert_int_equal(recv(fd, buf, 3, 0), 3);
	assert_int_equal(recv(fd, buf, 3, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void files_and_pipes_are_left_alone(void **state)
{
	int fd = open("/dev/null", O_RDONLY), p[2];
	char c;

	(void)state;
	errno = 4321;
	assert_int_equal(read(fd, &c, 1), 0);
	assert_int_equal(errno, 4321);
	assert_int_equal(pipe(p), 0);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 0);
	assert_int_equal(errno, 4321);
	assert_int_equal(read(-1, &c, 1), -1);
	assert_int_equal(errno, EBADF);
	close(fd);
	close(p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fin_is_an_end_and_the_other_direction_stays_open),
		cmocka_unit_test(a_reset_is_econnreset_in_every_reading_call),
		cmocka_unit_test(an_end_after_own_shutdown_is_no_reset),
		cmocka_unit_test(a_reset_after_own_shutdown_is_econnreset),
		cmocka_unit_test(a_reset_after_own_shutdown_is_in_so_error),
		cmocka_unit_test(a_reset_after_shutdown_with_a_full_buffer_is_econnreset),
		cmocka_unit_test(nothing_is_outstanding_after_own_shutdown),
		cmocka_unit_test(the_broker_knows_when_a_close_is_a_reset),
		cmocka_unit_test(a_mebibyte_arrives_before_the_end),
		cmocka_unit_test(r13_addresses_are_neither_needed_nor_given),
		cmocka_unit_test(r13_sendmmsg_and_recvmmsg),
		cmocka_unit_test(r13_fast_open_connects_and_sends),
		cmocka_unit_test(r13_peek_does_not_consume),
		cmocka_unit_test(r13_descriptors_do_not_come_over_a_tcp_socket),
		cmocka_unit_test(the_error_queue_is_empty_and_truncation_discards),
		cmocka_unit_test(unconnected_sockets_fail_as_tcp),
		cmocka_unit_test(r9_syscall_passes_through_with_six_arguments),
		cmocka_unit_test(kernel_services_work_on_the_socket),
		cmocka_unit_test(files_and_pipes_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

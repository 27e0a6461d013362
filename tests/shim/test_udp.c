/* SPDX-License-Identifier: MIT */
/* Datagram sockets under the shim, against the test broker's network (dgram_fixture.h): what cannot
 * be compared with the kernel's sockets on loopback (parity_udp.c). Errors are in
 * test_udp_errors.c. */
#include "udptest.h"

#include <limits.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sys/syscall.h>

static const char *self;

/* What the head of a message said, as the destination HEAD answers it. */
static const char *head_of(int fd)
{
	static char text[300];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(n > 0);
	text[n] = '\0';
	return strstr(text, "flags");
}

static void answers_come_with_their_sender(void **state)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	int fd = udp(AF_INET6);
	char buf[16];

	(void)state;
	assert_int_equal(send_to(fd, "six", 3, "fd09::1", 53), 3);
	assert_int_equal(recvfrom(fd, buf, 16, 0, (struct sockaddr *)&from, &len), 3);
	assert_int_equal(len, sizeof(from));
	assert_int_equal(ntohs(from.sin6_port), 53);
	assert_int_equal(from.sin6_scope_id, 0);
	assert_int_equal(send_to(fd, "four", 4, "::ffff:10.9.0.1", 53), 4);
	assert_int_equal(recvfrom(fd, buf, 16, 0, (struct sockaddr *)&from, &len), 4);
	assert_true(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	close(fd);
}

static void options_reach_the_head(void **state)
{
	int fd = udp(AF_INET), fd6;

	(void)state;
	send_to(fd, "x", 1, HEAD, 1);
	assert_string_equal(head_of(fd), "flags 2 ttl 0 tos 0 if 0 len 1");
	set(fd, IPPROTO_IP, IP_TTL, 7);
	set(fd, IPPROTO_IP, IP_TOS, 0x28);
	send_to(fd, "xy", 2, HEAD, 1);
	assert_string_equal(head_of(fd), "flags 6 ttl 7 tos 40 if 0 len 2");
	set(fd, IPPROTO_IP, IP_TTL, -1);
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	set(fd, IPPROTO_IP, IP_UNICAST_IF, (int)htonl(2));
	send_to(fd, "x", 1, HEAD, 1);
	assert_string_equal(head_of(fd), "flags 10 ttl 0 tos 40 if 2 len 1");
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	assert_int_equal(dial(fd, HEAD, 1), 0);
	send(fd, "x", 1, 0);
	assert_string_equal(head_of(fd), "flags 0 ttl 0 tos 40 if 1 len 1");
	close(fd);
	fd6 = udp_to("fd09::9", 1);
	set(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3);
	set(fd6, IPPROTO_IPV6, IPV6_TCLASS, 9);
	set(fd6, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	send(fd6, "x", 1, 0);
	assert_string_equal(head_of(fd6), "flags 12 ttl 3 tos 9 if 0 len 1");
	close(fd6);
}

static void a_source_is_chosen_with_pktinfo(void **state)
{
	_Alignas(struct cmsghdr) char control[64] = {0};
	struct in_pktinfo info = {.ipi_ifindex = 2};
	struct where w = at(HEAD, 1);
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_name = &w.ss,
		.msg_namelen = w.len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(sizeof(info))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = udp(AF_INET);

	(void)state;
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	inet_pton(AF_INET, OWN, &info.ipi_spec_dst);
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
	assert_string_equal(head_of(fd), "flags 3 ttl 0 tos 0 if 2 len 1");
	inet_pton(AF_INET, "10.1.2.3", &info.ipi_spec_dst);
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	assert_fails(sendmsg(fd, &msg, 0), EINVAL);
	close(fd);
}

static void batches_of_any_shape(void **state)
{
	enum { N = 50, PARTS = 6 };
	static char in[N][PARTS], out[N][PARTS];
	static struct iovec iin[N][PARTS], iout[N][PARTS];
	static struct mmsghdr rx[N], tx[N];
	struct where w = at(GOOD, 9);
	int fd = udp(AF_INET);

	(void)state;
	for (int i = 0; i < N; i++) {
		size_t parts = (size_t)i % PARTS + 1;

		memset(out[i], i, PARTS);
		for (size_t k = 0; k < parts; k++) {
			iin[i][k] = (struct iovec){in[i] + k, 1};
			iout[i][k] = (struct iovec){out[i] + k, 1};
		}
		tx[i].msg_hdr = (struct msghdr){.msg_name = &w.ss,
			.msg_namelen = w.len,
			.msg_iov = iout[i],
			.msg_iovlen = parts};
		rx[i].msg_hdr = (struct msghdr){.msg_iov = iin[i], .msg_iovlen = parts};
	}
	assert_int_equal(sendmmsg(fd, tx, N, 0), N);
	assert_int_equal(recvmmsg(fd, rx, N, 0, NULL), N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(tx[i].msg_len, i % PARTS + 1);
		assert_int_equal(rx[i].msg_len, i % PARTS + 1);
		assert_memory_equal(in[i], out[i], rx[i].msg_len);
	}
	close(fd);
}

/* libuv makes its batches with syscall(2). */
static void calls_by_number(void **state)
{
	char in[2][4], out[] = "hi";
	struct iovec iin[2] = {{in[0], 4}, {in[1], 4}}, iout = {out, 2};
	struct mmsghdr rx[2] = {0}, tx[2] = {0};
	int fd = udp_to(GOOD, 9);

	(void)state;
	for (int i = 0; i < 2; i++) {
		tx[i].msg_hdr = (struct msghdr){.msg_iov = &iout, .msg_iovlen = 1};
		rx[i].msg_hdr = (struct msghdr){.msg_iov = &iin[i], .msg_iovlen = 1};
	}
	assert_int_equal(syscall(SYS_sendmmsg, fd, tx, 2, 0), 2);
	assert_int_equal(syscall(SYS_recvmmsg, fd, rx, 2, 0, NULL), 2);
	assert_memory_equal(in[1], "hi", 2);
	assert_int_equal(rx[1].msg_len, 2);
	assert_int_equal(syscall(SYS_sendto, fd, "abc", 3, 0, NULL, 0), 3);
	assert_int_equal(syscall(SYS_recvfrom, fd, in[0], 4, 0, NULL, NULL), 3);
	assert_int_equal(syscall(SYS_write, fd, "w", 1), 1);
	assert_int_equal(syscall(SYS_read, fd, in[0], 4), 1);
	assert_int_equal(in[0][0], 'w');
	assert_int_equal(syscall(SYS_recvfrom, fd, in[0], 4, MSG_DONTWAIT, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void datagrams_of_many_parts(void **state)
{
	static char out[1023], in[1023];
	static struct iovec iov[1024];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1023};
	int fd = udp_to(GOOD, 9);

	(void)state;
	for (size_t i = 0; i < 1023; i++) {
		out[i] = (char)i;
		iov[i] = (struct iovec){out + i, 1};
	}
	assert_int_equal(sendmsg(fd, &msg, 0), 1023);
	for (size_t i = 0; i < 1023; i++)
		iov[i].iov_base = in + i;
	assert_int_equal(recvmsg(fd, &msg, 0), 1023);
	assert_memory_equal(in, out, sizeof(in));
	msg.msg_iovlen = 1025;
	assert_fails(sendmsg(fd, &msg, 0), EMSGSIZE);
	close(fd);
}

static void the_biggest_datagram_passes_the_smallest_buffer(void **state)
{
	static char out[65507], in[65508];
	int fd = udp_to(GOOD, 9);

	(void)state;
	set(fd, SOL_SOCKET, SO_SNDBUF, 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, 1);
	memset(out, 'b', sizeof(out));
	assert_int_equal(send(fd, out, sizeof(out), 0), sizeof(out));
	assert_int_equal(recv(fd, in, sizeof(in), 0), sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	assert_fails(send(fd, in, sizeof(in), 0), EMSGSIZE);
	close(fd);
}

/* They are more than the smallest buffer holds at once. */
static void segments_wait_for_room(void **state)
{
	enum { COUNT = 64, EACH = 1000 };
	static char out[COUNT * EACH], in[EACH + 1];
	int fd = udp_to(GOOD, 9);

	(void)state;
	set(fd, SOL_SOCKET, SO_SNDBUF, 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	set(fd, IPPROTO_UDP, UDP_SEGMENT, EACH);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i / EACH);
	assert_int_equal(send(fd, out, sizeof(out), MSG_DONTWAIT), sizeof(out));
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(recv(fd, in, sizeof(in), 0), EACH);
		assert_memory_equal(in, out + i * EACH, EACH);
	}
	close(fd);
}

static void broadcast_needs_the_option(void **state)
{
	int fd = udp(AF_INET);

	(void)state;
	assert_fails(send_to(fd, "x", 1, "255.255.255.255", 9), EACCES);
	assert_fails(send_to(fd, "x", 1, "10.0.0.255", 9), EACCES);
	assert_int_equal(send_to(fd, "x", 1, "10.0.1.255", 9), 1);
	set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	assert_int_equal(send_to(fd, "x", 1, "255.255.255.255", 9), 1);
	assert_int_equal(send_to(fd, "x", 1, "10.0.0.255", 9), 1);
	close(fd);
}

static void ports_are_shared_only_when_both_agree(void **state)
{
	int a = udp(AF_INET), b = udp(AF_INET);

	(void)state;
	assert_int_equal(bind_to(a, OWN, 53), 0);
	assert_int_equal(bind_to(b, OWN, 53), EADDRINUSE);
	close(a);
	a = udp(AF_INET);
	set(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set(b, SOL_SOCKET, SO_REUSEPORT, 1);
	assert_int_equal(bind_to(a, OWN, 53), 0);
	assert_int_equal(bind_to(b, OWN, 53), 0);
	close(a);
	close(b);
}

static void echo_requests_are_answered(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	unsigned char request[12] = {ICMP_ECHO, 0, 0, 0, 0, 0, 0, 7, 'p', 'i', 'n', 'g'};
	struct icmphdr reply;
	unsigned char buf[64];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(dial(fd, GOOD, 0), 0);
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	assert_int_equal(read(fd, buf, sizeof(buf)), sizeof(request));
	memcpy(&reply, buf, sizeof(reply));
	assert_int_equal(reply.type, ICMP_ECHOREPLY);
	assert_int_equal(ntohs(reply.un.echo.id), port_of(fd));
	assert_int_equal(ntohs(reply.un.echo.sequence), 7);
	assert_memory_equal(buf + 8, "ping", 4);
	close(fd);
}

static void a_copy_of_the_descriptor_is_the_same_socket(void **state)
{
	int fd = udp(AF_INET), copy = dup(fd);
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(dial(copy, GOOD, 9), 0);
	close(copy);
	pid = fork();
	if (pid == 0)
		_exit(write(fd, "f", 1) == 1 ? 0 : 1);
	assert_int_equal(reap(pid), 0);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(c, 'f');
	close(fd);
}

/* The child knows nothing of the socket but its number: read(2) and write(2) alone. */
static void a_program_that_inherits_the_socket(void **state)
{
	static const int places[] = {0, 40};
	char c, text[8];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int fd = udp_to(GOOD, 9);
		pid_t pid = fork();

		if (pid == 0) {
			dup2(fd, places[i]);
			snprintf(text, sizeof(text), "%d", places[i]);
			execl(self, self, "inherited", text, NULL);
			_exit(9);
		}
		assert_int_equal(reap(pid), 0);
		assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
		close(fd);
	}
}

static int inherited(int fd)
{
	char buf[8];

	if (write(fd, "child", 5) != 5 || read(fd, buf, sizeof(buf)) != 5)
		return 1;
	return memcmp(buf, "child", 5) == 0 ? 0 : 2;
}

/* A socket that comes over AF_UNIX to a process that has not seen one. */
static int received(int from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(from, &msg, 0) != 1)
		return 3;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return inherited(fd);
}

static void a_program_that_receives_the_socket(void **state)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2], fd;
	char text[8];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[1]);
		snprintf(text, sizeof(text), "%d", pair[0]);
		execl(self, self, "received", text, NULL);
		_exit(9);
	}
	close(pair[0]);
	fd = udp_to(GOOD, 9);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[1], &msg, 0), 1);
	assert_int_equal(reap(pid), 0);
	close(pair[1]);
	close(fd);
}

static void a_time_limit_that_cannot_be_read_is_refused(void **state)
{
	struct iovec iov = {.iov_base = (char[8]){0}, .iov_len = 8};
	struct mmsghdr msg = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	int fd = udp(AF_INET);

	(void)state;
	assert_fails(recvmmsg(fd, &msg, 1, MSG_DONTWAIT, (struct timespec *)8), EFAULT);
	close(fd);
}

/* The first datagram asks the broker for a port. */
static void *send_first(void *arg)
{
	ssize_t *np = arg;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*np = send_to(fd, "small", 5, GOOD, 9);
	close(fd);
	return NULL;
}

static void the_smallest_stack_is_enough(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	ssize_t n = 0;

	(void)state;
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN), 0);
	assert_int_equal(pthread_create(&thread, &attr, send_first, &n), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_int_equal(n, 5);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_with_their_sender),
		cmocka_unit_test(options_reach_the_head),
		cmocka_unit_test(a_source_is_chosen_with_pktinfo),
		cmocka_unit_test(batches_of_any_shape),
		cmocka_unit_test(calls_by_number),
		cmocka_unit_test(datagrams_of_many_parts),
		cmocka_unit_test(the_biggest_datagram_passes_the_smallest_buffer),
		cmocka_unit_test(segments_wait_for_room),
		cmocka_unit_test(broadcast_needs_the_option),
		cmocka_unit_test(ports_are_shared_only_when_both_agree),
		cmocka_unit_test(echo_requests_are_answered),
		cmocka_unit_test(a_copy_of_the_descriptor_is_the_same_socket),
		cmocka_unit_test(a_program_that_inherits_the_socket),
		cmocka_unit_test(a_program_that_receives_the_socket),
		cmocka_unit_test(a_time_limit_that_cannot_be_read_is_refused),
		cmocka_unit_test(the_smallest_stack_is_enough),
	};

	if (argc == 3 && strcmp(argv[1], "inherited") == 0)
		return inherited(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "received") == 0)
		return received(atoi(argv[2]));
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Datagram sockets under the shim: errors, the error queue, waiting, what is refused, and a broker
 * that goes away (dgram_fixture.h has the destinations). */
#include "udptest.h"

#include <linux/errqueue.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void what_must_not_be_fragmented_is_refused(void **state)
{
	static char data[2000];
	int fd = udp(AF_INET);

	(void)state;
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	assert_int_equal(send_to(fd, data, 1420 - 28, HEAD, 1), 1420 - 28);
	assert_fails(send_to(fd, data, 1420 - 27, HEAD, 1), EMSGSIZE);
	assert_int_equal(send_to(fd, data, 2000, "127.0.0.1", 1), 2000);
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
	assert_int_equal(send_to(fd, data, 2000, HEAD, 1), 2000);
	close(fd);
}

static void an_echo_request_may_fill_a_packet(void **state)
{
	static char data[1420] = {ICMP_ECHO};
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	(void)state;
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	assert_int_equal(send_to(fd, data, 1420 - 20, GOOD, 0), 1420 - 20);
	assert_fails(send_to(fd, data, 1420 - 19, GOOD, 0), EMSGSIZE);
	close(fd);
}

static void a_refused_size_is_told_once(void **state)
{
	static char data[2000];
	int fd = udp(AF_INET);

	(void)state;
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	/* NARROW would answer what reaches it with an error */
	assert_fails(send_to(fd, data, 1420 - 27, NARROW, 1), EMSGSIZE);
	assert_int_equal(dial(fd, NARROW, 1), 0);
	assert_fails(send(fd, data, 1420 - 27, 0), EMSGSIZE);
	assert_int_equal(dial(fd, GOOD, 1), 0);
	assert_int_equal(send(fd, data, 5, 0), 5);
	assert_int_equal(recv(fd, data, sizeof(data), 0), 5);
	assert_int_equal(dial(fd, "127.0.0.1", 1), 0);
	assert_int_equal(send(fd, data, 2000, 0), 2000);
	close(fd);
}

static void segments_fit_the_mtu(void **state)
{
	static char data[3000];
	int fd = udp_to(GOOD, 1);

	(void)state;
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1420 - 27);
	assert_fails(send(fd, data, sizeof(data), 0), EINVAL);
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1420 - 28);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(recv(fd, data, sizeof(data), 0), 1420 - 28);
	assert_int_equal(recv(fd, data, sizeof(data), 0), 1420 - 28);
	assert_int_equal(recv(fd, data, sizeof(data), 0), sizeof(data) - 2 * (1420 - 28));
	close(fd);
}

static void the_mtu_is_the_portspaces(void **state)
{
	int fd = udp_to(GOOD, 1), v = 0;
	socklen_t len = sizeof(v);

	(void)state;
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU, &v, &len), 0);
	assert_int_equal(v, 1420);
	assert_int_equal(dial(fd, "127.0.0.1", 1), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU, &v, &len), 0);
	assert_int_equal(v, 65535);
	close(fd);
}

/* What MSG_ERRQUEUE gives. */
struct error {
	struct sock_extended_err ee;
	struct sockaddr_in offender, to;
	int ttl;
	ssize_t n;
	char data[64];
};

static struct error read_error(int fd)
{
	_Alignas(struct cmsghdr) char control[256];
	struct error e = {.ttl = -1};
	struct iovec iov = {e.data, sizeof(e.data)};
	struct msghdr msg = {.msg_name = &e.to,
		.msg_namelen = sizeof(e.to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};

	e.n = recvmsg(fd, &msg, MSG_ERRQUEUE);
	if (e.n < 0)
		return e;
	assert_true(msg.msg_flags & MSG_ERRQUEUE);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
			memcpy(&e.ee, CMSG_DATA(c), sizeof(e.ee));
			memcpy(&e.offender, CMSG_DATA(c) + sizeof(e.ee), sizeof(e.offender));
		}
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
			memcpy(&e.ttl, CMSG_DATA(c), sizeof(e.ttl));
	}
	return e;
}

static void a_route_is_traced(void **state)
{
	int fd = udp(AF_INET);
	struct error e;

	(void)state;
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	set(fd, IPPROTO_IP, IP_RECVTTL, 1);
	set(fd, IPPROTO_IP, IP_TTL, 1);
	assert_int_equal(send_to(fd, "probe", 5, EXPIRES, 33434), 5);
	assert_int_equal(wait_for(fd, POLLIN | POLLERR, 5000), POLLERR);
	e = read_error(fd);
	assert_int_equal(e.n, 5);
	assert_memory_equal(e.data, "probe", 5);
	assert_int_equal(e.ee.ee_errno, EHOSTUNREACH);
	assert_int_equal(e.ee.ee_origin, SO_EE_ORIGIN_ICMP);
	assert_int_equal(e.ee.ee_type, ICMP_TIME_EXCEEDED);
	assert_int_equal(e.ttl, 55);
	assert_string_equal(inet_ntoa(e.offender.sin_addr), "10.9.0.254");
	assert_string_equal(inet_ntoa(e.to.sin_addr), EXPIRES);
	assert_int_equal(ntohs(e.to.sin_port), 33434);
	assert_int_equal(wait_for(fd, POLLIN | POLLERR, 0), 0);
	close(fd);
}

static void the_error_queue_has_the_mtu(void **state)
{
	int fd = udp_to(NARROW, 9);
	struct error e;
	char c;

	(void)state;
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send(fd, "x", 1, 0);
	assert_true(wait_for(fd, POLLIN, 5000) & POLLERR);
	e = read_error(fd);
	assert_int_equal(e.ee.ee_errno, EMSGSIZE);
	assert_int_equal(e.ee.ee_origin, SO_EE_ORIGIN_LOCAL);
	assert_int_equal(e.ee.ee_info, 1300);
	assert_int_equal(e.offender.sin_family, AF_UNSPEC);
	/* without a queue it is the next call's result */
	set(fd, IPPROTO_IP, IP_RECVERR, 0);
	send(fd, "x", 1, 0);
	assert_fails(recv(fd, &c, 1, 0), EMSGSIZE);
	close(fd);
}

static void an_error_that_was_told_and_not_fetched_goes(void **state)
{
	int fd = udp(AF_INET);
	char c;

	(void)state;
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send_to(fd, "x", 1, EXPIRES, 9);
	assert_fails(recv(fd, &c, 1, 0), EHOSTUNREACH);
	send_to(fd, "y", 1, GOOD, 9);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(read_error(fd).n, -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void errors_for_the_queue_alone_are_not_told(void **state)
{
	int fd = udp_to(WHISPERS, 9);
	char c;

	(void)state;
	assert_int_equal(send(fd, "x", 1, 0), 1);
	name_of(fd, 1); /* the broker has dealt with it */
	assert_fails(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(dial(fd, GOOD, 9), 0);
	assert_int_equal(send(fd, "y", 1, 0), 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_int_equal(c, 'y');
	close(fd);
}

static void an_error_between_datagrams_is_told_after_them(void **state)
{
	char data[4][4] = {{0}};
	struct iovec iov[4][3];
	struct mmsghdr m[4] = {0};
	int fd = udp_to(MIXED, 9);

	(void)state;
	assert_int_equal(send(fd, "1abc", 4, 0), 4);
	name_of(fd, 1); /* the broker has dealt with it */
	for (int i = 0; i < 4; i++) {
		/* parts of different sizes, so that moving up has something to do */
		iov[i][0] = (struct iovec){data[i], (size_t)i % 3};
		iov[i][1] = (struct iovec){data[i] + i % 3, 0};
		iov[i][2] = (struct iovec){data[i] + i % 3, 4 - (size_t)i % 3};
		m[i].msg_hdr = (struct msghdr){.msg_iov = iov[i], .msg_iovlen = 3};
	}
	assert_int_equal(recvmmsg(fd, m, 4, MSG_DONTWAIT, NULL), 2);
	assert_memory_equal(data[0], "1abc", 4);
	assert_memory_equal(data[1], "2abc", 4);
	assert_int_equal(m[1].msg_len, 4);
	assert_fails(recv(fd, data[0], 4, MSG_DONTWAIT), ECONNREFUSED);
	assert_fails(recv(fd, data[0], 4, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

static void without_a_route_connect_fails(void **state)
{
	int fd = udp(AF_INET);

	(void)state;
	assert_int_equal(dial(fd, NOWHERE, 9), ENETUNREACH);
	assert_string_equal(name_of(fd, 1), "ENOTCONN");
	assert_int_equal(dial(fd, GOOD, 9), 0);
	assert_string_equal(name_of(fd, 1), "10.9.0.1 9");
	close(fd);
}

static void unsupported_ways_say_so(void **state)
{
	int fd = udp_to(GOOD, 9), p[2], file = open("/proc/self/exe", O_RDONLY), one = 1;

	(void)state;
	assert_fails(send(fd, "x", 1, MSG_MORE), EOPNOTSUPP);
	assert_fails(sendfile(fd, file, NULL, 10), EINVAL);
	assert_int_equal(pipe(p), 0);
	assert_fails(splice(p[0], NULL, fd, NULL, 1, 0), EINVAL);
	assert_fails(splice(fd, NULL, p[1], NULL, 1, 0), EINVAL);
	assert_fails(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof(one)), ENOPROTOOPT);
	assert_fails(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	close(p[0]);
	close(p[1]);
	close(file);
	close(fd);
}

static void *read_one(void *arg)
{
	char c;

	return (void *)(intptr_t)recv(*(int *)arg, &c, 1, 0);
}

static void shutdown_wakes_a_reader(void **state)
{
	int fd = udp(AF_INET);
	struct timeval forever = {0};
	pthread_t thread;
	void *result;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	assert_int_equal(pthread_create(&thread, NULL, read_one, &fd), 0);
	/* also when the thread has not come to recv(2) yet */
	assert_fails(shutdown(fd, SHUT_RDWR), ENOTCONN);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	assert_fails(send_to(fd, "x", 1, GOOD, 9), EPIPE);
	close(fd);
}

static void epoll_wakes_for_datagrams_and_errors(void **state)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, got;
	int fd = udp(AF_INET), ep = epoll_create1(EPOLL_CLOEXEC);
	char c;

	(void)state;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(dial(fd, REFUSES, 9), 0);
	send(fd, "x", 1, 0);
	assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	assert_fails(recv(fd, &c, 1, MSG_DONTWAIT), ECONNREFUSED);
	assert_int_equal(dial(fd, GOOD, 9), 0);
	send(fd, "x", 1, 0);
	assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 1);
	close(ep);
	close(fd);
}

static void a_timeout_ends_recv(void **state)
{
	struct timeval soon = {.tv_usec = 1000};
	int fd = udp_to(QUIET, 9);
	struct mmsghdr m = {0};
	char c;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	assert_fails(recv(fd, &c, 1, 0), EAGAIN);
	assert_fails(recvmmsg(fd, &m, 1, 0, NULL), EAGAIN);
	close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void a_signal_interrupts_recv(void **state)
{
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	struct timeval forever = {0};
	int fd = udp(AF_INET);
	char c;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	sigaction(SIGALRM, &sa, &old);
	ualarm(10000, 10000);
	assert_fails(recv(fd, &c, 1, 0), EINTR);
	ualarm(0, 0);
	sigaction(SIGALRM, &old, NULL);
	close(fd);
}

/* Last of all: the broker goes away. */
static void without_a_broker_the_network_is_down(void **state)
{
	int fd = udp_to(GOOD, 9), fresh = udp(AF_INET), late, one = 1;
	pid_t broker = atoi(getenv("FIXTURE_DGRAM_PID"));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	(void)state;
	assert_int_equal(kill(broker, SIGTERM), 0);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_fails(recv(fd, &c, 1, 0), ENETDOWN);
	assert_fails(send(fd, "x", 1, 0), ENETDOWN);
	assert_fails(write(fd, "x", 1), ENETDOWN);
	assert_int_equal(dial(fd, GOOD, 9), ENETDOWN);
	assert_string_equal(name_of(fd, 1), "ENETDOWN");
	assert_fails(send_to(fresh, "x", 1, GOOD, 9), ENETDOWN);
	/* a socket is still made: many programs make one and look at interfaces with it */
	late = udp(AF_INET);
	assert_string_equal(name_of(late, 0), "0.0.0.0 0");
	assert_int_equal(setsockopt(late, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind_to(late, OWN, 5353), ENETUNREACH);
	assert_int_equal(dial(late, GOOD, 9), ENETUNREACH);
	assert_fails(send_to(late, "x", 1, GOOD, 9), ENETUNREACH);
	assert_fails(recv(late, &c, 1, 0), ENETUNREACH);
	close(late);
	close(fresh);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_must_not_be_fragmented_is_refused),
		cmocka_unit_test(an_echo_request_may_fill_a_packet),
		cmocka_unit_test(a_refused_size_is_told_once),
		cmocka_unit_test(segments_fit_the_mtu),
		cmocka_unit_test(the_mtu_is_the_portspaces),
		cmocka_unit_test(a_route_is_traced),
		cmocka_unit_test(the_error_queue_has_the_mtu),
		cmocka_unit_test(an_error_that_was_told_and_not_fetched_goes),
		cmocka_unit_test(errors_for_the_queue_alone_are_not_told),
		cmocka_unit_test(an_error_between_datagrams_is_told_after_them),
		cmocka_unit_test(without_a_route_connect_fails),
		cmocka_unit_test(unsupported_ways_say_so),
		cmocka_unit_test(shutdown_wakes_a_reader),
		cmocka_unit_test(epoll_wakes_for_datagrams_and_errors),
		cmocka_unit_test(a_timeout_ends_recv),
		cmocka_unit_test(a_signal_interrupts_recv),
		cmocka_unit_test(without_a_broker_the_network_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

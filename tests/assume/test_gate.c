/* SPDX-License-Identifier: MIT */
/* Assumption: the gate. With SO_SNDBUF at its minimum an unread request of 64 + 1024 bytes keeps
 * an AF_UNIX stream socket unwritable; reading the first part alone does not open it; raising
 * SO_SNDBUF and reading the rest opens it with exactly one edge. Closing with the rest unread
 * gives EPOLLERR | EPOLLHUP. So a non-blocking connect looks like TCP's, also to an epoll that had
 * the socket before connect(2). Used by the shim's connect and the broker's stream module. */
#include "pair.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct gate {
	int listener, client, server, passed, epfd;
};

static void gate_open(struct gate *g, uint32_t events)
{
	struct epoll_event e = {.events = events};

	g->listener = pair_listen();
	g->client = pair_gated();
	g->epfd = epoll_create1(EPOLL_CLOEXEC);
	assert_return_code(epoll_ctl(g->epfd, EPOLL_CTL_ADD, g->client, &e), 0);
	(void)pair_epoll(g->epfd); /* what an unconnected socket reports is no edge for later */
	g->server = pair_connect(g->client, g->listener);
	pair_request(g->client);
	g->passed = pair_read_request(g->server);
}

static void gate_close(struct gate *g)
{
	close(g->epfd);
	close(g->client);
	if (g->server >= 0)
		close(g->server);
	pair_unlisten(g->listener);
}

static void test_unwritable_while_request_is_unread(void **state)
{
	int listener = pair_listen(), client = pair_gated(), server;
	char byte;

	(void)state;
	server = pair_connect(client, listener);
	pair_request(client);
	assert_int_equal(pair_poll(client, POLLIN | POLLOUT), 0);
	/* peeking changes nothing */
	assert_int_equal(recv(server, &byte, 1, MSG_PEEK), 1);
	assert_int_equal(pair_poll(client, POLLIN | POLLOUT), 0);
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_still_unwritable_after_the_head_was_read(void **state)
{
	struct gate g;

	(void)state;
	gate_open(&g, EPOLLOUT);
	assert_int_equal(pair_poll(g.client, POLLIN | POLLOUT), 0);
	assert_int_equal(pair_epoll(g.epfd), 0);
	close(g.passed);
	gate_close(&g);
}

static void test_edge_triggered_epoll_gets_one_edge(void **state)
{
	struct gate g;

	(void)state;
	gate_open(&g, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	while (pair_epoll(g.epfd)) /* edges of connect(2) itself end here, before the answer */
		;
	pair_set_sndbuf(g.passed, 212992);
	close(g.passed);
	pair_read_pad(g.server);
	assert_int_equal(pair_epoll(g.epfd), EPOLLOUT);
	assert_int_equal(pair_epoll(g.epfd), 0);
	gate_close(&g);
}

static void test_no_edge_says_writable_before_the_answer(void **state)
{
	struct gate g;

	(void)state;
	gate_open(&g, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	assert_int_equal(pair_epoll(g.epfd) & (EPOLLOUT | EPOLLERR | EPOLLHUP), 0);
	close(g.passed);
	gate_close(&g);
}

static void test_refusal_is_err_and_hup(void **state)
{
	struct gate g;

	(void)state;
	gate_open(&g, EPOLLIN | EPOLLOUT | EPOLLET);
	close(g.passed);
	close(g.server);
	g.server = -1;
	assert_int_equal(pair_epoll(g.epfd) & (EPOLLERR | EPOLLHUP), EPOLLERR | EPOLLHUP);
	gate_close(&g);
}

static void test_buffer_size_can_be_restored(void **state)
{
	int fd = pair_gated(), got = 0, asked = 100000;
	socklen_t len = sizeof(got);

	(void)state;
	pair_set_sndbuf(fd, asked);
	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &len), 0);
	assert_int_equal(got, 2 * asked);
	close(fd);
}

static void test_raising_the_buffer_alone_opens_the_gate(void **state)
{
	int listener = pair_listen(), client = pair_gated(), server;
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLOUT | EPOLLET};

	(void)state;
	assert_return_code(epoll_ctl(epfd, EPOLL_CTL_ADD, client, &e), 0);
	(void)pair_epoll(epfd);
	server = pair_connect(client, listener);
	(void)pair_epoll(epfd);
	pair_set_sndbuf(client, 212992);
	assert_int_equal(pair_epoll(epfd), EPOLLOUT);
	close(epfd);
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_nothing_in_band_after_the_answer(void **state)
{
	struct gate g;
	int n = -1;

	(void)state;
	gate_open(&g, EPOLLOUT);
	close(g.passed);
	pair_read_pad(g.server);
	assert_return_code(ioctl(g.client, FIONREAD, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(write(g.client, "x", 1), 1);
	assert_return_code(ioctl(g.server, FIONREAD, &n), 0);
	assert_int_equal(n, 1);
	gate_close(&g);
}

/* The same holds for messages (route netlink, nlreq.h): one of NETLINK_PADDED bytes shuts the gate,
 * peeking at it does not open it, taking a single byte of it away does, the rest of it is gone
 * then. A message of NETLINK_MAX bytes still fits. */
static void test_a_message_shuts_the_gate_too(void **state)
{
	enum { NETLINK_PADDED = 1088, NETLINK_MAX = 4096 };
	static char message[NETLINK_MAX];
	char byte;
	int pair[2];

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	pair_set_sndbuf(pair[0], 0);
	assert_int_equal(pair_poll(pair[0], POLLOUT), POLLOUT);
	for (int len = NETLINK_PADDED; len <= NETLINK_MAX; len += NETLINK_MAX - NETLINK_PADDED) {
		assert_int_equal(send(pair[0], message, (size_t)len, 0), len);
		assert_int_equal(pair_poll(pair[0], POLLOUT), 0);
		assert_int_equal(recv(pair[1], &byte, 1, MSG_PEEK | MSG_TRUNC), len);
		assert_int_equal(pair_poll(pair[0], POLLOUT), 0);
		/* the way back is free */
		assert_int_equal(send(pair[1], message, NETLINK_MAX, 0), NETLINK_MAX);
		assert_int_equal(recv(pair[1], &byte, 1, 0), 1);
		assert_int_equal(pair_poll(pair[0], POLLOUT), POLLOUT);
		assert_int_equal(recv(pair[1], &byte, 1, 0), -1);
		assert_int_equal(recv(pair[0], message, sizeof(message), 0), NETLINK_MAX);
	}
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unwritable_while_request_is_unread),
		cmocka_unit_test(test_still_unwritable_after_the_head_was_read),
		cmocka_unit_test(test_edge_triggered_epoll_gets_one_edge),
		cmocka_unit_test(test_no_edge_says_writable_before_the_answer),
		cmocka_unit_test(test_refusal_is_err_and_hup),
		cmocka_unit_test(test_buffer_size_can_be_restored),
		cmocka_unit_test(test_raising_the_buffer_alone_opens_the_gate),
		cmocka_unit_test(test_nothing_in_band_after_the_answer),
		cmocka_unit_test(test_a_message_shuts_the_gate_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

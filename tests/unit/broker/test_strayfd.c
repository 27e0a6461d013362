/* SPDX-License-Identifier: MIT */
/* Descriptors that strangers pass in: closed, all of them, and without waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "strayfd.h"

enum { MANY = 253 /* SCM_MAX_FD */, LINGER_S = 20 };

static void pass(int sock, const int *fds, size_t n, const char *text)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MANY * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), strlen(text));
}

/* A connection with bytes that nobody reads, whose last close waits. */
static int lingering(int *peerp)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct linger linger = {1, LINGER_S};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sin);
	static char block[65536];

	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, len), 0);
	*peerp = accept(listener, NULL, NULL);
	assert_true(*peerp >= 0);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	return fd;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_no_close_is_waited_for(void **state)
{
	int pair[2], fds[4], peers[4];
	double start;
	char buf[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 4; i++)
		fds[i] = lingering(&peers[i]);
	pass(pair[0], fds, 4, "four");
	/* of a copy only the last one waits */
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	start = seconds();
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "four", 4);
	assert_true(seconds() - start < LINGER_S / 4.0);
	for (int i = 0; i < 4; i++)
		close(peers[i]);
	close(pair[0]);
	close(pair[1]);
}

static void test_none_stays(void **state)
{
	int pair[2], pipefd[2], fds[MANY];
	char buf[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe(pipefd), 0);
	for (int i = 0; i < MANY; i++)
		fds[i] = pipefd[1];
	pass(pair[0], fds, MANY, "many");
	close(pipefd[1]);
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), 4);
	assert_int_equal(read(pipefd[0], buf, 1), 0); /* nobody holds the other end */
	close(pipefd[0]);
	close(pair[0]);
	close(pair[1]);
}

static void test_lengths(void **state)
{
	char buf[4];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(send(pair[0], "12345", 5, 0), 5);
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), -EMSGSIZE);
	assert_int_equal(send(pair[0], "1234", 4, 0), 4);
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), 4);
	close(pair[0]);
	assert_int_equal(strayfd_recv(pair[1], buf, sizeof(buf)), 0);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_close_is_waited_for),
		cmocka_unit_test(test_none_stays),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

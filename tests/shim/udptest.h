/* SPDX-License-Identifier: MIT */
/* Helpers for the tests of datagram sockets; destinations are those of dgram_fixture.h. */
#ifndef TESTS_SHIM_UDPTEST_H
#define TESTS_SHIM_UDPTEST_H

#include "shimtest.h"

#define QUIET	 "10.9.0.5"
#define EXPIRES	 "10.9.0.6"
#define NARROW	 "10.9.0.8"
#define HEAD	 "10.9.0.9"
#define WHISPERS "10.9.0.10"
#define MIXED	 "10.9.0.11"
#define NOWHERE	 "10.99.0.1"

static inline int udp(int family)
{
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(family, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static inline int udp_to(const char *text, int port)
{
	int fd = udp(strchr(text, ':') ? AF_INET6 : AF_INET);

	assert_int_equal(dial(fd, text, port), 0);
	return fd;
}

static inline ssize_t send_to(int fd, const void *data, size_t n, const char *text, int port)
{
	struct where w = at(text, port);

	return sendto(fd, data, n, 0, (struct sockaddr *)&w.ss, w.len);
}

static inline void assert_fails(ssize_t r, int err)
{
	assert_int_equal(r, -1);
	assert_int_equal(errno, err);
}

static inline void set(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

#endif

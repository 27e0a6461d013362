/* SPDX-License-Identifier: MIT */
/* Plain blocking sockets for the benchmark programs; see net.h. */
#include "net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void net_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static struct addrinfo *resolve(const char *address, const char *port, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | flags,
	};
	struct addrinfo *ai;
	int err = getaddrinfo(address, port, &hints, &ai);

	if (err) {
		fprintf(stderr, "%s port %s: %s\n", address, port, gai_strerror(err));
		exit(1);
	}
	return ai;
}

int net_listen(const char *address, const char *port)
{
	struct addrinfo *ai = resolve(address, port, AI_PASSIVE);
	int one = 1;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		net_die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		net_die("SO_REUSEADDR");
	if (bind(fd, ai->ai_addr, ai->ai_addrlen))
		net_die("bind");
	if (listen(fd, 4096))
		net_die("listen");
	freeaddrinfo(ai);
	return fd;
}

int net_connect(const char *address, const char *port)
{
	struct addrinfo *ai = resolve(address, port, 0);
	int one = 1;
	int err = 0;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
		connect(fd, ai->ai_addr, ai->ai_addrlen))
		err = errno;
	freeaddrinfo(ai);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

int net_udp(const char *address, const char *port, bool bound)
{
	enum { LOST_S = 3 };
	struct timeval lost = {.tv_sec = LOST_S};
	struct addrinfo *ai = resolve(address, port, bound ? AI_PASSIVE : 0);
	int fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		net_die("socket");
	if (bound ? bind(fd, ai->ai_addr, ai->ai_addrlen)
		  : connect(fd, ai->ai_addr, ai->ai_addrlen))
		net_die(bound ? "bind" : "connect");
	if (!bound && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof(lost)))
		net_die("SO_RCVTIMEO");
	freeaddrinfo(ai);
	return fd;
}

int net_ping(int fd)
{
	char byte = 'x';
	ssize_t n;

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return -1;
	n = recv(fd, &byte, 1, 0);
	if (n == 0)
		errno = ECONNRESET;
	return n == 1 ? 0 : -1;
}

uint64_t net_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

unsigned long net_number(const char *text, unsigned long max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || !v || v > max) {
		fprintf(stderr, "%s: not a number from 1 to %lu\n", text, max);
		exit(2);
	}
	return v;
}

/* SPDX-License-Identifier: MIT */
/* Small helpers for programs that run under the shim with broker_fixture. */
#ifndef TESTS_SHIM_SHIMTEST_H
#define TESTS_SHIM_SHIMTEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Without the shim these programs would talk to the network of the machine. Two modes that never
 * connect are exempt. */
__attribute__((constructor)) static void only_under_the_shim(int argc, char **argv)
{
	struct utsname u;

	if (argc == 2 && (strcmp(argv[1], "nothing") == 0 || strcmp(argv[1], "outside") == 0))
		return;
	if (uname(&u) != 0 || strcmp(u.nodename, "testbox") != 0) {
		fprintf(stderr, "%s: not under the shim; run it with broker_fixture\n", argv[0]);
		_exit(3);
	}
}

/* Destinations of broker_fixture. */
#define GOOD	"10.9.0.1"
#define REFUSES "10.9.0.2"
#define SLOW	"10.9.0.3"
#define DIES	"10.9.0.4"
#define HANGS	"10.9.0.5"
#define UNREACH "10.9.0.6"
#define OWN	"10.0.0.1"

enum {
	ECHO = 7,
	DISCARD = 9,
	BURST = 19,
	RESETS = 20,
	FINS = 21,
	TELLS = 22,
	CUTS = 23,
	CLOSES = 24,
	HOLDS = 25
};

struct where {
	struct sockaddr_storage ss;
	socklen_t len;
};

static inline struct where at(const char *text, int port)
{
	struct where w = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&w.ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&w.ss;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		w.len = sizeof(*in6);
	}
	return w;
}

/* connect(2): 0 or the errno. */
static inline int dial(int fd, const char *text, int port)
{
	struct where w = at(text, port);

	return connect(fd, (struct sockaddr *)&w.ss, w.len) == 0 ? 0 : errno;
}

static inline int bind_to(int fd, const char *text, int port)
{
	struct where w = at(text, port);

	return bind(fd, (struct sockaddr *)&w.ss, w.len) == 0 ? 0 : errno;
}

static inline int tcp(int family, int flags)
{
	int fd = socket(family, SOCK_STREAM | flags, 0);

	assert_true(fd >= 0);
	return fd;
}

static inline int connected(const char *text, int port)
{
	int fd = tcp(strchr(text, ':') ? AF_INET6 : AF_INET, 0);

	assert_int_equal(dial(fd, text, port), 0);
	return fd;
}

/* "addr:port" of getsockname or getpeername, or the errno's name. */
static inline const char *name_of(int fd, int peer)
{
	static char text[2][80];
	char addr[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 ss;
	socklen_t len = sizeof(ss);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		     : getsockname(fd, (struct sockaddr *)&ss, &len);

	if (r < 0)
		return strerrorname_np(errno);
	if (ss.sin6_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, addr, sizeof(addr));
	else
		inet_ntop(AF_INET6, &ss.sin6_addr, addr, sizeof(addr));
	snprintf(text[peer], sizeof(text[peer]), "%s %d", addr, ntohs(ss.sin6_port));
	return text[peer];
}

static inline int port_of(int fd)
{
	struct sockaddr_in6 ss;
	socklen_t len = sizeof(ss);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	return ntohs(ss.sin6_port);
}

/* A listening socket on any port of `text`. */
static inline int server(const char *text, int *portp)
{
	int fd = tcp(strchr(text, ':') ? AF_INET6 : AF_INET, 0);

	assert_int_equal(bind_to(fd, text, 0), 0);
	assert_int_equal(listen(fd, 16), 0);
	*portp = port_of(fd);
	return fd;
}

static inline int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	return err;
}

static inline short wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Bytes go one way and come back the other. */
static inline void assert_echo(int a, int b)
{
	char buf[8] = {0};

	assert_int_equal(send(a, "ping", 4, 0), 4);
	assert_int_equal(recv(b, buf, sizeof(buf), 0), 4);
	assert_memory_equal(buf, "ping", 4);
}

/* Exit status of a child process, or 128 + its signal. */
static inline int reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif

/* SPDX-License-Identifier: MIT */
/* What the parity programs for datagram sockets share: they print what calls answer. */
#ifndef TESTS_SHIM_PARITY_UDP_H
#define TESTS_SHIM_PARITY_UDP_H

#include <time.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BIG = 65507, WAIT_MS = 5000 };

static inline const char *result(long r)
{
	static char text[2][32];
	static int turn;

	if (r < 0)
		return strerrorname_np(errno);
	turn = !turn;
	snprintf(text[turn], sizeof(text[turn]), "%ld", r);
	return text[turn];
}

static inline void say(const char *what, long r)
{
	printf("%s: %s\n", what, result(r));
}

static inline struct sockaddr_storage addr(const char *text, int port, socklen_t *lenp)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		*lenp = sizeof(*in);
	} else {
		inet_pton(AF_INET6, text, &in6->sin6_addr);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*lenp = sizeof(*in6);
	}
	return ss;
}

static inline long do_bind(int fd, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return bind(fd, (struct sockaddr *)&ss, len);
}

static inline long do_connect(int fd, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return connect(fd, (struct sockaddr *)&ss, len);
}

static inline long send_to(int fd, const void *data, size_t n, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return sendto(fd, data, n, 0, (struct sockaddr *)&ss, len);
}

static inline const char *print_addr(const struct sockaddr_storage *ss, socklen_t len)
{
	static char text[96];
	char host[INET6_ADDRSTRLEN] = "-";
	int port = 0;

	if (len >= sizeof(struct sockaddr_in) && ss->ss_family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)ss)->sin_addr, host, sizeof(host));
		port = ((struct sockaddr_in *)ss)->sin_port;
	} else if (len >= sizeof(struct sockaddr_in6)) {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)ss)->sin6_addr, host, sizeof(host));
		port = ((struct sockaddr_in6 *)ss)->sin6_port;
	}
	snprintf(text, sizeof(text), "%s %s len %u", host, port ? "port" : "no port", len);
	return text;
}

static inline const char *where(int fd, int peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		     : getsockname(fd, (struct sockaddr *)&ss, &len);

	return r < 0 ? strerrorname_np(errno) : print_addr(&ss, len);
}

static inline int port_of(int fd)
{
	struct sockaddr_in6 ss;
	socklen_t len = sizeof(ss);

	getsockname(fd, (struct sockaddr *)&ss, &len);
	return ntohs(ss.sin6_port);
}

static inline int udp(int family)
{
	struct timeval patience = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(family, SOCK_DGRAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* A socket bound to any port of `text`. */
static inline int bound(const char *text, int *portp)
{
	int fd = udp(strchr(text, ':') ? AF_INET6 : AF_INET);

	do_bind(fd, text, 0);
	*portp = port_of(fd);
	return fd;
}

static inline int wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, WAIT_MS) > 0 ? p.revents : 0;
}

/* Everything that a connected socket has sent is where it belongs: a question to the broker is
 * answered after that. */
static inline void settle(int fd)
{
	where(fd, 1);
}

/* A port that nobody has. */
static inline int unused_port(const char *text)
{
	int port, fd = bound(text, &port);

	close(fd);
	return port;
}

static inline void print_control(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		printf("control %d %d len %zu:", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET) { /* a time */
			printf(" time\n");
			continue;
		}
		for (size_t i = 0; i < c->cmsg_len - CMSG_LEN(0); i++) {
			bool port = (c->cmsg_type == IP_ORIGDSTADDR || c->cmsg_type == 74) &&
				    (i == 2 || i == 3);

			printf(" %02x", port ? 0 : CMSG_DATA(c)[i]);
		}
		printf("\n");
	}
}

static inline void receive_control(int fd, size_t room)
{
	_Alignas(struct cmsghdr) char control[512];
	char buf[64];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};

	say("recvmsg control", recvmsg(fd, &msg, 0));
	printf("flags %x controllen %zu\n", msg.msg_flags, msg.msg_controllen);
	print_control(&msg);
}

static inline void on(int fd, int level, int name)
{
	if (setsockopt(fd, level, name, &(int){1}, sizeof(int)) < 0)
		printf("option %d %d: %s\n", level, name, strerrorname_np(errno));
}

static inline void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	syscall(SYS_capset, &header, data);
}

#endif

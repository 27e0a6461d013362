/* SPDX-License-Identifier: MIT */
/* Prints what datagram socket calls answer on loopback, one line each, without anything that varies
 * by chance: once on the kernel's UDP and ICMP sockets in a fresh network namespace, once under the
 * shim; the output must be the same (parity.sh). Runs without capabilities. */
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

static char big[BIG + 100];

static const char *result(long r)
{
	static char text[2][32];
	static int turn;

	if (r < 0)
		return strerrorname_np(errno);
	turn = !turn;
	snprintf(text[turn], sizeof(text[turn]), "%ld", r);
	return text[turn];
}

static void say(const char *what, long r)
{
	printf("%s: %s\n", what, result(r));
}

static struct sockaddr_storage addr(const char *text, int port, socklen_t *lenp)
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

static long do_bind(int fd, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return bind(fd, (struct sockaddr *)&ss, len);
}

static long do_connect(int fd, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return connect(fd, (struct sockaddr *)&ss, len);
}

static long send_to(int fd, const void *data, size_t n, const char *text, int port)
{
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	return sendto(fd, data, n, 0, (struct sockaddr *)&ss, len);
}

static const char *print_addr(const struct sockaddr_storage *ss, socklen_t len)
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

static const char *where(int fd, int peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		     : getsockname(fd, (struct sockaddr *)&ss, &len);

	return r < 0 ? strerrorname_np(errno) : print_addr(&ss, len);
}

static int port_of(int fd)
{
	struct sockaddr_in6 ss;
	socklen_t len = sizeof(ss);

	getsockname(fd, (struct sockaddr *)&ss, &len);
	return ntohs(ss.sin6_port);
}

static int udp(int family)
{
	struct timeval patience = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(family, SOCK_DGRAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* A socket bound to any port of `text`. */
static int bound(const char *text, int *portp)
{
	int fd = udp(strchr(text, ':') ? AF_INET6 : AF_INET);

	do_bind(fd, text, 0);
	*portp = port_of(fd);
	return fd;
}

static int wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, WAIT_MS) > 0 ? p.revents : 0;
}

/* Everything that a connected socket has sent is where it belongs: a question to the broker is
 * answered after that. */
static void settle(int fd)
{
	where(fd, 1);
}

/* A port that nobody has. */
static int unused_port(const char *text)
{
	int port, fd = bound(text, &port);

	close(fd);
	return port;
}

static void addresses(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr unspec = {.sa_family = AF_UNSPEC}, unix_addr = {.sa_family = AF_UNIX};
	int fd = udp(AF_INET), fd6 = udp(AF_INET6), port, other = bound("127.0.0.1", &port);

	printf("fresh: %s\n", where(fd, 0));
	printf("fresh peer: %s\n", where(fd, 1));
	printf("fresh6: %s\n", where(fd6, 0));
	say("listen", listen(fd, 1));
	say("accept", accept(fd, NULL, NULL));
	say("bind short", bind(fd, (struct sockaddr *)&in, 8));
	say("bind fault", bind(fd, (struct sockaddr *)8, sizeof(in)));
	say("bind unix", bind(fd, &unix_addr, sizeof(unix_addr)));
	say("bind six", bind(fd, (struct sockaddr *)&six, sizeof(six)));
	say("bind foreign", do_bind(fd, "192.0.2.1", 0));
	say("bind used", do_bind(fd, "127.0.0.1", port));
	say("bind used any", do_bind(fd, "0.0.0.0", port));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	say("bind used reuse", do_bind(fd, "127.0.0.1", port));
	say("bind", do_bind(fd, "127.0.0.2", 0));
	printf("bound: %s\n", where(fd, 0));
	say("bind again", do_bind(fd, "127.0.0.1", 0));
	say("connect short", connect(fd, (struct sockaddr *)&in, 1));
	say("connect shorter", connect(fd, (struct sockaddr *)&in, 8));
	say("connect fault", connect(fd, (struct sockaddr *)8, sizeof(in)));
	say("connect unix", connect(fd, &unix_addr, sizeof(unix_addr)));
	say("connect six", connect(fd, (struct sockaddr *)&six, sizeof(six)));
	say("connect unspec fresh", connect(fd, &unspec, sizeof(unspec)));
	say("connect broadcast", do_connect(fd, "255.255.255.255", 9));
	say("connect", do_connect(fd, "127.0.0.1", port));
	printf("connected: %s\n", where(fd, 0));
	printf("connected peer: %s\n", where(fd, 1));
	say("connect again", do_connect(fd, "127.0.0.3", 9));
	printf("connected again peer: %s\n", where(fd, 1));
	say("connect unspec", connect(fd, &unspec, sizeof(unspec)));
	printf("dissolved: %s\n", where(fd, 0));
	printf("dissolved peer: %s\n", where(fd, 1));
	close(fd);
	fd = udp(AF_INET);
	say("connect fresh", do_connect(fd, "127.0.0.1", port));
	printf("chosen: %s\n", where(fd, 0));
	say("connect unspec chosen", connect(fd, &unspec, sizeof(unspec)));
	printf("given back: %s\n", where(fd, 0));
	say("bind after", do_bind(fd, "127.0.0.1", 0));
	say("connect zero port", do_connect(fd, "127.0.0.1", 0));
	printf("zero port peer: %s\n", where(fd, 1));
	say("connect any", do_connect(fd, "0.0.0.0", port));
	printf("any peer: %s\n", where(fd, 1));
	say("connect6 mapped", do_connect(fd6, "::ffff:127.0.0.1", port));
	printf("mapped: %s\n", where(fd6, 0));
	printf("mapped peer: %s\n", where(fd6, 1));
	say("connect6 four", do_connect(fd6, "127.0.0.1", port));
	printf("four peer: %s\n", where(fd6, 1));
	close(fd6);
	fd6 = udp(AF_INET6);
	say("v6only", setsockopt(fd6, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)));
	say("bind6 mapped v6only", do_bind(fd6, "::ffff:127.0.0.1", 0));
	say("connect6 mapped v6only", do_connect(fd6, "::ffff:127.0.0.1", port));
	say("connect6 four v6only", do_connect(fd6, "127.0.0.1", port));
	say("sendto6 mapped v6only", send_to(fd6, "x", 1, "::ffff:127.0.0.1", port));
	say("sendto6 four v6only", send_to(fd6, "x", 1, "127.0.0.1", port));
	say("connect6 link local", do_connect(fd6, "fe80::1", 9));
	say("connect6 short", connect(fd6, (struct sockaddr *)&six, 20));
	close(fd6);
	fd6 = udp(AF_INET6);
	say("bind6", do_bind(fd6, "::", 0));
	printf("bound6: %s\n", where(fd6, 0));
	say("v6only after bind", setsockopt(fd6, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, 4));
	close(fd);
	close(fd6);
	close(other);
}

static void sending(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr unix_addr = {.sa_family = AF_UNIX};
	struct iovec iov[3] = {{"ab", 2}, {NULL, 0}, {"cd", 2}}, none = {NULL, 0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
	int port, to = bound("127.0.0.1", &port), fd = udp(AF_INET), fd6 = udp(AF_INET6);
	char buf[64];

	in.sin_port = htons((uint16_t)port);
	say("send fresh", send(fd, "x", 1, 0));
	say("write fresh", write(fd, "x", 1));
	say("send fresh6", send(fd6, "x", 1, 0));
	say("sendto null", sendto(fd, "x", 1, 0, NULL, 16));
	say("sendto short", sendto(fd, "x", 1, 0, (struct sockaddr *)&in, 8));
	say("sendto long", sendto(fd, "x", 1, 0, (struct sockaddr *)&in, 4096));
	say("sendto fault", sendto(fd, "x", 1, 0, (struct sockaddr *)8, sizeof(in)));
	say("sendto unix", sendto(fd, "x", 1, 0, &unix_addr, sizeof(unix_addr)));
	say("sendto six", sendto(fd, "x", 1, 0, (struct sockaddr *)&six, sizeof(six)));
	say("sendto zero port", send_to(fd, "x", 1, "127.0.0.1", 0));
	say("sendto6 unix", sendto(fd6, "x", 1, 0, &unix_addr, sizeof(unix_addr)));
	say("sendto6 short", sendto(fd6, "x", 1, 0, (struct sockaddr *)&six, 12));
	say("sendto data fault", sendto(fd, (void *)8, 4, 0, (struct sockaddr *)&in, sizeof(in)));
	say("sendto oob", sendto(fd, "x", 1, MSG_OOB, (struct sockaddr *)&in, sizeof(in)));
	say("sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)&in, sizeof(in)));
	printf("bound by it: %s\n", where(fd, 0));
	say("bind after send", do_bind(fd, "127.0.0.1", 0));
	in.sin_family = AF_UNSPEC;
	say("sendto unspec", sendto(fd, "xy", 2, 0, (struct sockaddr *)&in, sizeof(in)));
	in.sin_family = AF_INET;
	say("sendto fast open", sendto(fd, "open!", 5, MSG_FASTOPEN, (struct sockaddr *)&in, 16));
	say("sendto6 unspec",
		sendto(fd6, "x", 1, 0, &(struct sockaddr){.sa_family = AF_UNSPEC}, 16));
	say("sendto6 four", sendto(fd6, "xyz", 3, 0, (struct sockaddr *)&in, sizeof(in)));
	say("sendto6 mapped", send_to(fd6, "wxyz", 4, "::ffff:127.0.0.1", port));
	for (int i = 0; i < 3; i++)
		say("arrived", recv(to, buf, sizeof(buf), 0));
	for (int i = 0; i < 2; i++)
		say("arrived", recv(to, buf, sizeof(buf), 0));
	say("sendto too big", sendto(fd, big, BIG + 1, 0, (struct sockaddr *)&in, sizeof(in)));
	say("sendto 66000", sendto(fd, big, 65536, 0, (struct sockaddr *)&in, sizeof(in)));
	say("sendto biggest", sendto(fd, big, BIG, 0, (struct sockaddr *)&in, sizeof(in)));
	say("recv biggest", recv(to, big, sizeof(big), 0));
	do_connect(fd, "127.0.0.1", port);
	say("send", send(fd, "abc", 3, 0));
	say("send nothing", send(fd, NULL, 0, 0));
	say("write nothing", write(fd, "", 0));
	say("writev nothing", writev(fd, &none, 1));
	say("writev", writev(fd, iov, 3));
	say("writev negative", writev(fd, iov, -1));
	say("writev fault", writev(fd, (struct iovec *)8, 1));
	say("pwritev2", pwritev2(fd, iov, 1, -1, 0));
	say("sendmsg", sendmsg(fd, &msg, 0));
	say("sendmsg fault", sendmsg(fd, (struct msghdr *)8, 0));
	msg.msg_iov = (struct iovec *)8;
	say("sendmsg iov fault", sendmsg(fd, &msg, 0));
	msg.msg_iovlen = 1025;
	say("sendmsg many", sendmsg(fd, &msg, 0));
	for (int i = 0; i < 6; i++)
		say("received", recv(to, buf, sizeof(buf), 0));
	say("sendto elsewhere", send_to(fd, "q", 1, "127.0.0.1", port_of(to)));
	say("recv it", recv(to, buf, sizeof(buf), 0));
	say("shutdown fresh", shutdown(fd6, SHUT_WR));
	say("send6 after", send_to(fd6, "x", 1, "::1", 9));
	say("shutdown bad", shutdown(fd, 9));
	say("shutdown write", shutdown(fd, SHUT_WR));
	say("send after", send(fd, "x", 1, 0));
	say("shutdown read", shutdown(fd, SHUT_RD));
	say("recv after", recv(fd, buf, 1, 0));
	close(to);
	close(fd);
	close(fd6);
}

static void receiving(void)
{
	int port, to = bound("127.0.0.1", &port), from = udp(AF_INET);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char a[4], b[8], buf[32];
	struct iovec iov[2] = {{a, 4}, {b, 8}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int n = 77;

	do_bind(from, "127.0.0.1", 0);
	do_connect(from, "127.0.0.1", port);
	say("recv dontwait", recv(to, buf, sizeof(buf), MSG_DONTWAIT));
	say("recv errqueue", recv(to, buf, sizeof(buf), MSG_ERRQUEUE));
	say("read nothing", read(to, buf, 0));
	say("fionread", ioctl(to, FIONREAD, &n));
	printf("next %d\n", n);
	send(from, "0123456789", 10, 0);
	send(from, "abc", 3, 0);
	wait_for(to, POLLIN);
	say("fionread", ioctl(to, FIONREAD, &n));
	printf("next %d\n", n);
	say("peek", recv(to, buf, 4, MSG_PEEK));
	say("peek trunc", recv(to, buf, 4, MSG_PEEK | MSG_TRUNC));
	say("recv trunc", recv(to, buf, 4, MSG_TRUNC));
	say("recvfrom", recvfrom(to, buf, 2, 0, (struct sockaddr *)&ss, &len));
	printf("%.2s from %s\n", buf, print_addr(&ss, len));
	send(from, "0123456789ABCDEF", 16, 0);
	memset(&ss, 0x55, sizeof(ss));
	len = 4;
	say("recvfrom short", recvfrom(to, buf, 32, 0, (struct sockaddr *)&ss, &len));
	printf("len %u untouched %d\n", len, ((unsigned char *)&ss)[4] == 0x55);
	send(from, "0123456789ABCDEF", 16, 0);
	len = (socklen_t)-1;
	say("recvfrom negative", recvfrom(to, buf, 32, MSG_PEEK, (struct sockaddr *)&ss, &len));
	say("recvfrom len fault",
		recvfrom(to, buf, 32, MSG_PEEK, (struct sockaddr *)&ss, (void *)8));
	len = sizeof(ss);
	say("recvfrom fault", recvfrom(to, buf, 32, MSG_PEEK, (struct sockaddr *)8, &len));
	memset(&ss, 0x55, sizeof(ss));
	msg.msg_name = &ss;
	msg.msg_namelen = sizeof(ss);
	msg.msg_control = buf;
	msg.msg_controllen = sizeof(buf);
	say("recvmsg", recvmsg(to, &msg, 0));
	printf("%.4s %.8s flags %x control %zu from %s\n", a, b, msg.msg_flags, msg.msg_controllen,
		print_addr(&ss, msg.msg_namelen));
	printf("untouched %d\n", ((unsigned char *)&ss)[msg.msg_namelen] == 0x55);
	send(from, "", 0, 0);
	say("recv empty", recv(to, buf, sizeof(buf), 0));
	send(from, "xyz", 3, 0);
	say("recv zero", recv(to, buf, 0, 0));
	send(from, "01234", 5, 0);
	say("readv", readv(to, iov, 2));
	send(from, "01234", 5, 0);
	say("preadv2", preadv2(to, iov, 1, -1, 0));
	say("recv fault", send(from, "01", 2, 0));
	say("recv fault", recv(to, (void *)8, 4, 0));
	say("recvmsg fault", recvmsg(to, (struct msghdr *)8, 0));
	say("sendfile", sendfile(from, 0, NULL, 4) < 0 ? 0 : 1);
	close(from);
	close(to);
}

static void batches(void)
{
	enum { N = 40 };
	static char in[N][8], out[N][8];
	static struct iovec iov[N], oiov[N];
	static struct mmsghdr rx[N], tx[N];
	static struct sockaddr_in names[N];
	int port, to = bound("127.0.0.1", &port), from = udp(AF_INET), r;
	struct timespec ts = {.tv_nsec = 1};
	unsigned order = 0;

	for (int i = 0; i < N; i++) {
		snprintf(out[i], sizeof(out[i]), "m%d", i);
		oiov[i] = (struct iovec){out[i], strlen(out[i])};
		iov[i] = (struct iovec){in[i], 2};
		tx[i].msg_hdr = (struct msghdr){.msg_iov = &oiov[i], .msg_iovlen = 1};
		rx[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_name = &names[i],
			.msg_namelen = sizeof(names[i])};
	}
	say("sendmmsg unconnected", sendmmsg(from, tx, N, 0));
	do_connect(from, "127.0.0.1", port);
	say("sendmmsg none", sendmmsg(from, tx, 0, 0));
	say("sendmmsg", sendmmsg(from, tx, N, 0));
	printf("lengths %u %u\n", tx[0].msg_len, tx[N - 1].msg_len);
	r = recvmmsg(to, rx, N, 0, NULL);
	say("recvmmsg", r);
	for (int i = 0; i < r; i++)
		order += memcmp(in[i], out[i], 2) == 0 && rx[i].msg_hdr.msg_namelen == 16 &&
			 rx[i].msg_len == 2 &&
			 (rx[i].msg_hdr.msg_flags == (i < 10 ? 0 : MSG_TRUNC));
	printf("in order %u\n", order);
	say("recvmmsg dontwait", recvmmsg(to, rx, N, MSG_DONTWAIT, NULL));
	sendmmsg(from, tx, 3, 0);
	settle(from);
	say("recvmmsg waitforone", recvmmsg(to, rx, N, MSG_WAITFORONE, NULL));
	sendmmsg(from, tx, 3, 0);
	settle(from);
	say("recvmmsg timeout", recvmmsg(to, rx, N, 0, &ts));
	say("recvmmsg peek", recvmmsg(to, rx, 1, MSG_PEEK | MSG_DONTWAIT, NULL));
	say("recvmmsg bad time", recvmmsg(to, rx, N, MSG_DONTWAIT, &(struct timespec){0, -1}));
	say("rest", recvmmsg(to, rx, N, MSG_DONTWAIT, NULL));
	tx[1].msg_hdr.msg_iov = (struct iovec *)8;
	say("sendmmsg fault", sendmmsg(from, tx, 3, 0));
	settle(from);
	say("recvmmsg one", recvmmsg(to, rx, 1, 0, NULL));
	close(to);
	close(from);
}

static void print_control(struct msghdr *msg)
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

static void receive_control(int fd, size_t room)
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

static long send_control(
	int fd, int level, int type, const void *data, size_t n, const char *text, int port)
{
	_Alignas(struct cmsghdr) char control[128] = {0};
	struct iovec iov = {"control", 7};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	socklen_t len;
	struct sockaddr_storage ss = addr(text, port, &len);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	msg.msg_name = &ss;
	msg.msg_namelen = len;
	return sendmsg(fd, &msg, 0);
}

static void on(int fd, int level, int name)
{
	if (setsockopt(fd, level, name, &(int){1}, sizeof(int)) < 0)
		printf("option %d %d: %s\n", level, name, strerrorname_np(errno));
}

static void control(void)
{
	struct in_pktinfo info = {0};
	struct in6_pktinfo info6 = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT};
	int port, port6, to = bound("127.0.0.1", &port), to6 = bound("::", &port6);
	int fd = udp(AF_INET), fd6 = udp(AF_INET6);

	on(to, IPPROTO_IP, IP_PKTINFO);
	on(to, IPPROTO_IP, IP_RECVTTL);
	on(to, IPPROTO_IP, IP_RECVTOS);
	on(to, IPPROTO_IP, IP_RECVORIGDSTADDR);
	on(to, SOL_SOCKET, SO_TIMESTAMP);
	send_to(fd, "x", 1, "127.0.0.1", port);
	receive_control(to, 512);
	for (size_t room = 0; room < 90; room += 7) {
		send_to(fd, "x", 1, "127.0.0.1", port);
		receive_control(to, room);
	}
	inet_pton(AF_INET, "127.0.0.5", &info.ipi_spec_dst);
	say("pktinfo",
		send_control(fd, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info), "127.0.0.1", port));
	receive_control(to, 512);
	say("ttl", send_control(fd, IPPROTO_IP, IP_TTL, &(int){33}, 4, "127.0.0.1", port));
	receive_control(to, 512);
	say("tos", send_control(fd, IPPROTO_IP, IP_TOS, &(int){0x28}, 4, "127.0.0.1", port));
	receive_control(to, 512);
	say("tos byte", send_control(fd, IPPROTO_IP, IP_TOS, &(char){0x48}, 1, "127.0.0.1", port));
	receive_control(to, 512);
	say("ttl 0", send_control(fd, IPPROTO_IP, IP_TTL, &(int){0}, 4, "127.0.0.1", port));
	say("ttl 256", send_control(fd, IPPROTO_IP, IP_TTL, &(int){256}, 4, "127.0.0.1", port));
	say("ttl short", send_control(fd, IPPROTO_IP, IP_TTL, &(int){3}, 2, "127.0.0.1", port));
	say("tos 256", send_control(fd, IPPROTO_IP, IP_TOS, &(int){256}, 4, "127.0.0.1", port));
	say("unknown", send_control(fd, IPPROTO_IP, 99, &(int){1}, 4, "127.0.0.1", port));
	say("unknown level", send_control(fd, 99, 99, &(int){1}, 4, "127.0.0.1", port));
	receive_control(to, 512);
	say("ip6 on ip",
		send_control(fd, IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){1}, 4, "127.0.0.1", port));
	receive_control(to, 512);
	setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){44}, sizeof(int));
	setsockopt(fd, IPPROTO_IP, IP_TOS, &(int){0x10}, sizeof(int));
	send_to(fd, "x", 1, "127.0.0.1", port);
	receive_control(to, 512);
	on(to6, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	on(to6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
	on(to6, IPPROTO_IPV6, IPV6_RECVTCLASS);
	on(to6, IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */);
	say("six", send_to(fd6, "x", 1, "::1", port6));
	receive_control(to6, 512);
	say("mapped", send_to(fd6, "x", 1, "::ffff:127.0.0.1", port6));
	receive_control(to6, 512);
	say("pktinfo6",
		send_control(fd6, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6), "::1", port6));
	receive_control(to6, 512);
	say("hops", send_control(fd6, IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){9}, 4, "::1", port6));
	receive_control(to6, 512);
	say("class", send_control(fd6, IPPROTO_IPV6, IPV6_TCLASS, &(int){0x20}, 4, "::1", port6));
	receive_control(to6, 512);
	say("hops 256", send_control(fd6, IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){256}, 4, "::1", 9));
	say("class 256", send_control(fd6, IPPROTO_IPV6, IPV6_TCLASS, &(int){256}, 4, "::1", 9));
	inet_pton(AF_INET6, "2001:db8::77", &info6.ipi6_addr);
	say("pktinfo6 foreign",
		send_control(fd6, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6), "::1", port6));
	setsockopt(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &(int){12}, sizeof(int));
	setsockopt(fd6, IPPROTO_IPV6, IPV6_TCLASS, &(int){0x30}, sizeof(int));
	send_to(fd6, "x", 1, "::1", port6);
	receive_control(to6, 512);
	close(to);
	close(to6);
	close(fd);
	close(fd6);
}

static void print_error(int fd)
{
	_Alignas(struct cmsghdr) char room[512];
	char buf[64];
	struct sockaddr_storage ss;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_name = &ss,
		.msg_namelen = sizeof(ss),
		.msg_control = room,
		.msg_controllen = sizeof(room)};

	long r = recvmsg(fd, &msg, MSG_ERRQUEUE);

	say("errqueue", r);
	if (r < 0)
		return;
	printf("flags %x name %s\n", msg.msg_flags, print_addr(&ss, msg.msg_namelen));
	print_control(&msg);
}

static void error_of(int fd, const char *what)
{
	int err = -1;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof(err)});
	printf("%s: SO_ERROR %s\n", what, strerrorname_np(err));
}

static void errors(const char *text)
{
	bool v6 = strchr(text, ':');
	int closed = unused_port(text), fd = udp(v6 ? AF_INET6 : AF_INET), port;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, other;
	char buf[16];

	/* without a peer nothing is told */
	say("sendto closed", send_to(fd, "x", 1, text, closed));
	printf("events %x\n", (unsigned)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100));
	do_connect(fd, text, closed);
	say("send closed", send(fd, "x", 1, 0));
	say("recv told", recv(fd, buf, sizeof(buf), 0));
	say("recv then", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	send(fd, "x", 1, 0);
	wait_for(fd, POLLIN);
	say("send told", send(fd, "x", 1, 0));
	say("send then", send(fd, "x", 1, 0));
	wait_for(fd, POLLIN);
	error_of(fd, "closed");
	error_of(fd, "closed again");
	/* an error queue */
	say("recverr", setsockopt(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, &(int){1}, 4));
	send(fd, "first", 5, 0);
	printf("events %x\n", wait_for(fd, POLLIN));
	say("recv told", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	printf("events %x\n", wait_for(fd, POLLIN));
	print_error(fd);
	say("errqueue empty", recv(fd, buf, sizeof(buf), MSG_ERRQUEUE));
	printf("events %d\n", poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0));
	send(fd, "second", 6, 0);
	wait_for(fd, POLLIN);
	print_error(fd);
	say("recv after queue", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	error_of(fd, "after queue");
	close(fd);
	/* also without a peer */
	fd = udp(v6 ? AF_INET6 : AF_INET);
	setsockopt(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, &(int){1}, 4);
	other = bound(text, &port);
	send_to(fd, "third", 5, text, closed);
	printf("events %x\n", wait_for(fd, POLLIN));
	error_of(fd, "unconnected");
	print_error(fd);
	close(other);
	close(fd);
}

static void echo(int family, const char *text)
{
	int fd = socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	unsigned char request[24] = {
		family == AF_INET ? 8 : 128, 0, 0, 0, 9, 9, 0, 1, 'p', 'i', 'n', 'g'};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	unsigned char buf[64];
	int type = 0, protocol = 0;

	say("echo socket", fd >= 0 ? 0 : -1);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){4});
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &(socklen_t){4});
	printf("type %d protocol %d\n", type, protocol);
	printf("fresh: %s\n", where(fd, 0));
	say("send fresh", send(fd, request, sizeof(request), 0));
	say("short", send_to(fd, request, 7, text, 0));
	request[0]++;
	say("reply", send_to(fd, request, sizeof(request), text, 0));
	request[0]--;
	request[1] = 1;
	say("code", send_to(fd, request, sizeof(request), text, 0));
	request[1] = 0;
	say("family",
		send_to(fd, request, sizeof(request), family == AF_INET ? "::1" : "127.0.0.1", 0));
	say("sendto", send_to(fd, request, sizeof(request), text, 0));
	printf("bound: %s\n", where(fd, 0));
	say("recvfrom", recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len));
	printf("%02x %02x seq %u id %d payload %.4s from %s\n", buf[0], buf[1], buf[7],
		(buf[4] << 8 | buf[5]) == port_of(fd), buf + 8, print_addr(&ss, len));
	say("connect", do_connect(fd, text, 0));
	printf("connected: %s\n", where(fd, 0));
	printf("peer: %s\n", where(fd, 1));
	on(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT);
	say("send", send(fd, request, sizeof(request), 0));
	receive_control(fd, 512);
	close(fd);
}

static void groups(void)
{
	struct ip_mreqn mreq = {.imr_ifindex = 1};
	struct ipv6_mreq mreq6 = {.ipv6mr_interface = 1};
	struct group_req req = {.gr_interface = 1};
	int fd = udp(AF_INET), fd6 = udp(AF_INET6), port, from = udp(AF_INET);
	socklen_t len = sizeof(mreq);
	char buf[16];

	say("join unicast", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
	inet_pton(AF_INET, "224.9.9.9", &mreq.imr_multiaddr);
	say("join short", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, 4));
	say("drop unjoined", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
	say("join", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
	say("join twice", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
	mreq.imr_ifindex = 999;
	say("join nowhere", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
	mreq.imr_ifindex = 1;
	do_bind(fd, "0.0.0.0", 0);
	port = port_of(fd);
	say("interface", setsockopt(from, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof(mreq)));
	say("get interface", getsockopt(from, IPPROTO_IP, IP_MULTICAST_IF, &mreq, &len));
	printf("len %u\n", len);
	say("send", send_to(from, "group", 5, "224.9.9.9", port));
	say("recv", recv(fd, buf, sizeof(buf), 0));
	inet_pton(AF_INET, "224.9.9.9", &mreq.imr_multiaddr);
	say("drop", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
	say("drop again", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
	say("join6 unicast", setsockopt(fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &mreq6, 20));
	inet_pton(AF_INET6, "ff02::99", &mreq6.ipv6mr_multiaddr);
	say("join6", setsockopt(fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &mreq6, 20));
	say("join6 short", setsockopt(fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &mreq6, 19));
	say("drop6", setsockopt(fd6, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &mreq6, 20));
	say("join any family", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)));
	memcpy(&req.gr_group,
		&(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = mreq.imr_multiaddr},
		sizeof(struct sockaddr_in));
	say("join any", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)));
	say("leave any", setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &req, sizeof(req)));
	close(fd);
	close(fd6);
	close(from);
}

static void buffers(void)
{
	static const int sizes[] = {0, 1, 1000, 4608, 100000, 212992, 1 << 20, -1};
	int fd = udp(AF_INET), v;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(int); i++)
		for (int name = SO_SNDBUF;; name = SO_RCVBUF) {
			say("set buffer", setsockopt(fd, SOL_SOCKET, name, &sizes[i], sizeof(int)));
			getsockopt(fd, SOL_SOCKET, name, &v, &(socklen_t){sizeof(v)});
			printf("%d: %d\n", sizes[i], v);
			if (name == SO_RCVBUF)
				break;
		}
	close(fd);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	syscall(SYS_capset, &header, data);
}

int main(void)
{
	drop_capabilities();
	signal(SIGPIPE, SIG_DFL); /* no datagram call raises it */
	addresses();
	sending();
	receiving();
	batches();
	control();
	errors("127.0.0.1");
	errors("::1");
	echo(AF_INET, "127.0.0.1");
	echo(AF_INET6, "::1");
	groups();
	buffers();
	return 0;
}

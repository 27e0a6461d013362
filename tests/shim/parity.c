/* SPDX-License-Identifier: MIT */
/* Prints what socket calls answer, one line each, without anything that varies by chance. Run once
 * on the kernel's TCP in a fresh network namespace and once under the shim, the output must be the
 * same (parity.sh). Runs without capabilities, as an ordinary user's program would. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME(x)       \
	{             \
		x, #x \
	}

struct named {
	int value;
	const char *name;
};

static const char *result(long r)
{
	return r >= 0 ? "ok" : strerrorname_np(errno);
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

/* Address with the port only as zero or not. */
static const char *where(int fd, int peer)
{
	static char text[96];
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		     : getsockname(fd, (struct sockaddr *)&ss, &len),
	    port;

	if (r < 0)
		return strerrorname_np(errno);
	if (ss.ss_family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, host, sizeof(host));
		port = ((struct sockaddr_in *)&ss)->sin_port;
	} else {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr, host, sizeof(host));
		port = ((struct sockaddr_in6 *)&ss)->sin6_port;
	}
	snprintf(text, sizeof(text), "%s %s len %u", host, port ? "port" : "no port", len);
	return text;
}

static int port_of(int fd)
{
	struct sockaddr_in6 ss;
	socklen_t len = sizeof(ss);

	getsockname(fd, (struct sockaddr *)&ss, &len);
	return ntohs(ss.sin6_port);
}

static void sockets(void)
{
	static const int families[] = {-1, 0, AF_UNIX, AF_INET, AF_INET6, AF_PACKET, 46, 1000};
	static const int types[] = {-1, 0, 1, 2, 3, 4, 5, 6, 10, 11, 15, SOCK_STREAM | 0x10000,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC};
	static const int protocols[] = {-1, 0, 1, 6, 17, 58, 132, 255, 263, 1000};

	for (size_t f = 0; f < sizeof(families) / sizeof(int); f++)
		for (size_t t = 0; t < sizeof(types) / sizeof(int); t++)
			for (size_t p = 0; p < sizeof(protocols) / sizeof(int); p++) {
				int fd, pair[2];

				/* a module may be loaded for these on the kernel's side */
				if (protocols[p] == 132 || types[t] == 5 || types[t] == 6)
					continue;
				fd = socket(families[f], types[t], protocols[p]);
				printf("socket %d %d %d: %s\n", families[f], types[t], protocols[p],
					result(fd));
				if (fd >= 0)
					close(fd);
				if (families[f] == AF_UNIX || families[f] == AF_PACKET)
					continue;
				fd = socketpair(families[f], types[t], protocols[p], pair);
				printf("socketpair %d %d %d: %s\n", families[f], types[t],
					protocols[p], result(fd));
			}
}

static void print_option(int fd, const char *kind, int level, const struct named *o, socklen_t cap)
{
	unsigned char buf[64];
	socklen_t len = cap;
	int r;

	memset(buf, 0xee, sizeof(buf));
	r = getsockopt(fd, level, o->value, buf, &len);
	printf("%s get %s cap %d: %s", kind, o->name, (int)cap, result(r));
	if (r == 0) {
		printf(" len %u ", len);
		for (socklen_t i = 0; i < len && i < 16; i++)
			printf("%02x", buf[i]);
	}
	printf("\n");
}

static void try_option(int family, int type, const char *kind, int level, const struct named *o)
{
	static const int values[] = {0, 1, 2, 50, 127, 128, 255, 256, 40000, -1, -2};
	int fd = socket(family, type, 0);

	for (int cap = -1; cap <= 8; cap++)
		print_option(fd, kind, level, o, (socklen_t)cap);
	for (size_t i = 0; i < sizeof(values) / sizeof(int); i++) {
		int r = setsockopt(fd, level, o->value, &values[i], sizeof(int));

		printf("%s set %s %d: %s\n", kind, o->name, values[i], result(r));
		print_option(fd, kind, level, o, sizeof(int));
	}
	for (socklen_t len = 0; len < 4; len++) {
		int r = setsockopt(fd, level, o->value, &(int){1}, len);

		printf("%s set %s len %u: %s\n", kind, o->name, len, result(r));
	}
	printf("%s set %s fault: %s\n", kind, o->name,
		result(setsockopt(fd, level, o->value, (void *)8, sizeof(int))));
	printf("%s get %s fault: %s\n", kind, o->name,
		result(getsockopt(fd, level, o->value, (void *)8, &(socklen_t){4})));
	printf("%s get %s len fault: %s\n", kind, o->name,
		result(getsockopt(fd, level, o->value, &(int){0}, (void *)8)));
	close(fd);
}

static const struct named socket_options[] = {NAME(SO_TYPE), NAME(SO_DOMAIN), NAME(SO_PROTOCOL),
	NAME(SO_ERROR), NAME(SO_ACCEPTCONN), NAME(SO_REUSEADDR), NAME(SO_REUSEPORT),
	NAME(SO_KEEPALIVE), NAME(SO_OOBINLINE), NAME(SO_PEERCRED), NAME(SO_BINDTOIFINDEX),
	{9999, "unknown"}};

static const struct named tcp_options[] = {NAME(TCP_NODELAY), NAME(TCP_MAXSEG), NAME(TCP_CORK),
	NAME(TCP_KEEPIDLE), NAME(TCP_KEEPINTVL), NAME(TCP_KEEPCNT), NAME(TCP_SYNCNT),
	NAME(TCP_LINGER2), NAME(TCP_DEFER_ACCEPT), NAME(TCP_QUICKACK), NAME(TCP_USER_TIMEOUT),
	NAME(TCP_THIN_LINEAR_TIMEOUTS), NAME(TCP_THIN_DUPACK), NAME(TCP_SAVE_SYN), NAME(TCP_INQ),
	NAME(TCP_FASTOPEN_CONNECT), NAME(TCP_REPAIR), {9999, "unknown"}};

static const struct named ip_options[] = {NAME(IP_TOS), NAME(IP_TTL), NAME(IP_RECVERR),
	NAME(IP_FREEBIND), NAME(IP_TRANSPARENT), NAME(IP_MTU), NAME(IP_MTU_DISCOVER),
	NAME(IP_PKTINFO), NAME(IP_RECVTTL), NAME(IP_RECVTOS), NAME(IP_MINTTL),
	NAME(IP_BIND_ADDRESS_NO_PORT), {9999, "unknown"}};

static const struct named ip6_options[] = {NAME(IPV6_V6ONLY), NAME(IPV6_UNICAST_HOPS),
	NAME(IPV6_TCLASS), NAME(IPV6_RECVPKTINFO), NAME(IPV6_RECVHOPLIMIT), NAME(IPV6_RECVTCLASS),
	NAME(IPV6_RECVERR), NAME(IPV6_MTU_DISCOVER), NAME(IPV6_MTU), {9999, "unknown"}};

static const struct named udp_ip_options[] = {NAME(IP_RECVORIGDSTADDR), NAME(IP_RECVOPTS),
	NAME(IP_RETOPTS), NAME(IP_MULTICAST_TTL), NAME(IP_MULTICAST_LOOP), NAME(IP_MULTICAST_ALL),
	NAME(IP_UNICAST_IF), NAME(IP_RECVFRAGSIZE)};

static const struct named udp_ip6_options[] = {NAME(IPV6_MULTICAST_HOPS), NAME(IPV6_MULTICAST_LOOP),
	NAME(IPV6_UNICAST_IF), NAME(IPV6_RECVORIGDSTADDR), NAME(IPV6_DONTFRAG),
	NAME(IPV6_RECVPATHMTU)};

static const struct named udp_options[] = {NAME(UDP_SEGMENT), NAME(UDP_GRO), {9999, "unknown"}};

#define TRY(family, type, kind, level, list)                                    \
	for (size_t try_i = 0; try_i < sizeof(list) / sizeof(*(list)); try_i++) \
	try_option(family, type, kind, level, &(list)[try_i])

static void options(void)
{
	TRY(AF_INET, SOCK_STREAM, "tcp4 socket", SOL_SOCKET, socket_options);
	TRY(AF_INET6, SOCK_STREAM, "tcp6 socket", SOL_SOCKET, socket_options);
	TRY(AF_INET, SOCK_DGRAM, "udp4 socket", SOL_SOCKET, socket_options);
	TRY(AF_INET, SOCK_STREAM, "tcp4 tcp", IPPROTO_TCP, tcp_options);
	TRY(AF_INET, SOCK_STREAM, "tcp4 ip", IPPROTO_IP, ip_options);
	TRY(AF_INET6, SOCK_STREAM, "tcp6 ip", IPPROTO_IP, ip_options);
	TRY(AF_INET6, SOCK_STREAM, "tcp6 ip6", IPPROTO_IPV6, ip6_options);
	TRY(AF_INET, SOCK_STREAM, "tcp4 ip6", IPPROTO_IPV6, ip6_options);
	TRY(AF_INET, SOCK_DGRAM, "udp4 ip", IPPROTO_IP, ip_options);
	TRY(AF_INET6, SOCK_DGRAM, "udp6 socket", SOL_SOCKET, socket_options);
	TRY(AF_INET6, SOCK_DGRAM, "udp6 ip", IPPROTO_IP, ip_options);
	TRY(AF_INET6, SOCK_DGRAM, "udp6 ip6", IPPROTO_IPV6, ip6_options);
	TRY(AF_INET, SOCK_DGRAM, "udp4 ip", IPPROTO_IP, udp_ip_options);
	TRY(AF_INET6, SOCK_DGRAM, "udp6 ip6", IPPROTO_IPV6, udp_ip6_options);
	TRY(AF_INET, SOCK_DGRAM, "udp4 udp", IPPROTO_UDP, udp_options);
	TRY(AF_INET, SOCK_STREAM, "tcp4 udp", IPPROTO_UDP, udp_options);
	TRY(AF_INET, SOCK_DGRAM, "udp4 tcp", IPPROTO_TCP, udp_options);
}

static void addresses(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd6 = socket(AF_INET6, SOCK_STREAM, 0), s;
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr unspec = {.sa_family = AF_UNSPEC}, unix_addr = {.sa_family = AF_UNIX};

	printf("fresh: %s\n", where(fd, 0));
	printf("fresh peer: %s\n", where(fd, 1));
	printf("fresh6: %s\n", where(fd6, 0));
	say("bind short", bind(fd, (struct sockaddr *)&in, 8));
	say("bind long", bind(fd, (struct sockaddr *)&in, 4096));
	say("bind negative", bind(fd, (struct sockaddr *)&in, (socklen_t)-1));
	say("bind null", bind(fd, NULL, sizeof(in)));
	say("bind fault", bind(fd, (struct sockaddr *)8, sizeof(in)));
	say("bind unix family", bind(fd, &unix_addr, sizeof(unix_addr)));
	say("bind six", bind(fd, (struct sockaddr *)&six, sizeof(six)));
	say("bind four to six", bind(fd6, (struct sockaddr *)&in, sizeof(in)));
	say("bind foreign", do_bind(fd, "192.0.2.1", 0));
	say("bind bad fd", bind(-1, (struct sockaddr *)&in, sizeof(in)));
	say("bind unspec", bind(fd, &unspec, sizeof(unspec)));
	printf("bound: %s\n", where(fd, 0));
	say("bind again", do_bind(fd, "127.0.0.1", 0));
	say("bind mapped", do_bind(fd6, "::ffff:127.0.0.1", 0));
	printf("bound mapped: %s\n", where(fd6, 0));
	say("v6only after bind", setsockopt(fd6, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4));
	close(fd6);
	fd6 = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(fd6, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4);
	say("bind mapped v6only", do_bind(fd6, "::ffff:127.0.0.1", 0));
	say("connect mapped v6only", do_connect(fd6, "::ffff:127.0.0.1", 9));
	say("accept unlistened", accept(fd, NULL, NULL));
	say("listen", listen(fd, 5));
	say("listen twice", listen(fd, 9));
	say("connect listener", do_connect(fd, "127.0.0.1", 9));
	say("shutdown unconnected", shutdown(fd6, SHUT_WR));
	say("shutdown bad", shutdown(fd6, 7));
	s = socket(AF_INET, SOCK_STREAM, 0);
	say("bind used", do_bind(s, "127.0.0.1", port_of(fd)));
	close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	say("bind used dual", do_bind(s, "::", port_of(fd)));
	setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4);
	say("bind used v6only", do_bind(s, "::", port_of(fd)));
	close(s);
	say("listen bad", listen(-1, 1));
	say("accept file", accept(0, NULL, NULL) < 0 && errno == ENOTSOCK ? 0 : -1);
	say("connect short", connect(fd6, (struct sockaddr *)&six, 1));
	say("connect shorter", connect(fd6, (struct sockaddr *)&six, 20));
	say("connect fault", connect(fd6, (struct sockaddr *)8, sizeof(six)));
	say("connect four on six", connect(fd6, (struct sockaddr *)&in, sizeof(in)));
	say("connect multicast", do_connect(fd6, "ff02::1", 9));
	close(fd6);
	fd6 = socket(AF_INET, SOCK_STREAM, 0);
	say("connect multicast4", do_connect(fd6, "224.0.0.1", 9));
	say("connect broadcast", do_connect(fd6, "255.255.255.255", 9));
	say("connect refused", do_connect(fd6, "127.0.0.1", 9));
	say("connect refused again", do_connect(fd6, "127.0.0.1", 9));
	printf("refused peer: %s\n", where(fd6, 1));
	say("connect unspec", connect(fd6, &unspec, sizeof(unspec)));
	say("name fault", getsockname(fd6, (struct sockaddr *)8, &(socklen_t){16}));
	say("name negative", getsockname(fd6, (struct sockaddr *)&six, &(socklen_t){-1}));
	say("name len fault", getsockname(fd6, (struct sockaddr *)&six, (socklen_t *)8));
	close(fd6);
	close(fd);
}

static void transfer(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), a, p;
	struct sockaddr_in6 ss;
	socklen_t len = 3;
	char buf[16];

	say("recv fresh", recv(c, buf, 1, 0));
	say("read fresh", read(c, buf, 1));
	say("send fresh", send(c, buf, 1, MSG_NOSIGNAL));
	say("bind any", do_bind(s, "0.0.0.0", 0));
	listen(s, 5);
	p = port_of(s);
	printf("listener: %s\n", where(s, 0));
	say("connect any", do_connect(c, "0.0.0.0", p));
	printf("client: %s\n", where(c, 0));
	printf("client peer: %s\n", where(c, 1));
	say("connect again", do_connect(c, "127.0.0.1", p));
	say("bind connected", do_bind(c, "127.0.0.1", 0));
	say("listen connected", listen(c, 1));
	a = accept(s, (struct sockaddr *)&ss, &len);
	printf("accept: %s len %u\n", result(a), len);
	printf("accepted: %s\n", where(a, 0));
	printf("accepted peer: %s\n", where(a, 1));
	say("accept null len", accept(a, (struct sockaddr *)&ss, NULL));
	say("sendto with address", sendto(c, "ab", 2, 0, (struct sockaddr *)&ss, sizeof(ss)));
	len = sizeof(ss);
	say("recvfrom", recvfrom(a, buf, 2, MSG_WAITALL, (struct sockaddr *)&ss, &len));
	printf("recvfrom len %u\n", len);
	say("recv fault", send(c, (void *)8, 4, 0));
	say("recv errqueue", recv(a, buf, 1, MSG_ERRQUEUE));
	say("recv dontwait", recv(a, buf, 1, MSG_DONTWAIT));
	say("recv oob", recv(a, buf, 1, MSG_OOB));
	say("shutdown write", shutdown(c, SHUT_WR));
	say("send after shutdown", send(c, "x", 1, MSG_NOSIGNAL));
	printf("end: %zd\n", recv(a, buf, 1, 0));
	printf("back: %zd\n", send(a, "x", 1, 0));
	printf("back: %zd\n", recv(c, buf, 1, 0));
	close(a);
	printf("end: %zd\n", recv(c, buf, 1, 0));
	close(c);
	close(s);
}

static void events(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c, p;
	struct pollfd f;

	do_bind(s, "127.0.0.1", 0);
	f = (struct pollfd){.fd = s, .events = POLLIN | POLLOUT};
	poll(&f, 1, 0);
	printf("fresh events %x\n", f.revents);
	listen(s, 5);
	poll(&f, 1, 0);
	printf("listening events %x\n", f.revents);
	p = port_of(s);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("nonblocking connect", do_connect(c, "127.0.0.1", p));
	f = (struct pollfd){.fd = c, .events = POLLIN | POLLOUT};
	poll(&f, 1, 5000);
	printf("connected events %x\n", f.revents);
	say("connect told", do_connect(c, "127.0.0.1", p));
	say("connect once more", do_connect(c, "127.0.0.1", p));
	f = (struct pollfd){.fd = s, .events = POLLIN};
	poll(&f, 1, 5000);
	printf("pending events %x\n", f.revents);
	close(s);
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("nonblocking refused", do_connect(c, "127.0.0.1", p));
	f = (struct pollfd){.fd = c, .events = POLLIN | POLLOUT};
	poll(&f, 1, 5000);
	printf("refused events %x\n", f.revents);
	say("refused told", do_connect(c, "127.0.0.1", p));
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	do_connect(c, "127.0.0.1", p);
	poll(&(struct pollfd){.fd = c, .events = POLLOUT}, 1, 5000);
	say("refused read", read(c, &p, 1));
	printf("then %zd\n", read(c, &p, 1));
	close(c);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	syscall(SYS_capset, &header, data);
}

int main(void)
{
	/* descriptor 0 is a file, whatever the caller had there */
	close(0);
	if (open("/dev/null", O_RDWR) != 0)
		return 2;
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	drop_capabilities();
	sockets();
	options();
	addresses();
	transfer();
	events();
	return fflush(stdout) == 0 ? 0 : 2;
}

/* SPDX-License-Identifier: MIT */
/* Prints what datagram socket calls answer on loopback, one line each, without anything that varies
 * by chance: once on the kernel's sockets in a fresh network namespace, once under the shim; the
 * output must be the same (parity.sh). Runs without capabilities. Errors, ICMP echo, groups and
 * buffers are in parity_icmp.c. */
#include "parity_udp.h"

static char big[BIG + 100];

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

/* Sends n bytes in `parts` parts; `segment` is for the call, or negative: none is given. */
static void cut(int fd, size_t n, size_t parts, int segment)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(uint16_t))] = {0};
	static char out[BIG];
	struct iovec iov[8];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = parts};

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(i * 7 + i / 256);
	for (size_t i = 0; i < parts; i++) {
		iov[i].iov_base = out + n / parts * i;
		iov[i].iov_len = i + 1 < parts ? n / parts : n - n / parts * i;
	}
	if (segment >= 0) {
		msg.msg_control = ctl;
		msg.msg_controllen = sizeof(ctl);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(uint16_t)),
			.cmsg_level = IPPROTO_UDP,
			.cmsg_type = UDP_SEGMENT};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &(uint16_t){(uint16_t)segment}, 2);
	}
	printf("%zu bytes in %zu parts by %d: %s", n, parts, segment, result(sendmsg(fd, &msg, 0)));
}

/* Prints the sizes that arrived and a sum over all bytes in order. */
static void gather(int from, int to)
{
	static unsigned char in[BIG];
	ssize_t n, last = -1;
	unsigned long sum = 0;
	int count = 0;

	settle(from);
	while ((n = recv(to, in, sizeof(in), MSG_DONTWAIT)) >= 0) {
		if (n != last && count)
			printf(", %d of %zd", count, last);
		count = n == last ? count + 1 : 1;
		last = n;
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + in[i];
	}
	if (count)
		printf(", %d of %zd", count, last);
	printf(", sum %lx\n", sum);
}

static void segments(void)
{
	static const int tries[][3] = {{1000, 1, 100}, {1001, 1, 100}, {999, 4, 100}, {100, 1, 100},
		{99, 1, 100}, {101, 8, 100}, {6400, 3, 100}, {6400 * 2 + 1, 1, 100}, {64, 8, 1},
		{50000, 2, 1400}, {65507, 1, 1400}, {1000, 1, 0}, {0, 1, 100}, {60000, 5, 30000}};
	int port, to = bound("127.0.0.1", &port), fd = udp(AF_INET), off = 0, on = 500;

	setsockopt(to, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int));
	do_connect(fd, "127.0.0.1", port);
	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		cut(fd, (size_t)tries[i][0], (size_t)tries[i][1], tries[i][2]);
		gather(fd, to);
	}
	say("as an option", setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &on, sizeof(on)));
	cut(fd, 1800, 2, -1);
	gather(fd, to);
	cut(fd, 1800, 2, 700);
	gather(fd, to);
	cut(fd, 1800, 2, 0);
	gather(fd, to);
	say("write", write(fd, big, 1234));
	gather(fd, to);
	say("off", setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(off)));
	cut(fd, 1800, 2, -1);
	gather(fd, to);
	say("short", send_control(fd, IPPROTO_UDP, UDP_SEGMENT, &(char){1}, 1, "127.0.0.1", port));
	say("long", send_control(fd, IPPROTO_UDP, UDP_SEGMENT, &on, 4, "127.0.0.1", port));
	say("gro control", send_control(fd, IPPROTO_UDP, UDP_GRO, &on, 2, "127.0.0.1", port));
	close(to);
	close(fd);
}

/* Messages of which each is several datagrams. */
static void segments_in_batches(void)
{
	enum { N = 3 };
	static char out[N][300];
	struct mmsghdr tx[N];
	struct iovec iov[N];
	int port, to = bound("127.0.0.1", &port), fd = udp(AF_INET);

	do_connect(fd, "127.0.0.1", port);
	setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){100}, sizeof(int));
	for (int i = 0; i < N; i++) {
		memset(out[i], i + 1, sizeof(out[i]));
		iov[i] = (struct iovec){out[i], i == 1 ? 80 : 250 + (size_t)i};
		tx[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	printf("sendmmsg: %s", result(sendmmsg(fd, tx, N, 0)));
	printf(" %u %u %u", tx[0].msg_len, tx[1].msg_len, tx[2].msg_len);
	gather(fd, to);
	close(to);
	close(fd);
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
	segments();
	segments_in_batches();
	return 0;
}

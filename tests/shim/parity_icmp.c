/* SPDX-License-Identifier: MIT */
/* The same as parity_udp.c for errors and their queue, ICMP echo sockets, groups and buffers. */
#include "parity_udp.h"

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

int main(void)
{
	drop_capabilities();
	errors("127.0.0.1");
	errors("::1");
	echo(AF_INET, "127.0.0.1");
	echo(AF_INET6, "::1");
	groups();
	buffers();
	return 0;
}

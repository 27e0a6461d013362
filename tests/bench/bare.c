/* SPDX-License-Identifier: MIT */
/* See bare.h. */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask.h"
#include "dgram.h"
#include "fdmsg.h"
#include "net.h"
#include "sockname.h"
#include "tag.h"

enum { BUFFER = 4 << 20 };

static struct info info;

static const char *dir(void)
{
	const char *path = getenv("PERSONA_PORTSPACE_DIR");

	if (!path) {
		fprintf(stderr, "not in a portspace\n");
		exit(1);
	}
	return path;
}

/* The file `name` in the broker's directory, two levels above the portspace's. */
static const char *runtime(const char *name)
{
	static char path[ASK_PATH_MAX];

	snprintf(path, sizeof(path), "%.60s/../../%.20s", dir(), name);
	return path;
}

static void load(void)
{
	char path[PATH_MAX];
	uint8_t buf[INFO_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/info", dir());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	if (n < 0 || info_decode(buf, (size_t)n, &info) < 0)
		net_die(path);
	close(fd);
}

static void ask(const char *name, const struct ask_request *req, struct ask_reply *rep)
{
	uint8_t buf[ASK_REPLY_MAX];
	int fd, passed = -1, n = ask_encode_request(req, buf, sizeof(buf));
	ssize_t r = fdmsg_connect(runtime(name), SOCK_SEQPACKET, &fd);

	if (r == 0)
		r = fdmsg_send(fd, buf, (size_t)n, -1);
	if (r >= 0)
		r = fdmsg_recv(fd, buf, sizeof(buf), &passed);
	if (r <= 0 || ask_decode_reply(buf, (size_t)r, rep) < 0 || rep->err) {
		errno = r > 0 ? rep->err : EPROTO;
		net_die("the broker's answer");
	}
	close(fd);
}

static uint64_t inode(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		net_die("fstat");
	return st.st_ino;
}

static void unix_address(const char *path, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sun->sun_path, sizeof(sun->sun_path), "%s", path);
}

static struct endpoint remote(const char *address, const char *port)
{
	struct endpoint ep;

	if (addr_parse(address, &ep.addr) < 0) {
		fprintf(stderr, "%s: not an address\n", address);
		exit(2);
	}
	ep.port = (uint16_t)net_number(port, UINT16_MAX);
	return ep;
}

int bare_listen(uint16_t port)
{
	struct ask_request req = {
		.op = ASK_LISTEN, .proto = IPPROTO_TCP, .local = {.addr = addr_any4, .port = port}};
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun;
	struct ask_reply rep;

	load();
	req.inode = inode(fd);
	ask("ask", &req, &rep);
	unix_address(rep.path, &sun);
	if (syscall(SYS_bind, fd, &sun, sizeof(sun)) < 0 || syscall(SYS_listen, fd, 64) < 0)
		net_die(rep.path);
	return fd;
}

int bare_accept(int fd)
{
	return (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
}

static void bind_name(int fd, const struct endpoint *dst, struct endpoint *src)
{
	struct ask_request req = {.op = ASK_LEASE, .proto = IPPROTO_TCP};
	struct sockname name = {.kind = SOCKNAME_CLIENT, .portspace = info.portspace, .dst = *dst};
	struct sockaddr_un sun;
	struct ask_reply rep;
	socklen_t len;

	ask("ask", &req, &rep);
	name.src.addr = info.addr[0].addr;
	for (uint16_t i = 0; i < rep.count; i++) {
		name.src.port = (uint16_t)(rep.port + i);
		len = sockname_encode(&name, info.secret, &sun);
		if (syscall(SYS_bind, fd, &sun, len) == 0) {
			*src = name.src;
			return;
		}
	}
	net_die("bind");
}

int bare_connect(const char *address, const char *port)
{
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];
	struct connreq req = {.proto = IPPROTO_TCP, .dst = remote(address, port)};
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), least = 0;
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	struct sockaddr_un sun;
	struct tag tag = {0};
	char worker[16];

	load();
	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	bind_name(fd, &req.dst, &req.src);
	snprintf(worker, sizeof(worker), "stream.%u", req.src.port % info.nworkers);
	unix_address(runtime(worker), &sun);
	connreq_encode(&req, buf);
	/* the broker writes the outcome into the tag */
	if (tag_set(fd, &(struct tag){.kind = TAG_TCP, .phase = TAG_CONNECTING}) < 0 ||
		syscall(SYS_connect, fd, &sun, sizeof(sun)) < 0 ||
		fdmsg_send(fd, buf, sizeof(buf), fd) < 0 || poll(&writable, 1, -1) < 0)
		return -1;
	if (tag_get(fd, &tag) < 0 || tag.phase != TAG_CONNECTED) {
		errno = (int)tag.value;
		return -1;
	}
	return fd;
}

ssize_t bare_send(int fd, const void *buf, size_t n)
{
	return syscall(SYS_sendto, fd, buf, n, MSG_NOSIGNAL, NULL, 0);
}

ssize_t bare_recv(int fd, void *buf, size_t n)
{
	return syscall(SYS_recvfrom, fd, buf, n, 0, NULL, NULL);
}

/* --- datagrams --- */

static struct dgram_head head; /* of what is sent next */

static int udp_socket(void)
{
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun;

	load();
	unix_address(runtime("dgram"), &sun);
	if (fd < 0 || syscall(SYS_connect, fd, &sun, sizeof(sun)) < 0)
		net_die("dgram");
	return fd;
}

int bare_udp_bind(uint16_t port)
{
	struct ask_request req = {.op = ASK_DGRAM_BIND,
		.proto = IPPROTO_UDP,
		.local = {.addr = addr_any4, .port = port}};
	struct ask_reply rep;
	int fd = udp_socket();

	req.inode = inode(fd);
	ask("dgram", &req, &rep);
	return fd;
}

int bare_udp_connect(const char *address, const char *port)
{
	struct ask_request req = {
		.op = ASK_DGRAM_CONNECT, .proto = IPPROTO_UDP, .local = remote(address, port)};
	struct timeval lost = {.tv_sec = 3};
	struct ask_reply rep;
	int fd = udp_socket();

	req.inode = inode(fd);
	ask("dgram", &req, &rep);
	head = (struct dgram_head){.kind = DGRAM_DATA};
	if (syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof(lost)) < 0)
		net_die("SO_RCVTIMEO");
	return fd;
}

ssize_t bare_udp_send(int fd, const void *buf, size_t n)
{
	uint8_t raw[DGRAM_HEAD];
	struct iovec iov[2] = {{raw, sizeof(raw)}, {(void *)(uintptr_t)buf, n}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t sent;

	dgram_head_encode(&head, raw);
	sent = syscall(SYS_sendmsg, fd, &msg, MSG_NOSIGNAL);
	return sent < 0 ? sent : sent - DGRAM_HEAD;
}

ssize_t bare_udp_recv(int fd, void *buf, size_t n)
{
	uint8_t raw[DGRAM_HEAD];
	struct iovec iov[2] = {{raw, sizeof(raw)}, {buf, n}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct dgram_head from;
	ssize_t got = syscall(SYS_recvmsg, fd, &msg, 0);

	if (got < DGRAM_HEAD || dgram_head_decode(raw, (size_t)got, &from) < 0)
		return -1;
	if (head.kind != DGRAM_DATA || head.flags)
		head = (struct dgram_head){
			.kind = DGRAM_DATA, .flags = DGRAM_HAS_DST, .dst = from.src};
	return got - DGRAM_HEAD;
}

/* SPDX-License-Identifier: MIT */
/* Tries to get a packet out of the portspace by every door it knows. Used by test_leak.py.
 *
 * usage: leaker IPV4 IPV6 [libc]      (libc: not the bare system calls)
 * One line for each attempt: "NAME: sent" or "NAME: ERRNO". Each attempt sends to a port (or with
 * a payload) that no other program of the test uses; the capture decides, not the output. Attempts
 * use libc's functions, and then the bare system calls past any preloaded library. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in v4 = {.sin_family = AF_INET};
static struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
static const char payload[] = "persona-leak-attempt";

static void say(const char *name, bool sent)
{
	printf("%s: %s\n", name, sent ? "sent" : strerrorname_np(errno));
	fflush(stdout);
}

static struct sockaddr *at(bool six, uint16_t port, socklen_t *lenp)
{
	v4.sin_port = v6.sin6_port = htons(port);
	*lenp = six ? sizeof(v6) : sizeof(v4);
	return six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
}

/* Waits a moment for the result of a connect. One that goes on, or that somebody answered, has sent
 * a packet. */
static bool started(int fd, int r)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (r < 0 && errno != EINPROGRESS)
		return errno == ECONNREFUSED;
	poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 300);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	errno = err;
	return err == 0 || err == ECONNREFUSED;
}

static void tcp(const char *name, bool six, bool bare, uint16_t port)
{
	socklen_t len;
	struct sockaddr *sa = at(six, port, &len);
	int domain = six ? AF_INET6 : AF_INET, type = SOCK_STREAM | SOCK_NONBLOCK, r;
	int fd = bare ? (int)syscall(SYS_socket, domain, type, 0) : socket(domain, type, 0);

	if (fd < 0) {
		say(name, false);
		return;
	}
	r = bare ? (int)syscall(SYS_connect, fd, sa, len) : connect(fd, sa, len);
	say(name, started(fd, r));
	close(fd);
}

static void udp(const char *name, bool six, bool bare, uint16_t port)
{
	socklen_t len;
	struct sockaddr *sa = at(six, port, &len);
	int domain = six ? AF_INET6 : AF_INET;
	int fd = bare ? (int)syscall(SYS_socket, domain, SOCK_DGRAM, 0)
		      : socket(domain, SOCK_DGRAM, 0);
	ssize_t n = -1;

	if (fd >= 0 && bare)
		n = syscall(SYS_sendto, fd, payload, sizeof(payload), 0, sa, len);
	else if (fd >= 0)
		n = sendto(fd, payload, sizeof(payload), 0, sa, len);
	say(name, n > 0);
	if (fd >= 0)
		close(fd);
}

/* Raw and ping sockets: ICMP echo with our payload. */
static void icmp(const char *name, bool six, int type)
{
	struct {
		uint8_t type, code;
		uint16_t sum, id, seq;
		char data[sizeof(payload)];
	} echo = {.type = six ? 128 : 8};
	socklen_t len;
	struct sockaddr *sa = at(six, 0, &len);
	int fd = socket(six ? AF_INET6 : AF_INET, type, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	uint32_t sum = 0;
	uint16_t words[sizeof(echo) / 2];

	memcpy(echo.data, payload, sizeof(payload));
	memcpy(words, &echo, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / 2; i++)
		sum += words[i];
	echo.sum = (uint16_t) ~(sum % 0xffff);
	say(name, fd >= 0 && sendto(fd, &echo, sizeof(echo), 0, sa, len) > 0);
	if (fd >= 0)
		close(fd);
}

/* A whole frame by AF_PACKET: an IPv4 UDP broadcast on the first Ethernet interface. */
static void packet(const char *name)
{
	uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0,
		32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 99, 255, 255, 255, 255, 0x1b, 0x67, 0x1b,
		0x67, 0, 12, 0, 0, 'l', 'e', 'a', 'k'};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex("eth0"),
		.sll_halen = 6};
	int fd = (int)syscall(SYS_socket, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	if (ll.sll_ifindex == 0)
		ll.sll_ifindex = 2; /* hidden by the shim; the kernel has it all the same */
	say(name, fd >= 0 && sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&ll,
				     sizeof(ll)) > 0);
	if (fd >= 0)
		close(fd);
}

/* Socket and connect as operations of an io_uring: no socket(2), no connect(2). */
struct ring {
	int fd;
	struct io_uring_params p;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
};

static bool ring_open(struct ring *r)
{
	size_t sq, cq;

	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return false;
	sq = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	cq = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
		r->fd, IORING_OFF_SQES);
	return r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED;
}

static int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t *tail = (uint32_t *)(r->sq + r->p.sq_off.tail);
	uint32_t mask = *(uint32_t *)(r->sq + r->p.sq_off.ring_mask);
	uint32_t *array = (uint32_t *)(r->sq + r->p.sq_off.array);
	uint32_t *head = (uint32_t *)(r->cq + r->p.cq_off.head);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes);
	int res;

	r->sqes[*tail & mask] = *sqe;
	array[*tail & mask] = *tail & mask;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = cqes[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static void uring(const char *name, uint16_t port)
{
	struct ring r;
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_DGRAM, .len = 0};
	socklen_t len;
	struct sockaddr *sa = at(false, port, &len);
	int fd;

	if (!ring_open(&r)) {
		say(name, false);
		return;
	}
	fd = ring_do(&r, &sqe);
	if (fd >= 0) {
		sqe = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
			.fd = fd,
			.addr = (uint64_t)(uintptr_t)sa,
			.off = len};
		errno = -ring_do(&r, &sqe);
		if (errno == 0) {
			sqe = (struct io_uring_sqe){.opcode = IORING_OP_SEND,
				.fd = fd,
				.addr = (uint64_t)(uintptr_t)payload,
				.len = sizeof(payload)};
			fd = ring_do(&r, &sqe);
		}
	}
	errno = fd < 0 ? -fd : errno;
	say(name, fd > 0);
}

#ifdef __x86_64__
/* The same system calls through the doors of other ABIs, whose numbers a naive filter misses. A
 * process that is killed for it counts as denied. */
static long int80(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int i386_child(uint16_t port)
{
	enum { I386_SOCKET = 359, I386_CONNECT = 362 };
	long fd = int80(I386_SOCKET, AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in *low;

	if (fd < 0)
		return (int)-fd;
	/* pointers have 32 bits there */
	low = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	*low = v4;
	low->sin_port = htons(port);
	if (int80(I386_CONNECT, fd, (long)low, sizeof(*low)) < 0)
		return ENETUNREACH;
	return write((int)fd, payload, sizeof(payload)) > 0 ? 0 : errno;
}

static int x32_child(uint16_t port)
{
	enum { X32_BIT = 0x40000000 };
	int fd = (int)syscall(X32_BIT | SYS_socket, AF_INET, SOCK_DGRAM, 0);
	socklen_t len;
	struct sockaddr *sa = at(false, port, &len);

	if (fd < 0)
		return errno;
	return syscall(SYS_sendto, fd, payload, sizeof(payload), 0, sa, len) > 0 ? 0 : errno;
}

static void other_abi(const char *name, int (*child)(uint16_t port), uint16_t port)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(port));
	waitpid(pid, &status, 0);
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
	say(name, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

/* A query to a name server, written by hand, as programs with their own resolver do. */
static void own_resolver(const char *name, bool tcp_too)
{
	static const uint8_t query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				       "\x04leak\x07"
				       "example\x00\x00\x01\x00\x01";
	socklen_t len;
	struct sockaddr *sa = at(false, 53, &len);
	int fd = socket(AF_INET, tcp_too ? SOCK_STREAM | SOCK_NONBLOCK : SOCK_DGRAM, 0);
	bool sent = false;

	if (fd >= 0 && tcp_too)
		sent = started(fd, connect(fd, sa, len));
	else if (fd >= 0)
		sent = sendto(fd, query, sizeof(query) - 1, 0, sa, len) > 0;
	say(name, sent);
	if (fd >= 0)
		close(fd);
}

/* glibc's resolver cannot be linked statically without the shared one beside it. */
#ifndef LEAKER_STATIC
static void names(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai = NULL;
	int r = getaddrinfo("leak.persona-test.example", "80", &hints, &ai);

	printf("getaddrinfo: %s\n", r == 0 ? "answered" : gai_strerror(r));
	if (r == 0)
		freeaddrinfo(ai);
	printf("gethostbyname: %s\n",
		gethostbyname("leak2.persona-test.example") ? "answered" : "nothing");
	fflush(stdout);
}
#endif

int main(int argc, char **argv)
{
	if (argc < 3 || inet_pton(AF_INET, argv[1], &v4.sin_addr) != 1 ||
		inet_pton(AF_INET6, argv[2], &v6.sin6_addr) != 1) {
		fprintf(stderr, "usage: leaker IPV4 IPV6 [libc]\n");
		return 2;
	}
	tcp("tcp4", false, false, 7001);
	tcp("tcp6", true, false, 7002);
	udp("udp4", false, false, 7003);
	udp("udp6", true, false, 7004);
	own_resolver("dns-udp", false);
	own_resolver("dns-tcp", true);
#ifndef LEAKER_STATIC
	names();
#endif
	icmp("ping4", false, SOCK_DGRAM);
	icmp("ping6", true, SOCK_DGRAM);
	icmp("raw4", false, SOCK_RAW);
	icmp("raw6", true, SOCK_RAW);
	if (argc > 3) {
		printf("done\n");
		return 0;
	}
	packet("packet");
	tcp("bare-tcp4", false, true, 7005);
	tcp("bare-tcp6", true, true, 7006);
	udp("bare-udp4", false, true, 7007);
	udp("bare-udp6", true, true, 7008);
	uring("io_uring", 7009);
#ifdef __x86_64__
	other_abi("i386", i386_child, 7010);
	other_abi("x32", x32_child, 7011);
#endif
	printf("done\n");
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Latency and throughput with and without a portspace around the program: the paper's Table 1.
 *
 *     table1 [--bare] serve|serve-udp PORT
 *     table1 [--bare] ping|ping-udp ADDRESS PORT COUNT
 *     table1 [--bare] send|send-udp ADDRESS PORT SECONDS
 *
 * Without --bare this is an ordinary program on internet sockets. With --bare it speaks the
 * broker's local protocol itself (docs/PROTOCOL.md, section 1) by raw system calls, which the shim
 * does not see: the same tunnel and the same work, but no portspace around the program. The
 * difference of the two is what the shim costs. Prints one JSON object. */
#include "bare.h"
#include "net.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAM_CHUNK = 128 * 1024, DATAGRAM = 1200, WARMUP_MAX = 200 };

/* How the program reaches its peer. */
struct way {
	int (*listen)(uint16_t port);
	int (*accept)(int fd);
	int (*connect)(const char *address, const char *port);
	ssize_t (*send)(int fd, const void *buf, size_t n);
	ssize_t (*recv)(int fd, void *buf, size_t n);
	int (*udp_bind)(uint16_t port);
	int (*udp_connect)(const char *address, const char *port);
	ssize_t (*udp_send)(
		int fd, const void *buf, size_t n); /* to the peer, or the last sender */
	ssize_t (*udp_recv)(int fd, void *buf, size_t n);
};

static int sock_listen(uint16_t port)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	return net_listen("0.0.0.0", text);
}

static int sock_accept(int fd)
{
	return accept(fd, NULL, NULL);
}

static ssize_t sock_send(int fd, const void *buf, size_t n)
{
	return send(fd, buf, n, MSG_NOSIGNAL);
}

static ssize_t sock_recv(int fd, void *buf, size_t n)
{
	return recv(fd, buf, n, 0);
}

static struct sockaddr_in last; /* sender of the last datagram; family 0: the socket is connected */

static int sock_udp_bind(uint16_t port)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	last.sin_family = AF_INET;
	return net_udp("0.0.0.0", text, true);
}

static int sock_udp_connect(const char *address, const char *port)
{
	return net_udp(address, port, false);
}

static ssize_t sock_udp_send(int fd, const void *buf, size_t n)
{
	if (last.sin_family == 0)
		return send(fd, buf, n, 0);
	return sendto(fd, buf, n, 0, (struct sockaddr *)&last, sizeof(last));
}

static ssize_t sock_udp_recv(int fd, void *buf, size_t n)
{
	socklen_t len = sizeof(last);

	if (last.sin_family == 0)
		return recv(fd, buf, n, 0);
	return recvfrom(fd, buf, n, 0, (struct sockaddr *)&last, &len);
}

static const struct way sock_way = {sock_listen, sock_accept, net_connect, sock_send, sock_recv,
	sock_udp_bind, sock_udp_connect, sock_udp_send, sock_udp_recv};
static const struct way bare_way = {bare_listen, bare_accept, bare_connect, bare_send, bare_recv,
	bare_udp_bind, bare_udp_connect, bare_udp_send, bare_udp_recv};
static const struct way *way = &sock_way;

/* --- servers: the first byte says what a client wants: 'p' an echo, 't' to be counted --- */

static void serve_stream(int fd, char *buf)
{
	uint64_t total = 0;
	ssize_t n = way->recv(fd, buf, STREAM_CHUNK);
	char kind = n > 0 ? buf[0] : 0;

	for (; n > 0; n = way->recv(fd, buf, STREAM_CHUNK)) {
		total += (uint64_t)n;
		if (kind == 'p' && way->send(fd, buf, (size_t)n) != n)
			return;
	}
	if (kind == 't')
		(void)!way->send(fd, &total, sizeof(total));
}

static void serve(uint16_t port)
{
	char *buf = malloc(STREAM_CHUNK);
	int lfd = way->listen(port), fd;

	if (!buf || lfd < 0)
		net_die("listen");
	while ((fd = way->accept(lfd)) >= 0) {
		serve_stream(fd, buf);
		close(fd);
	}
	net_die("accept");
}

static void serve_udp(uint16_t port)
{
	int fd = way->udp_bind(port);
	uint64_t total = 0;
	char buf[2048];

	if (fd < 0)
		net_die("bind");
	for (;;) {
		ssize_t n = way->udp_recv(fd, buf, sizeof(buf));

		if (n < 1)
			net_die("receive");
		switch (buf[0]) {
		case 'p':
			(void)!way->udp_send(fd, buf, (size_t)n);
			break;
		case 't':
			total += (uint64_t)n;
			break;
		case 'e': /* the client is done: what arrived since the last time */
			(void)!way->udp_send(fd, &total, sizeof(total));
			break;
		case 'z':
			total = 0;
			(void)!way->udp_send(fd, buf, (size_t)n);
			break;
		default:
			break;
		}
	}
}

/* --- clients --- */

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void ping(int fd, size_t count, bool udp)
{
	ssize_t (*put)(int, const void *, size_t) = udp ? way->udp_send : way->send;
	ssize_t (*get)(int, void *, size_t) = udp ? way->udp_recv : way->recv;
	size_t warmup = count / 10 < WARMUP_MAX ? count / 10 : WARMUP_MAX;
	uint64_t *ns = calloc(count, sizeof(*ns));
	char byte = 'p';

	for (size_t i = 0; ns && i < warmup + count; i++) {
		uint64_t start = net_now_ns();

		if (put(fd, &byte, 1) != 1 || get(fd, &byte, 1) != 1)
			net_die("round trip");
		if (i >= warmup)
			ns[i - warmup] = net_now_ns() - start;
	}
	if (!ns)
		net_die("memory");
	qsort(ns, count, sizeof(*ns), by_value);
	printf("{\"median_ns\":%lu,\"p99_ns\":%lu}\n", ns[count / 2], ns[count * 99 / 100]);
	free(ns);
}

static void print_rate(uint64_t bytes, uint64_t ns)
{
	printf("{\"bytes\":%lu,\"bits_per_second\":%.0f}\n", bytes,
		(double)bytes * 8e9 / (double)ns);
}

static void send_stream(int fd, unsigned seconds)
{
	char *buf = malloc(STREAM_CHUNK);
	uint64_t total = 0, start = net_now_ns(), end = start + seconds * 1000000000ULL;

	if (!buf)
		net_die("memory");
	memset(buf, 't', STREAM_CHUNK);
	while (net_now_ns() < end)
		if (way->send(fd, buf, STREAM_CHUNK) < 0)
			net_die("send");
	if (shutdown(fd, SHUT_WR) < 0 || way->recv(fd, &total, sizeof(total)) != sizeof(total))
		net_die("the server's count");
	print_rate(total, net_now_ns() - start);
	free(buf);
}

static uint64_t ask_count(int fd, char what)
{
	uint64_t total = 0;

	for (int i = 0; i < 5; i++) { /* datagrams may be lost */
		if (way->udp_send(fd, &what, 1) == 1 &&
			way->udp_recv(fd, &total, sizeof(total)) > 0)
			return total;
	}
	net_die("the server's count");
}

static void send_udp(int fd, unsigned seconds)
{
	uint64_t start, end, took;
	char buf[DATAGRAM];

	ask_count(fd, 'z');
	memset(buf, 't', sizeof(buf));
	start = net_now_ns();
	end = start + seconds * 1000000000ULL;
	while (net_now_ns() < end)
		(void)!way->udp_send(fd, buf, sizeof(buf));
	took = net_now_ns() - start;
	print_rate(ask_count(fd, 'e'), took);
}

static int client(char **argv, const char *what)
{
	bool udp = strstr(what, "-udp");
	int fd = udp ? way->udp_connect(argv[0], argv[1]) : way->connect(argv[0], argv[1]);
	unsigned long n = net_number(argv[2], 100000000);

	if (fd < 0)
		net_die("connect");
	if (strncmp(what, "ping", 4) == 0)
		ping(fd, n, udp);
	else if (udp)
		send_udp(fd, (unsigned)n);
	else
		send_stream(fd, (unsigned)n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--bare") == 0) {
		way = &bare_way;
		argv++;
		argc--;
	}
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve((uint16_t)net_number(argv[2], 65535));
	if (argc == 3 && strcmp(argv[1], "serve-udp") == 0)
		serve_udp((uint16_t)net_number(argv[2], 65535));
	if (argc == 5 && (strncmp(argv[1], "ping", 4) == 0 || strncmp(argv[1], "send", 4) == 0))
		return client(argv + 2, argv[1]);
	fprintf(stderr, "usage: table1 [--bare] serve|serve-udp PORT\n"
			"       table1 [--bare] ping|ping-udp ADDRESS PORT COUNT\n"
			"       table1 [--bare] send|send-udp ADDRESS PORT SECONDS\n");
	return 2;
}

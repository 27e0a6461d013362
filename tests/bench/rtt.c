/* SPDX-License-Identifier: MIT */
/* Round trip of one byte, over one TCP connection or in UDP datagrams.
 *
 *     rtt serve ADDRESS PORT            echo bytes, one connection after the other, until killed
 *     rtt ping ADDRESS PORT COUNT       COUNT round trips; prints one JSON object
 *     rtt serve-udp, rtt ping-udp       the same with datagrams; a lost one is an error
 *
 * Times are nanoseconds as the client sees them around send(2) and recv(2), both blocking. The
 * first tenth of the round trips (at most 200) warms up and is not counted. */
#include "net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(const char *address, const char *port)
{
	int lfd = net_listen(address, port);

	for (;;) {
		char buf[64];
		ssize_t n;
		int one = 1;
		int fd = accept(lfd, NULL, NULL);

		if (fd < 0)
			net_die("accept");
		if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
			net_die("TCP_NODELAY");
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
			if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
				break;
		}
		close(fd);
	}
}

static void serve_udp(const char *address, const char *port)
{
	int fd = net_udp(address, port, true);

	for (;;) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		char buf[64];
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len);

		if (n < 0)
			net_die("recvfrom");
		/* a client that has gone is no reason to end */
		(void)!sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int ping(const char *address, const char *port, size_t count, bool udp)
{
	size_t warmup = count / 10 < 200 ? count / 10 : 200;
	uint64_t *ns = calloc(count, sizeof(*ns));
	uint64_t begun = net_now_ns();
	uint64_t sum = 0;
	uint64_t connect_ns;
	int fd = udp ? net_udp(address, port, false) : net_connect(address, port);

	if (!ns || fd < 0)
		net_die("connect");
	connect_ns = net_now_ns() - begun;
	for (size_t i = 0; i < warmup + count; i++) {
		uint64_t start = net_now_ns();

		if (net_ping(fd))
			net_die("round trip");
		if (i >= warmup) {
			ns[i - warmup] = net_now_ns() - start;
			sum += ns[i - warmup];
		}
	}
	close(fd);
	qsort(ns, count, sizeof(*ns), by_value);
	printf("{\"count\":%zu,\"connect_ns\":%lu,\"min_ns\":%lu,\"median_ns\":%lu,"
	       "\"p99_ns\":%lu,\"max_ns\":%lu,\"mean_ns\":%lu}\n",
		count, connect_ns, ns[0], ns[count / 2], ns[count * 99 / 100], ns[count - 1],
		sum / count);
	free(ns);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "ping"))
		return ping(argv[2], argv[3], net_number(argv[4], 100000000), false);
	if (argc == 4 && !strcmp(argv[1], "serve-udp"))
		serve_udp(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "ping-udp"))
		return ping(argv[2], argv[3], net_number(argv[4], 100000000), true);
	fprintf(stderr, "usage: rtt serve|serve-udp ADDRESS PORT\n"
			"       rtt ping|ping-udp ADDRESS PORT COUNT\n");
	return 2;
}

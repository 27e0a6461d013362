/* SPDX-License-Identifier: MIT */
/* Holds many idle TCP connections, to see what one costs whoever carries it.
 *
 *     idle serve ADDRESS PORT         accept any number, echo what comes, until killed
 *     idle hold ADDRESS PORT COUNT    open COUNT; one byte goes each way over each
 *
 * `hold` prints "ready SECONDS" when all are open and then holds them until its standard input
 * ends. The byte makes sure that each stream has carried data and is idle again, which is dearer
 * than one that never did. */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void add(int efd, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(efd, EPOLL_CTL_ADD, fd, &ev))
		net_die("epoll_ctl");
}

static void echo(int fd)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0 || send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
		close(fd);
}

static void serve(const char *address, const char *port)
{
	int lfd = net_listen(address, port);
	int efd = epoll_create1(EPOLL_CLOEXEC);

	if (efd < 0)
		net_die("epoll_create1");
	add(efd, lfd);
	for (;;) {
		struct epoll_event evs[64];
		int n = epoll_wait(efd, evs, 64, -1);

		if (n < 0 && errno != EINTR)
			net_die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;

			if (fd != lfd) {
				echo(fd);
				continue;
			}
			fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				add(efd, fd);
			else if (errno != ECONNABORTED)
				net_die("accept4");
		}
	}
}

static int hold(const char *address, const char *port, size_t count)
{
	uint64_t start = net_now_ns();
	char buf[64];

	for (size_t i = 0; i < count; i++) {
		int fd = net_connect(address, port);

		if (fd < 0 || net_ping(fd)) {
			fprintf(stderr, "stream %zu of %zu: %s\n", i + 1, count, strerror(errno));
			return 1;
		}
	}
	printf("ready %.6f\n", (double)(net_now_ns() - start) / 1e9);
	fflush(stdout);
	while (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		;
	return 0; /* the kernel closes them all */
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3], net_number(argv[4], 1000000));
	fprintf(stderr, "usage: idle serve ADDRESS PORT | idle hold ADDRESS PORT COUNT\n");
	return 2;
}

/* SPDX-License-Identifier: MIT */
#include "strayfd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int running;

static void *close_here(void *arg)
{
	close((int)(intptr_t)arg);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static int close_elsewhere(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (atomic_fetch_add(&running, 1) >= STRAYFD_THREADS) {
		atomic_fetch_sub(&running, 1);
		return -1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	r = pthread_create(&thread, &attr, close_here, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attr);
	if (r != 0)
		atomic_fetch_sub(&running, 1);
	return r == 0 ? 0 : -1;
}

void strayfd_close(int fd)
{
	static const struct linger none = {0};
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	else if (close_elsewhere(fd) == 0)
		return;
	close(fd);
}

void strayfd_drop(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			strayfd_close(fd);
		}
	}
}

ssize_t strayfd_recv(int sock, void *buf, size_t cap)
{
	/* What finds no room is closed by the kernel, in this thread. */
	_Alignas(struct cmsghdr) uint8_t control[STRAYFD_CONTROL];
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	strayfd_drop(&msg);
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

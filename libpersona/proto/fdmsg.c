/* SPDX-License-Identifier: MIT */
#include "fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* A system call that returns its error instead of setting errno. */
#define SYS(...)                                   \
	__extension__({                            \
		int sys_saved = errno;             \
		long sys_r = syscall(__VA_ARGS__); \
		if (sys_r < 0)                     \
			sys_r = -errno;            \
		errno = sys_saved;                 \
		sys_r;                             \
	})

static int fill(const char *path, struct sockaddr_un *sunp)
{
	size_t n = strlen(path);

	if (n >= sizeof(sunp->sun_path))
		return -ENAMETOOLONG;
	memset(sunp, 0, sizeof(*sunp));
	sunp->sun_family = AF_UNIX;
	memcpy(sunp->sun_path, path, n);
	return 0;
}

static long connect_retry(int fd, const struct sockaddr_un *sun)
{
	long r;

	do
		r = SYS(SYS_connect, fd, sun, sizeof(*sun));
	while (r == -EINTR);
	return r;
}

int fdmsg_connect(const char *path, int type, int *fdp)
{
	struct sockaddr_un sun;
	long fd, r = fill(path, &sun);

	if (r < 0)
		return (int)r;
	fd = SYS(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	r = connect_retry((int)fd, &sun);
	if (r < 0) {
		SYS(SYS_close, fd);
		return (int)r;
	}
	*fdp = (int)fd;
	return 0;
}

/* A connect to a file of another kind is refused as well; such a file is not ours to remove. */
static bool is_socket(const char *path)
{
	struct statx st;

	return SYS(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 &&
	       S_ISSOCK(st.stx_mode);
}

int fdmsg_listen(const char *path, int type, int backlog, int *fdp)
{
	struct sockaddr_un sun;
	long fd, r = fill(path, &sun);
	int probe;

	if (r < 0)
		return (int)r;
	r = fdmsg_connect(path, type, &probe);
	if (r == 0) {
		SYS(SYS_close, probe);
		return -EADDRINUSE;
	}
	if (r == -ECONNREFUSED && is_socket(path))
		SYS(SYS_unlinkat, AT_FDCWD, path, 0);
	fd = SYS(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (int)fd;
	/* On Linux the mode of the socket's inode at bind time becomes the file's mode. */
	r = SYS(SYS_fchmod, fd, 0600);
	if (r == 0)
		r = SYS(SYS_bind, fd, &sun, sizeof(sun));
	if (r == 0)
		r = SYS(SYS_listen, fd, backlog);
	if (r < 0) {
		SYS(SYS_close, fd);
		return (int)r;
	}
	*fdp = (int)fd;
	return 0;
}

union one_fd {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t fdmsg_send(int sock, const void *buf, size_t len, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	union one_fd control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	long r;

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	do
		r = SYS(SYS_sendmsg, sock, &msg, MSG_NOSIGNAL);
	while (r == -EINTR);
	return r;
}

/* Keeps the first descriptor of all control messages, closes the others. */
static int take_fd(struct msghdr *msg)
{
	int kept = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (kept < 0)
				kept = fd;
			else
				SYS(SYS_close, fd);
		}
	}
	return kept;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t cap, int *fdp)
{
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	union one_fd control = {0};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	long r;

	*fdp = -1;
	do
		r = SYS(SYS_recvmsg, sock, &msg, MSG_CMSG_CLOEXEC);
	while (r == -EINTR);
	if (r < 0)
		return r;
	*fdp = take_fd(&msg);
	if (msg.msg_flags & MSG_TRUNC) {
		if (*fdp >= 0)
			SYS(SYS_close, *fdp);
		*fdp = -1;
		return -EMSGSIZE;
	}
	return r;
}

ssize_t fdmsg_ask(const char *path, const void *req, size_t len, void *reply, size_t cap)
{
	int sock, fd = -1;
	ssize_t r = fdmsg_connect(path, SOCK_SEQPACKET, &sock);

	if (r < 0)
		return r;
	r = fdmsg_send(sock, req, len, -1);
	if (r >= 0)
		r = fdmsg_recv(sock, reply, cap, &fd);
	if (fd >= 0)
		SYS(SYS_close, fd);
	SYS(SYS_close, sock);
	return r == 0 ? -EPIPE : r;
}

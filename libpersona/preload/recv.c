/* SPDX-License-Identifier: MIT */
/* The read family. The fast path is one comparison: a call that returned bytes is returned as it
 * is. Everything else is looked at only when the kernel's result is an end, an error, an address
 * (TCP returns none) or control data.
 *
 * Control data: the only messages that AF_UNIX adds are descriptors and credentials. A TCP peer
 * cannot send them and the program does not expect them, so descriptors are closed. */
#include <stdlib.h>
#include <string.h>

#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "stream.h"
#include "udp.h"

static bool is_tcp(int fd)
{
	struct tag tag;

	return tag_get(fd, &tag) == 0 && tag.kind == TAG_TCP;
}

/* TCP has no error queue here: AF_UNIX would ignore the flag and take data out of the stream. */
static bool error_queue(int fd, int flags)
{
	struct tag tag;

	return __builtin_expect(flags & MSG_ERRQUEUE, 0) && tag_get(fd, &tag) == 0 &&
	       !udp_kind(&tag);
}

static inline ssize_t done(int fd, ssize_t r, size_t wanted)
{
	if (__builtin_expect(r > 0, 1))
		return r;
	if (r < 0)
		return stream_read_error(fd);
	return wanted > 0 ? stream_end(fd) : 0;
}

/* read(2) of nothing takes no datagram. */
static ssize_t read_datagram(int fd, struct tag *tag, void *buf, size_t n)
{
	return ret(n ? udp_recvfrom(fd, tag, buf, n, 0, NULL, NULL) : 0);
}

HOOK ssize_t read(int fd, void *buf, size_t n)
{
	struct tag tag;

	if (udp_is(fd, &tag))
		return read_datagram(fd, &tag, buf, n);
	return done(fd, real(read)(fd, buf, n), n);
}

HOOK ssize_t __read(int fd, void *buf, size_t n);
HOOK ssize_t __read(int fd, void *buf, size_t n)
{
	return read(fd, buf, n);
}

HOOK ssize_t readv(int fd, const struct iovec *iov, int count)
{
	struct tag tag;

	if (udp_is(fd, &tag))
		return ret(udp_readv(fd, &tag, iov, count));
	return done(fd, real(readv)(fd, iov, count), count > 0);
}

/* MSG_TRUNC on TCP: throw bytes away. AF_UNIX would store them. */
static ssize_t discard(int fd, size_t n, int flags)
{
	char sink[4096];
	size_t want = n < sizeof(sink) ? n : sizeof(sink);

	return done(fd, real(recv)(fd, sink, want, flags & ~MSG_TRUNC), want);
}

HOOK ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct tag tag;

	if (udp_is(fd, &tag))
		return ret(udp_recvfrom(fd, &tag, buf, n, flags, NULL, NULL));
	if (error_queue(fd, flags))
		return ret(-EAGAIN);
	if (__builtin_expect(flags & MSG_TRUNC, 0) && is_tcp(fd))
		return discard(fd, n, flags);
	return done(fd, real(recv)(fd, buf, n, flags), n);
}

HOOK ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags, __SOCKADDR_ARG addr,
	socklen_t *restrict lenp)
{
	struct tag tag;
	ssize_t r;

	if (error_queue(fd, flags))
		return ret(-EAGAIN);
	if (netlink_is(fd, &tag))
		return ret(netlink_recvfrom(fd, &tag, buf, n, flags, addr.__sockaddr__, lenp));
	if (udp_is_likely(fd, &tag, addr.__sockaddr__))
		return ret(udp_recvfrom(fd, &tag, buf, n, flags, addr.__sockaddr__, lenp));
	r = real(recvfrom)(fd, buf, n, flags, addr.__sockaddr__, lenp);
	if (__builtin_expect(r >= 0 && addr.__sockaddr__ && *lenp > 0, 0) && is_tcp(fd))
		*lenp = 0;
	return done(fd, r, n);
}

/* Closes descriptors that came along and empties the control data. */
static void drop_control(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			SYS(SYS_close, fd);
		}
	}
	msg->msg_controllen = 0;
	msg->msg_flags &= ~MSG_CTRUNC;
}

/* Datagram sockets may come along with a message of the program's own AF_UNIX socket. */
static void look_at_control(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0;
			c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			udp_look(fd);
		}
	}
}

/* The kernel has filled msg in: make it what TCP would have filled in. */
static void as_tcp(int fd, struct msghdr *msg)
{
	bool name = msg->msg_name && msg->msg_namelen > 0;

	if (__builtin_expect(!name && msg->msg_controllen == 0, 1))
		return;
	if (!is_tcp(fd)) {
		look_at_control(msg);
		return;
	}
	if (name)
		msg->msg_namelen = 0;
	if (msg->msg_controllen > 0)
		drop_control(msg);
}

HOOK ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct tag tag;
	ssize_t r;

	if (error_queue(fd, flags))
		return ret(-EAGAIN);
	if (netlink_is(fd, &tag))
		return ret(netlink_recvmsg(fd, &tag, msg, flags));
	if (udp_is(fd, &tag))
		return ret(udp_recvmsg(fd, &tag, msg, flags));
	r = real(recvmsg)(fd, msg, flags);
	if (r < 0)
		return done(fd, r, 0);
	as_tcp(fd, msg);
	if (__builtin_expect(r > 0, 1))
		return r;
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		if (msg->msg_iov[i].iov_len > 0)
			return stream_end(fd);
	return 0;
}

/* glibc's time argument is not const; musl's and older ones' are. */
HOOK int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
	struct tag tag;
	int r;

	if (error_queue(fd, flags))
		return ret(-EAGAIN);
	if (netlink_is(fd, &tag))
		return ret(netlink_recvmmsg(fd, &tag, msgs, n, flags));
	if (udp_is(fd, &tag))
		return ret(udp_recvmmsg(fd, &tag, msgs, n, flags, timeout));
	r = real(recvmmsg)(fd, msgs, n, flags, timeout);
	if (r < 0)
		return (int)done(fd, r, 0);
	for (int i = 0; i < r; i++)
		as_tcp(fd, &msgs[i].msg_hdr);
	if (r > 0 && msgs[0].msg_len == 0 && is_tcp(fd))
		return stream_end(fd) < 0 ? -1 : r;
	return r;
}

/* Fortified variants: the same calls behind a check of the buffer's size. */
extern void __chk_fail(void) __attribute__((noreturn));

HOOK ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
HOOK ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	if (n > size)
		__chk_fail();
	return read(fd, buf, n);
}

HOOK ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
HOOK ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	if (n > size)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

HOOK ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
	struct sockaddr *addr, socklen_t *lenp);
HOOK ssize_t __recvfrom_chk(
	int fd, void *buf, size_t n, size_t size, int flags, struct sockaddr *addr, socklen_t *lenp)
{
	if (n > size)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, addr, lenp);
}

/* SPDX-License-Identifier: MIT */
/* The send family and shutdown(2). write(2) and writev(2) are in write.c.
 *
 * The kernel's call comes first; only its error is looked at. TCP ignores an address on a
 * connected socket where AF_UNIX refuses it, so such a call is repeated without. MSG_FASTOPEN
 * connects first: data in the first packet is an optimisation that a portspace does not have. */
#include <limits.h>
#include <string.h>

#include "aside.h"
#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "stream.h"
#include "udp.h"

/* TCP Fast Open: 0 when the socket is connected now and the data can follow. */
static int fast_open(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage ss;
	struct tag tag;
	int r;

	if (tag_get(fd, &tag) < 0)
		return 1; /* not ours */
	if (tag.kind != TAG_TCP)
		return -EOPNOTSUPP;
	if (tag.phase == TAG_CONNECTED)
		return 0;
	if (!addr)
		return -EINVAL;
	r = user_read_sockaddr(&ss, addr, len);
	return r < 0 ? r : connect_tcp(fd, &tag, &ss, len);
}

static bool wants_fast_open(int flags)
{
	return __builtin_expect(flags & MSG_FASTOPEN, 0);
}

HOOK ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct tag tag;
	ssize_t r;

	if (netlink_is(fd, &tag))
		return ret(netlink_sendto(fd, &tag, buf, n, flags, NULL, 0));
	if (udp_is(fd, &tag))
		return ret(udp_sendto(fd, &tag, buf, n, flags, NULL, 0));
	r = real(send)(fd, buf, n, flags);
	if (__builtin_expect(r < 0, 0))
		stream_send_error(fd, flags);
	return r;
}

HOOK ssize_t __send(int fd, const void *buf, size_t n, int flags);
HOOK ssize_t __send(int fd, const void *buf, size_t n, int flags)
{
	return send(fd, buf, n, flags);
}

HOOK ssize_t sendto(
	int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	struct tag tag;
	ssize_t r;

	if (netlink_is(fd, &tag))
		return ret(netlink_sendto(fd, &tag, buf, n, flags, addr.__sockaddr__, len));
	if (udp_is_likely(fd, &tag, addr.__sockaddr__))
		return ret(udp_sendto(fd, &tag, buf, n, flags, addr.__sockaddr__, len));
	if (wants_fast_open(flags)) {
		int open = fast_open(fd, addr.__sockaddr__, len);

		if (open < 0)
			return ret(open);
		if (open == 0)
			return send(fd, buf, n, flags & ~MSG_FASTOPEN);
	}
	r = real(sendto)(fd, buf, n, flags, addr.__sockaddr__, len);
	if (__builtin_expect(r < 0, 0) && stream_send_error(fd, flags) == 1)
		return send(fd, buf, n, flags);
	return r;
}

/* The message without its address. */
static ssize_t send_nameless(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr copy;
	ssize_t r = user_read(&copy, msg, sizeof(copy));

	if (r < 0)
		return ret(r);
	copy.msg_name = NULL;
	copy.msg_namelen = 0;
	r = real(sendmsg)(fd, &copy, flags & ~MSG_FASTOPEN);
	if (r < 0)
		stream_send_error(fd, flags);
	return r;
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct tag tag;
	ssize_t r;

	if (netlink_is(fd, &tag))
		return ret(netlink_sendmsg(fd, &tag, msg, flags));
	if (udp_is(fd, &tag))
		return ret(udp_sendmsg(fd, &tag, msg, flags));
	if (wants_fast_open(flags)) {
		struct msghdr copy;
		int open = user_read(&copy, msg, sizeof(copy));

		if (open == 0)
			open = fast_open(fd, copy.msg_name, copy.msg_namelen);
		if (open < 0)
			return ret(open);
		if (open == 0)
			return send_nameless(fd, msg, flags);
	}
	r = real(sendmsg)(fd, msg, flags);
	if (__builtin_expect(r < 0, 0) && stream_send_error(fd, flags) == 1)
		return send_nameless(fd, msg, flags);
	return r;
}

HOOK int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	struct tag tag;
	int r = -1;

	if (udp_is(fd, &tag))
		return ret(udp_sendmmsg(fd, &tag, msgs, n, flags));
	if (!wants_fast_open(flags) && !netlink_is(fd, &tag)) {
		r = real(sendmmsg)(fd, msgs, n, flags);
		if (r >= 0 || stream_send_error(fd, flags) != 1)
			return r;
	}
	/* one by one, as TCP does it */
	for (unsigned i = 0; i < n && i < IOV_MAX; i++) {
		ssize_t sent = sendmsg(fd, &msgs[i].msg_hdr, flags);

		if (sent < 0)
			return i > 0 ? (int)i : -1;
		msgs[i].msg_len = (unsigned)sent;
		r = (int)i + 1;
	}
	return n == 0 ? 0 : r;
}

HOOK int shutdown(int fd, int how)
{
	struct tag tag;

	if (tag_get(fd, &tag) < 0)
		return real(shutdown)(fd, how);
	if (tag.kind == TAG_NETLINK)
		return ret(-EOPNOTSUPP);
	if (how < SHUT_RD || how > SHUT_RDWR)
		return ret(-EINVAL);
	if (udp_kind(&tag))
		return ret(udp_shutdown(fd, &tag, how));
	if (tag.kind != TAG_TCP || tag.phase == TAG_FRESH || tag.phase == TAG_BOUND ||
		tag.phase == TAG_FAILED)
		return ret(-ENOTCONN);
	if (tag.phase == TAG_CONNECTED && how != SHUT_RD) {
		if (how == SHUT_WR)
			aside_fin(fd, &tag);
		tag.value |= CONNECTED_WRSHUT;
		tag_set(fd, &tag);
	}
	return ret(SYS(SYS_shutdown, fd, tag.phase == TAG_CONNECTING ? SHUT_RDWR : how));
}

/* SPDX-License-Identifier: MIT */
/* AF_NETLINK sockets of the program (netlink(7)).
 *
 * Model: a route socket is AF_UNIX SOCK_SEQPACKET, connected to the broker, which answers from the
 * portspace (nlreq.h). What it receives are netlink messages as they are; these functions add the
 * head to what is sent, and netlink's names and options. A kobject-uevent socket is the same
 * without any answer: as in a network namespace without devices, nothing ever happens, and
 * programs that watch for devices go on. Other families are refused like those that a kernel was
 * built without.
 *
 * The state is in the tag: nl_pid in `port` (low half) and `value` (high half), enum netlink_bits
 * above it; phase TAG_BOUND once it has an address.
 *
 * Each function returns 0 or more, or a negative errno, and leaves errno alone. */
#ifndef PERSONA_PRELOAD_NETLINK_H
#define PERSONA_PRELOAD_NETLINK_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "preload.h"

enum netlink_bits {
	NETLINK_IS_RAW = 1 << 16, /* SOCK_RAW, else SOCK_DGRAM */
	NETLINK_IS_UEVENT = 1 << 17,
	/* options */
	NETLINK_HAS_PKTINFO = 1 << 18,
	NETLINK_HAS_BROADCAST_ERROR = 1 << 19,
	NETLINK_HAS_NO_ENOBUFS = 1 << 20,
	NETLINK_HAS_CAP_ACK = 1 << 21,
	NETLINK_HAS_EXT_ACK = 1 << 22,
	NETLINK_HAS_STRICT = 1 << 23
};

extern atomic_bool netlink_seen; /* this process has made such a socket */

/* Is fd one? Costs nothing while none was made. */
static inline bool netlink_is(int fd, struct tag *tagp)
{
	return __builtin_expect(atomic_load_explicit(&netlink_seen, memory_order_relaxed), 0) &&
	       tag_get(fd, tagp) == 0 && tagp->kind == TAG_NETLINK;
}

/* `type` with its flags. A descriptor. */
int netlink_socket(int type, int protocol);
int netlink_bind(int fd, struct tag *tag, const struct sockaddr *addr, socklen_t len);
int netlink_connect(int fd, struct tag *tag, const struct sockaddr *addr, socklen_t len);
int netlink_name(int fd, const struct tag *tag, bool peer, struct sockaddr *addr, socklen_t *lenp);
int netlink_getsockopt(
	int fd, const struct tag *tag, int level, int name, void *value, socklen_t *lenp);
int netlink_setsockopt(
	int fd, struct tag *tag, int level, int name, const void *value, socklen_t len);
/* The send and receive families: bytes, or messages for the last. `addr` and `lenp` may be NULL. */
ssize_t netlink_sendto(int fd, struct tag *tag, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t len);
ssize_t netlink_writev(int fd, struct tag *tag, const struct iovec *iov, int count);
ssize_t netlink_sendmsg(int fd, struct tag *tag, const struct msghdr *msg, int flags);
ssize_t netlink_recvfrom(int fd, const struct tag *tag, void *buf, size_t n, int flags,
	struct sockaddr *addr, socklen_t *lenp);
ssize_t netlink_recvmsg(int fd, const struct tag *tag, struct msghdr *msg, int flags);
int netlink_recvmmsg(int fd, const struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags);

#endif

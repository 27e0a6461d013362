/* SPDX-License-Identifier: MIT */
#include "netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "fdmsg.h"
#include "nlreq.h"
#include "real.h"
#include "side.h"

enum { TYPE_MASK = 0xf, GROUPS_MAX = 32 };

atomic_bool netlink_seen;

static uint32_t portid(const struct tag *tag)
{
	return (tag->value & 0xffff) << 16 | tag->port;
}

static void set_portid(struct tag *tag, uint32_t id)
{
	tag->value = (tag->value & ~0xffffU) | id >> 16;
	tag->port = (uint16_t)id;
	tag->phase = TAG_BOUND;
}

static uint32_t groups_of(int fd)
{
	int groups = 0;

	side_get(fd, SIDE_NETLINK_GROUPS, &groups);
	return (uint32_t)groups;
}

/* --- socket --- */

/* A connection to the broker, tagged, its gate closed: see nlreq.h. */
static int connected(const struct tag *tag, int flags)
{
	struct sockaddr_un sun;
	int least = 0;
	long fd, r;

	if (runtime_path("route", &sun) == 0)
		return -EPROTONOSUPPORT;
	fd = SYS(SYS_socket, AF_UNIX, SOCK_SEQPACKET | (flags & SOCK_CLOEXEC), 0);
	if (fd < 0)
		return (int)fd;
	r = SYS(SYS_connect, fd, &sun, sizeof(sun));
	if (r == 0)
		r = SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	else if (r != -EMFILE && r != -ENFILE)
		r = -EPROTONOSUPPORT; /* no broker, no such network */
	if (r == 0 && flags & SOCK_NONBLOCK)
		r = SYS(SYS_fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	if (r == 0)
		r = tag_set((int)fd, tag);
	if (r < 0)
		SYS(SYS_close, fd);
	return r < 0 ? (int)r : (int)fd;
}

int netlink_socket(int type, int protocol)
{
	struct tag tag = {.kind = TAG_NETLINK};

	if ((type & TYPE_MASK) != SOCK_RAW && (type & TYPE_MASK) != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol < 0 || protocol >= MAX_LINKS ||
		(protocol != NETLINK_ROUTE && protocol != NETLINK_KOBJECT_UEVENT))
		return -EPROTONOSUPPORT;
	if ((type & TYPE_MASK) == SOCK_RAW)
		tag.value |= NETLINK_IS_RAW;
	if (protocol == NETLINK_KOBJECT_UEVENT)
		tag.value |= NETLINK_IS_UEVENT;
	atomic_store_explicit(&netlink_seen, true, memory_order_relaxed);
	return connected(&tag, type & ~TYPE_MASK);
}

/* --- sending --- */

static struct nlreq request(int fd, const struct tag *tag)
{
	struct nlreq req = {.portid = portid(tag), .groups = groups_of(fd)};

	if (tag->value & NETLINK_HAS_CAP_ACK)
		req.flags |= NLREQ_CAP_ACK;
	if (tag->value & NETLINK_HAS_EXT_ACK)
		req.flags |= NLREQ_EXT_ACK;
	if (tag->value & NETLINK_HAS_STRICT)
		req.flags |= NLREQ_STRICT;
	return req;
}

/* Waits until the socket is writable: the broker has dealt with what was sent. No cancellation
 * point; signals do not end it, for the kernel's answer would be there by now. */
static void settle(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (SYS(SYS_ppoll, &p, 1, NULL, NULL, 0) == -EINTR)
		;
}

/* Sends buf, whose first NLREQ_HEAD bytes are for the head. */
static int transmit(int fd, const struct nlreq *req, uint8_t *buf, size_t len)
{
	long r;

	nlreq_encode(req, buf);
	if (len < NLREQ_PADDED) {
		memset(buf + len, 0, NLREQ_PADDED - len);
		len = NLREQ_PADDED;
	}
	do {
		r = SYS(SYS_sendto, fd, buf, len, MSG_NOSIGNAL, NULL, 0);
		if (r == -EAGAIN) /* another thread's request is on its way */
			settle(fd);
	} while (r == -EAGAIN || r == -EINTR);
	if (r < 0)
		return -ECONNREFUSED; /* as without anybody who listens */
	settle(fd);
	return 0;
}

/* Tells the broker of a changed membership. */
static int send_groups(int fd, const struct tag *tag)
{
	struct nlreq req = request(fd, tag);
	uint8_t buf[NLREQ_PADDED];

	if (tag->value & NETLINK_IS_UEVENT)
		return 0;
	req.flags |= NLREQ_SET_GROUPS;
	return transmit(fd, &req, buf, NLREQ_HEAD);
}

static int autobind(int fd, struct tag *tag)
{
	if (tag->phase == TAG_BOUND)
		return 0;
	set_portid(tag, (uint32_t)getpid());
	return tag_set(fd, tag);
}

/* Only the kernel can be written to: no other process, no group. */
static int check_destination(const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_nl nl;
	int r;

	if (!addr || len == 0)
		return 0;
	if (len < sizeof(nl))
		return -EINVAL;
	r = user_read(&nl, addr, sizeof(nl));
	if (r < 0)
		return r;
	if (nl.nl_family != AF_NETLINK)
		return -EINVAL;
	if (nl.nl_groups)
		return -EPERM;
	return nl.nl_pid ? -ECONNREFUSED : 0;
}

/* The message's bytes behind the head; their number, or -EFAULT, -EMSGSIZE. */
static ssize_t gather(const struct msghdr *msg, uint8_t *buf)
{
	size_t len = NLREQ_HEAD;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		struct iovec iov;
		int r = user_read(&iov, &msg->msg_iov[i], sizeof(iov));

		if (r < 0)
			return r;
		if (iov.iov_len > NLREQ_MAX - len)
			return -EMSGSIZE;
		r = user_read(buf + len, iov.iov_base, iov.iov_len);
		if (r < 0)
			return r;
		len += iov.iov_len;
	}
	return (ssize_t)len;
}

ssize_t netlink_sendmsg(int fd, struct tag *tag, const struct msghdr *user, int flags)
{
	uint8_t buf[NLREQ_MAX];
	struct msghdr msg;
	struct nlreq req;
	ssize_t len;
	int r = user_read(&msg, user, sizeof(msg));

	if (r == 0 && flags & MSG_OOB)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = check_destination(msg.msg_name, msg.msg_namelen);
	if (r == 0 && tag->value & NETLINK_IS_UEVENT)
		r = -EPERM;
	if (r == 0)
		r = autobind(fd, tag);
	if (r < 0)
		return r;
	len = gather(&msg, buf);
	if (len < 0)
		return len;
	req = request(fd, tag);
	r = transmit(fd, &req, buf, (size_t)len);
	return r < 0 ? r : len - NLREQ_HEAD;
}

ssize_t netlink_sendto(int fd, struct tag *tag, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};
	struct msghdr msg = {.msg_name = (void *)(uintptr_t)addr,
		.msg_namelen = len,
		.msg_iov = &iov,
		.msg_iovlen = 1};

	return netlink_sendmsg(fd, tag, &msg, flags);
}

ssize_t netlink_writev(int fd, struct tag *tag, const struct iovec *iov, int count)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};

	return count < 0 ? -EINVAL : netlink_sendmsg(fd, tag, &msg, 0);
}

/* --- names --- */

static int join(int fd, const struct tag *tag, uint32_t groups)
{
	int r;

	if (groups == groups_of(fd))
		return 0;
	r = side_set(fd, SIDE_NETLINK_GROUPS, (int)groups);
	return r < 0 ? r : send_groups(fd, tag);
}

int netlink_bind(int fd, struct tag *tag, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_nl nl;
	int r = len < sizeof(nl) ? -EINVAL : user_read(&nl, addr, sizeof(nl));

	if (r < 0)
		return r;
	if (nl.nl_family != AF_NETLINK || (tag->phase == TAG_BOUND && nl.nl_pid != portid(tag)))
		return -EINVAL;
	if (tag->phase != TAG_BOUND) {
		set_portid(tag, nl.nl_pid ? nl.nl_pid : (uint32_t)getpid());
		r = tag_set(fd, tag);
	}
	return r < 0 ? r : join(fd, tag, nl.nl_groups);
}

int netlink_connect(int fd, struct tag *tag, const struct sockaddr *addr, socklen_t len)
{
	sa_family_t family;
	int r = len < sizeof(family) ? -EINVAL : user_read(&family, addr, sizeof(family));

	if (r < 0 || family == AF_UNSPEC)
		return r;
	r = check_destination(addr, len);
	return r < 0 ? r : autobind(fd, tag);
}

int netlink_name(int fd, const struct tag *tag, bool peer, struct sockaddr *addr, socklen_t *lenp)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_nl *nl = (struct sockaddr_nl *)&ss;

	nl->nl_family = AF_NETLINK;
	if (!peer) {
		nl->nl_pid = tag->phase == TAG_BOUND ? portid(tag) : 0;
		nl->nl_groups = groups_of(fd);
	}
	return user_write_sockaddr(fd, addr, lenp, &ss, sizeof(*nl));
}

/* --- receiving --- */

/* News has no asker; which group it was sent to follows from what it is. 0: an answer. */
static uint32_t group_of(const struct msghdr *msg, ssize_t n)
{
	struct nlmsghdr nlh;
	uint8_t family;

	if (n < (ssize_t)(sizeof(nlh) + 1) || msg->msg_iovlen == 0 ||
		msg->msg_iov[0].iov_len < sizeof(nlh) + 1)
		return 0;
	memcpy(&nlh, msg->msg_iov[0].iov_base, sizeof(nlh));
	memcpy(&family, (char *)msg->msg_iov[0].iov_base + sizeof(nlh), 1);
	if (nlh.nlmsg_pid != 0 || nlh.nlmsg_seq != 0)
		return 0;
	switch (nlh.nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return RTNLGRP_LINK;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return family == AF_INET ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR;
	default:
		return 0;
	}
}

/* The kernel is process 0 of user 0. */
static void as_kernel(struct msghdr *msg)
{
	static const struct ucred kernel;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
			c->cmsg_len >= CMSG_LEN(sizeof(kernel)))
			memcpy(CMSG_DATA(c), &kernel, sizeof(kernel));
}

static void add_pktinfo(struct msghdr *msg, size_t cap, uint32_t group)
{
	struct nl_pktinfo info = {.group = group};
	struct cmsghdr *c;
	size_t used = CMSG_ALIGN(msg->msg_controllen);

	if (used + CMSG_SPACE(sizeof(info)) > cap) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	c = (struct cmsghdr *)((char *)msg->msg_control + used);
	c->cmsg_level = SOL_NETLINK;
	c->cmsg_type = NETLINK_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	msg->msg_controllen = used + CMSG_SPACE(sizeof(info));
}

/* recvmsg(2) has filled msg in, whose msg_controllen was ctllen before. */
static void complete(
	const struct tag *tag, struct msghdr *msg, socklen_t namelen, size_t ctllen, ssize_t n)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	uint32_t group = group_of(msg, n);

	if (group)
		nl.nl_groups = 1U << (group - 1);
	if (msg->msg_name) {
		memcpy(msg->msg_name, &nl, namelen < sizeof(nl) ? namelen : sizeof(nl));
		msg->msg_namelen = sizeof(nl);
	}
	if (msg->msg_control) {
		as_kernel(msg);
		if (tag->value & NETLINK_HAS_PKTINFO)
			add_pktinfo(msg, ctllen, group);
	}
}

ssize_t netlink_recvmsg(int fd, const struct tag *tag, struct msghdr *msg, int flags)
{
	struct msghdr before;
	ssize_t n;
	int r = user_read(&before, msg, sizeof(before));

	if (r < 0)
		return r;
	n = real(recvmsg)(fd, msg, flags);
	if (n < 0)
		return -errno;
	if (n > 0)
		complete(tag, msg, before.msg_namelen, before.msg_controllen, n);
	return n;
}

ssize_t netlink_recvfrom(int fd, const struct tag *tag, void *buf, size_t n, int flags,
	struct sockaddr *addr, socklen_t *lenp)
{
	struct iovec iov = {.iov_base = buf, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	socklen_t cap = 0;
	ssize_t got;
	int r;

	if (addr) {
		r = user_read(&cap, lenp, sizeof(cap));
		if (r < 0)
			return r;
		if ((int)cap < 0)
			return -EINVAL;
		msg.msg_name = addr;
		msg.msg_namelen = cap;
	}
	got = netlink_recvmsg(fd, tag, &msg, flags);
	if (got < 0 || !addr)
		return got;
	r = user_write(fd, lenp, &msg.msg_namelen, sizeof(msg.msg_namelen));
	return r < 0 ? r : got;
}

int netlink_recvmmsg(int fd, const struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags)
{
	bool wait_for_one = flags & MSG_WAITFORONE;
	unsigned done = 0;

	flags &= ~MSG_WAITFORONE;
	while (done < n) {
		ssize_t got = netlink_recvmsg(fd, tag, &msgs[done].msg_hdr, flags);

		if (got < 0)
			return done > 0 ? (int)done : (int)got;
		msgs[done++].msg_len = (unsigned)got;
		if (wait_for_one)
			flags |= MSG_DONTWAIT;
	}
	return (int)done;
}

/* --- options --- */

static int option_bit(int name)
{
	switch (name) {
	case NETLINK_PKTINFO:
		return NETLINK_HAS_PKTINFO;
	case NETLINK_BROADCAST_ERROR:
		return NETLINK_HAS_BROADCAST_ERROR;
	case NETLINK_NO_ENOBUFS:
		return NETLINK_HAS_NO_ENOBUFS;
	case NETLINK_CAP_ACK:
		return NETLINK_HAS_CAP_ACK;
	case NETLINK_EXT_ACK:
		return NETLINK_HAS_EXT_ACK;
	case NETLINK_GET_STRICT_CHK:
		return NETLINK_HAS_STRICT;
	default:
		return 0;
	}
}

/* SOL_SOCKET options that AF_UNIX would answer otherwise; 1: the kernel's. */
static int get_socket_option(int fd, const struct tag *tag, int name, int *valuep)
{
	enum { DEFAULT = 212992, LEAST = 4608 };
	int v;

	switch (name) {
	case SO_DOMAIN:
		*valuep = AF_NETLINK;
		return 0;
	case SO_TYPE:
		*valuep = tag->value & NETLINK_IS_RAW ? SOCK_RAW : SOCK_DGRAM;
		return 0;
	case SO_PROTOCOL:
		*valuep = tag->value & NETLINK_IS_UEVENT ? NETLINK_KOBJECT_UEVENT : NETLINK_ROUTE;
		return 0;
	case SO_SNDBUF:
		v = DEFAULT;
		if (side_get(fd, SIDE_SNDBUF, &v))
			v = v < 0 || v > DEFAULT ? 2 * DEFAULT : 2 * v;
		*valuep = v < LEAST ? LEAST : v;
		return 0;
	case SO_MAX_PACING_RATE:
	case SO_PEERCRED:
	case SO_PEERSEC:
		return -ENOPROTOOPT;
	default:
		return 1;
	}
}

int netlink_getsockopt(
	int fd, const struct tag *tag, int level, int name, void *value, socklen_t *lenp)
{
	socklen_t cap, len = sizeof(int);
	int v, r;

	if (level == SOL_SOCKET) {
		r = get_socket_option(fd, tag, name, &v);
		if (r == 1)
			return (int)SYS(SYS_getsockopt, fd, level, name, value, lenp);
	} else {
		r = level == SOL_NETLINK ? 0 : -ENOPROTOOPT;
	}
	if (r == 0)
		r = user_read(&cap, lenp, sizeof(cap));
	if (r < 0)
		return r;
	if (level == SOL_NETLINK) {
		v = (int)groups_of(fd);
		if (name != NETLINK_LIST_MEMBERSHIPS) {
			if (cap < sizeof(v))
				return -EINVAL;
			if (!option_bit(name))
				return -ENOPROTOOPT;
			v = (tag->value & (uint32_t)option_bit(name)) != 0;
		}
	}
	if ((int)cap < 0)
		return -EINVAL;
	r = user_write(fd, value, &v, cap < len ? cap : len);
	return r < 0 ? r : user_write(fd, lenp, &len, sizeof(len));
}

static int set_netlink_option(int fd, struct tag *tag, int name, int v)
{
	uint32_t groups = groups_of(fd), bit;

	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		if (v <= 0 || v > RTNLGRP_MAX)
			return -EINVAL;
		if (v > GROUPS_MAX)
			return 0; /* of these there is never any news */
		bit = 1U << (v - 1);
		return join(fd, tag, name == NETLINK_ADD_MEMBERSHIP ? groups | bit : groups & ~bit);
	case NETLINK_LISTEN_ALL_NSID:
		return -EPERM;
	default:
		bit = (uint32_t)option_bit(name);
		if (!bit)
			return -ENOPROTOOPT;
		tag->value = v ? tag->value | bit : tag->value & ~bit;
		return tag_set(fd, tag);
	}
}

int netlink_setsockopt(
	int fd, struct tag *tag, int level, int name, const void *value, socklen_t len)
{
	int v = 0, r = 0;

	if (level != SOL_SOCKET && level != SOL_NETLINK)
		return -ENOPROTOOPT;
	if (level == SOL_SOCKET)
		switch (name) {
		case SO_SNDBUF:
			break;
		case SO_SNDBUFFORCE:
		case SO_RCVBUFFORCE:
			return -EPERM;
		case SO_MAX_PACING_RATE:
			return 0; /* the tag lives there */
		default:
			return (int)SYS(SYS_setsockopt, fd, level, name, value, len);
		}
	if (len >= sizeof(v))
		r = user_read(&v, value, sizeof(v));
	else if (level == SOL_SOCKET)
		r = -EINVAL;
	if (r < 0)
		return r;
	return level == SOL_SOCKET ? side_set(fd, SIDE_SNDBUF, v)
				   : set_netlink_option(fd, tag, name, v);
}

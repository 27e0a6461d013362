/* SPDX-License-Identifier: MIT */
/* socket(2) and socketpair(2): an internet socket is an AF_UNIX socket from birth.
 *
 * Datagram sockets are made in udp.c. SO_SNDBUF of a stream is at its minimum from the start: that
 * is the gate which keeps a connecting socket unwritable (ask.h). Families other than AF_UNIX are
 * refused with the errors of a kernel that lacks them, raw sockets with those for an unprivileged
 * user. Without a usable portspace (PERSONA_PORTSPACE_DIR missing or unreadable) there is no
 * internet family at all: EAFNOSUPPORT, the same that the seal answers. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <time.h>

#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "side.h"
#include "udp.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum {
	FAMILY_MAX = 46,    /* AF_MAX of the kernel */
	TYPE_MAX = 11,	    /* SOCK_MAX of the kernel */
	PROTOCOL_MAX = 263, /* IPPROTO_MAX of the kernel */
	TYPE_MASK = 0xf,
	FLAGS_MASK = SOCK_CLOEXEC | SOCK_NONBLOCK
};

/* Which emulation serves (family, type, protocol)? 0 and the tag, or what Linux says to an
 * unprivileged user. */
static int classify(int family, int type, int protocol, struct tag *tagp)
{
	*tagp = (struct tag){.v6 = family == AF_INET6};
	if (type == SOCK_PACKET && family == AF_INET)
		return -EPERM;
	if (protocol < 0 || protocol >= PROTOCOL_MAX)
		return -EINVAL;
	switch (type) {
	case SOCK_STREAM:
		tagp->kind = TAG_TCP;
		return protocol == 0 || protocol == IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
	case SOCK_DGRAM:
		tagp->kind = TAG_UDP;
		if (protocol == (family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
			tagp->kind = family == AF_INET ? TAG_ICMP : TAG_ICMP6;
			return 0;
		}
		return protocol == 0 || protocol == IPPROTO_UDP ? 0 : -EPROTONOSUPPORT;
	case SOCK_RAW:
		return protocol == 0 ? -EPROTONOSUPPORT : -EPERM;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

int socket_fresh(const struct tag *tag, int flags)
{
	int least = 0;
	long fd, r;

	if (udp_kind(tag))
		return udp_fresh(tag, flags);
	fd = SYS(SYS_socket, AF_UNIX, SOCK_STREAM | flags, 0);
	if (fd < 0)
		return (int)fd;
	r = SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	if (r == 0)
		r = tag_set((int)fd, tag);
	if (r < 0) {
		SYS(SYS_close, fd);
		return (int)r;
	}
	return (int)fd;
}

bool socket_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};
	struct timespec now = {0};

	return SYS(SYS_ppoll, &p, 1, &now, NULL, 0) == 1 && p.revents & POLLHUP;
}

/* The checks that come before a family is looked at; 0 or what Linux answers. */
static int check_arguments(int family, int type)
{
	if (type & ~(FLAGS_MASK | TYPE_MASK))
		return -EINVAL;
	if (family < 0 || family >= FAMILY_MAX)
		return -EAFNOSUPPORT;
	if ((type & TYPE_MASK) >= TYPE_MAX)
		return -EINVAL;
	return 0;
}

HOOK int socket(int family, int type, int protocol)
{
	struct tag tag;
	int r;

	if (family == AF_UNIX)
		return real(socket)(family, type, protocol);
	r = check_arguments(family, type);
	if (r < 0)
		return ret(r);
	if (family == AF_PACKET)
		return ret(-EPERM);
	if (family == AF_NETLINK && info_get())
		return ret(netlink_socket(type, protocol));
	if ((family != AF_INET && family != AF_INET6) || !info_get())
		return ret(-EAFNOSUPPORT);
	r = classify(family, type & TYPE_MASK, protocol, &tag);
	return ret(r < 0 ? r : socket_fresh(&tag, type & FLAGS_MASK));
}

HOOK int socketpair(int family, int type, int protocol, int fds[2])
{
	struct tag tag;
	int r;

	if (family == AF_UNIX)
		return real(socketpair)(family, type, protocol, fds);
	r = check_arguments(family, type);
	if (r < 0)
		return ret(r);
	if (family == AF_PACKET)
		return ret(-EPERM);
	if ((family != AF_INET && family != AF_INET6) || !info_get())
		return ret(-EAFNOSUPPORT);
	r = classify(family, type & TYPE_MASK, protocol, &tag);
	return ret(r < 0 ? r : -EOPNOTSUPP);
}

struct native_option {
	int name;
	socklen_t len;
};

static void copy_native_options(int from, int to)
{
	static const struct native_option options[] = {
		{SO_REUSEADDR, sizeof(int)},
		{SO_KEEPALIVE, sizeof(int)},
		{SO_LINGER, sizeof(struct linger)},
		{SO_OOBINLINE, sizeof(int)},
		{SO_RCVLOWAT, sizeof(int)},
		{SO_PRIORITY, sizeof(int)},
		{SO_RCVTIMEO, 16},
		{SO_SNDTIMEO, 16},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		char value[16];
		socklen_t len = options[i].len;

		if (SYS(SYS_getsockopt, from, SOL_SOCKET, options[i].name, value, &len) == 0)
			SYS(SYS_setsockopt, to, SOL_SOCKET, options[i].name, value, len);
	}
	side_copy(from, to);
}

/* Where the program had bound the socket: the wildcard, or the source in the kernel's name. */
static void bound_to(int fd, const struct tag *tag, const struct info *info, struct endpoint *ep)
{
	struct tag wildcard = {.v6 = tag->v6, .class = TAG_ADDR_ANY};
	struct endpoint peer;

	if (tag->class == TAG_ADDR_ANY || names_of(fd, info, ep, &peer) < 0)
		tag_local(&wildcard, info, ep);
	ep->port = tag->port;
}

int socket_renew(int fd, const struct tag *old, struct tag *tagp)
{
	struct tag tag = {.kind = old->kind,
		.v6 = old->v6,
		.v6only = old->v6only,
		.reuseport = old->reuseport,
		.nodelay = old->nodelay};
	const struct shim_info *si = info_get();
	long flags = SYS(SYS_fcntl, fd, F_GETFL), fdflags = SYS(SYS_fcntl, fd, F_GETFD), r;
	struct endpoint local;
	int fresh;

	if (flags < 0 || !si)
		return flags < 0 ? (int)flags : -ENETUNREACH;
	fresh = socket_fresh(&tag, SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0));
	if (fresh < 0)
		return fresh;
	copy_native_options(fd, fresh);
	bound_to(fd, old, &si->info, &local);
	r = SYS(SYS_dup3, fresh, fd, fdflags & FD_CLOEXEC ? O_CLOEXEC : 0);
	SYS(SYS_close, fresh);
	if (r < 0)
		return (int)r;
	/* The old socket is gone now, so its address is free unless it was shared. */
	if (old->port != 0)
		bind_endpoint(fd, &tag, &local);
	*tagp = tag;
	return 0;
}

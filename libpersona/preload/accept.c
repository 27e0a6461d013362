/* SPDX-License-Identifier: MIT */
/* accept(2) and accept4(2).
 *
 * The connecting end's name tells both addresses and proves with its MAC that it comes from this
 * portspace or its broker; whoever has no such name, or another user's process, is hung up on and
 * the next connection is taken. A new socket inherits from the listener what TCP would inherit:
 * AF_UNIX makes it afresh. */
#include <netinet/in.h>

#include "aside.h"
#include "preload.h"
#include "real.h"
#include "side.h"
#include "sockname.h"

struct inherited {
	int name;
	socklen_t len;
};

/* Bit i of SIDE_INHERIT is option i: it differs from a fresh socket's. */
static const struct inherited inherited[] = {
	{SO_KEEPALIVE, sizeof(int)},
	{SO_LINGER, sizeof(struct linger)},
	{SO_RCVTIMEO, 16},
	{SO_SNDTIMEO, 16},
	{SO_OOBINLINE, sizeof(int)},
	{SO_RCVLOWAT, sizeof(int)},
	{SO_PRIORITY, sizeof(int)},
};

enum { NINHERITED = sizeof(inherited) / sizeof(*inherited) };

/* What the listener has set; asked once for each listener and process, so that a listener that
 * came by exec or from another process is served as well. */
static int inherit_mask(int fd)
{
	int mask = 0;

	if (side_get(fd, SIDE_INHERIT, &mask))
		return mask;
	for (int i = 0; i < NINHERITED; i++) {
		char value[16] = {0};
		socklen_t len = inherited[i].len;
		bool set = false;

		if (SYS(SYS_getsockopt, fd, SOL_SOCKET, inherited[i].name, value, &len) < 0)
			continue;
		/* SO_RCVLOWAT's default is 1, everything else is zero by default */
		if (inherited[i].name == SO_RCVLOWAT)
			value[0]--;
		for (socklen_t k = 0; k < len; k++)
			set = set || value[k];
		mask |= set << i;
	}
	side_set(fd, SIDE_INHERIT, mask);
	return mask;
}

static void inherit(int listener, int fd, struct tag *tag)
{
	int mask = inherit_mask(listener), sndbuf;

	for (int i = 0; mask >> i; i++) {
		char value[16];
		socklen_t len = inherited[i].len;

		if (!(mask >> i & 1))
			continue;
		if (SYS(SYS_getsockopt, listener, SOL_SOCKET, inherited[i].name, value, &len) == 0)
			SYS(SYS_setsockopt, fd, SOL_SOCKET, inherited[i].name, value, len);
		if (inherited[i].name == SO_LINGER)
			aside_linger(fd, tag);
	}
	if (side_copy(listener, fd) && side_get(fd, SIDE_SNDBUF, &sndbuf)) {
		sndbuf = sndbuf_clamp(sndbuf);
		SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	}
}

static bool same_user(int fd, uid_t owner)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	return cred.uid == owner || cred.uid == geteuid();
}

/* Accepts until a connection is genuine. The descriptor or a negative errno. */
static int accept_genuine(int fd, const struct shim_info *si, int flags, struct sockname *namep)
{
	for (;;) {
		struct sockaddr_un sun;
		socklen_t len = sizeof(sun);
		int saved = errno;
		int conn = real(accept4)(fd, (struct sockaddr *)&sun, &len, flags);

		if (conn < 0) {
			int r = -errno;

			errno = saved;
			return r;
		}
		if (len <= sizeof(sun) &&
			sockname_decode(&sun, len, si->info.portspace, si->info.secret, namep) &&
			same_user(conn, si->owner))
			return conn;
		SYS(SYS_close, conn);
	}
}

static int accept_tcp(
	int fd, const struct tag *listener, struct sockaddr *addr, socklen_t *lenp, int flags)
{
	const struct shim_info *si = info_get();
	struct tag tag = {.kind = TAG_TCP,
		.phase = TAG_CONNECTED,
		.v6 = listener->v6,
		.v6only = listener->v6only,
		.nodelay = listener->nodelay,
		.value = CONNECTED_TOLD};
	struct sockaddr_storage ss;
	struct sockname name;
	socklen_t len;
	int conn, r;

	if (!si)
		return -EINVAL;
	conn = accept_genuine(fd, si, flags, &name);
	if (conn < 0)
		return conn;
	r = tag_set(conn, &tag);
	if (r == 0 && addr) {
		len = endpoint_to_sockaddr(&name.src, tag.v6 ? AF_INET6 : AF_INET, &ss);
		r = len == 0 ? -EINVAL : user_write_sockaddr(conn, addr, lenp, &ss, len);
	}
	if (r < 0) {
		SYS(SYS_close, conn);
		return r;
	}
	inherit(fd, conn, &tag);
	return conn;
}

static int accept_hook(int fd, struct sockaddr *addr, socklen_t *lenp, int flags)
{
	struct tag tag;

	if (tag_get(fd, &tag) < 0)
		return real(accept4)(fd, addr, lenp, flags);
	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return ret(-EINVAL);
	if (tag.kind != TAG_TCP)
		return ret(-EOPNOTSUPP);
	if (tag.phase != TAG_LISTENING)
		return ret(-EINVAL);
	return ret(accept_tcp(fd, &tag, addr, lenp, flags));
}

HOOK int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict lenp)
{
	return accept_hook(fd, addr.__sockaddr__, lenp, 0);
}

HOOK int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict lenp, int flags)
{
	return accept_hook(fd, addr.__sockaddr__, lenp, flags);
}

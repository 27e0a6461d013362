/* SPDX-License-Identifier: MIT */
/* bind(2) and listen(2).
 *
 * bind only reserves the address in the broker's port table and notes it in the tag; the AF_UNIX
 * socket itself gets its name later, when it is known whether it becomes a server (a path) or a
 * client (an abstract name). A port below 1024 needs no privilege inside a portspace. Without a
 * broker there is no port table: ENETUNREACH. */
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "side.h"
#include "udp.h"

/* Value of TAG_ADDR_ANY for ::ffff:0.0.0.0 on an IPv6 socket: every IPv4 address. */
enum { ANY_MAPPED = 1 };

void tag_local(const struct tag *tag, const struct info *info, struct endpoint *ep)
{
	bool mapped = tag->class == TAG_ADDR_ANY && tag->value == ANY_MAPPED;

	ep->addr = tag->v6 && !mapped ? addr_any6 : addr_any4;
	ep->port = tag->port;
	if (tag->class == TAG_ADDR_LOOP && tag->v6 && tag->value == 0) {
		ep->addr = addr_loopback6;
	} else if (tag->class == TAG_ADDR_LOOP) {
		ep->addr = addr_loopback4;
		ep->addr.b[13] = (uint8_t)(tag->value >> 16);
		ep->addr.b[14] = (uint8_t)(tag->value >> 8);
		ep->addr.b[15] = (uint8_t)tag->value;
	} else if (tag->class == TAG_ADDR_OWN && tag->value < info->naddr) {
		ep->addr = info->addr[tag->value].addr;
	}
}

/* Notes an address in the tag; -EADDRNOTAVAIL when it is none of the portspace's. */
static int tag_set_local(struct tag *tag, const struct info *info, const struct addr *a)
{
	int own = info_own(info, a);

	tag->value = 0;
	if (addr_is_any(a)) {
		tag->class = TAG_ADDR_ANY;
		tag->value = tag->v6 && addr_is_v4(a) ? ANY_MAPPED : 0;
	} else if (addr_is_loopback(a)) {
		tag->class = TAG_ADDR_LOOP;
		if (addr_is_v4(a))
			tag->value = (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
	} else if (own >= 0) {
		tag->class = TAG_ADDR_OWN;
		tag->value = (uint32_t)own;
	} else {
		return -EADDRNOTAVAIL;
	}
	return 0;
}

int sockaddr_to_endpoint(const struct tag *tag, const struct sockaddr_storage *ss, socklen_t len,
	struct endpoint *ep)
{
	socklen_t least =
		tag->v6 ? offsetof(struct sockaddr_in6, sin6_scope_id) : sizeof(struct sockaddr_in);

	if (len < least)
		return -EINVAL;
	if (ss->ss_family != (tag->v6 ? AF_INET6 : AF_INET))
		return -EAFNOSUPPORT;
	return endpoint_from_sockaddr((const struct sockaddr *)ss, len, ep);
}

uint8_t bind_flags(int fd, const struct tag *tag)
{
	int reuse = 0;
	socklen_t len = sizeof(reuse);

	SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &len);
	return (uint8_t)((reuse ? ASK_REUSEADDR : 0) | (tag->reuseport ? ASK_REUSEPORT : 0) |
			 (tag->v6only ? ASK_V6ONLY : 0) | (tag->v6 ? ASK_V6 : 0));
}

static int ask_port(enum ask_op op, int fd, const struct tag *tag, const struct endpoint *local,
	struct ask_reply *repp)
{
	struct ask_request req = {.op = op, .local = *local};
	struct stat st;
	long r = SYS(SYS_fstat, fd, &st);

	if (r < 0)
		return (int)r;
	req.proto = tag->kind == TAG_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	req.flags = bind_flags(fd, tag);
	req.inode = st.st_ino;
	return ask_broker(&req, repp, ASK_SMALL);
}

int bind_endpoint(int fd, struct tag *tag, const struct endpoint *local)
{
	const struct shim_info *si = info_get();
	struct tag next = *tag;
	struct ask_reply rep;
	int no_port = 0, r;

	if (!si)
		return -ENETUNREACH;
	r = tag_set_local(&next, &si->info, &local->addr);
	if (r < 0)
		return r;
	if (tag->phase != TAG_FRESH)
		return -EINVAL;
	if (local->port == 0 && side_get(fd, SIDE_NO_PORT, &no_port) && no_port) {
		next.port = 0; /* connect(2) will choose one */
	} else {
		r = ask_port(ASK_BIND, fd, tag, local, &rep);
		if (r < 0)
			return r;
		next.port = rep.port;
	}
	next.phase = TAG_BOUND;
	r = tag_set(fd, &next);
	if (r == 0)
		*tag = next;
	return r;
}

HOOK int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	struct sockaddr_storage ss;
	struct endpoint local;
	struct tag tag;
	int r;

	if (tag_get(fd, &tag) < 0)
		return real(bind)(fd, addr.__sockaddr__, len);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_bind(fd, &tag, addr.__sockaddr__, len));
	r = user_read_sockaddr(&ss, addr.__sockaddr__, len);
	if (r < 0)
		return ret(r);
	/* Linux takes AF_UNSPEC with the wildcard as AF_INET, for programs of old. */
	if (!tag.v6 && len >= sizeof(struct sockaddr_in) && ss.ss_family == AF_UNSPEC &&
		((struct sockaddr_in *)&ss)->sin_addr.s_addr == INADDR_ANY)
		ss.ss_family = AF_INET;
	r = sockaddr_to_endpoint(&tag, &ss, len, &local);
	if (r == 0 && tag.v6only && addr_is_v4(&local.addr))
		r = -EINVAL;
	if (r < 0)
		return ret(r);
	return ret(udp_kind(&tag) ? udp_bind(fd, &tag, &local) : bind_endpoint(fd, &tag, &local));
}

/* Gives the socket the file name that the port table says. */
enum { BIND_SHARED_TRIES = 100 };

static bool has_name(int fd)
{
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);

	return SYS(SYS_getsockname, fd, &sun, &len) == 0 &&
	       len > (socklen_t)offsetof(struct sockaddr_un, sun_path);
}

static int bind_path(int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	long r;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	r = SYS(SYS_bind, fd, &sun, sizeof(sun));
	/* The broker cleared the path, so it is our own socket that is there: another process that
	 * shares it was faster. The kernel makes the file a moment before the socket has the name.
	 */
	for (int i = 0; r == -EADDRINUSE && i < BIND_SHARED_TRIES; i++) {
		if (has_name(fd))
			return 0;
		SYS(SYS_sched_yield);
	}
	if (r < 0)
		return (int)r;
	/* Whatever the umask was: the same user's clients must be able to connect. */
	SYS(SYS_fchmodat, AT_FDCWD, path, 0600);
	return 0;
}

static int become_listener(int fd, struct tag *tag)
{
	const struct shim_info *si = info_get();
	struct endpoint local;
	struct ask_reply rep;
	int r;

	if (!si)
		return -ENETUNREACH;
	tag_local(tag, &si->info, &local);
	r = ask_port(ASK_LISTEN, fd, tag, &local, &rep);
	if (r == 0)
		r = bind_path(fd, rep.path);
	/* EINVAL: it has a name already. Another process that shares it was faster. */
	if (r < 0 && r != -EINVAL)
		return r;
	tag->port = rep.port;
	tag->phase = TAG_LISTENING;
	return tag_set(fd, tag);
}

HOOK int listen(int fd, int backlog)
{
	struct tag tag;
	int r;

	if (tag_get(fd, &tag) < 0)
		return real(listen)(fd, backlog);
	if (tag.kind != TAG_TCP)
		return ret(-EOPNOTSUPP);
	if (tag.phase == TAG_FAILED) {
		r = socket_renew(fd, &tag, &tag);
		if (r < 0)
			return ret(r);
	}
	if (tag.phase == TAG_CONNECTING || tag.phase == TAG_CONNECTED)
		return ret(-EINVAL);
	if (tag.phase != TAG_LISTENING) {
		r = become_listener(fd, &tag);
		if (r < 0)
			return ret(r);
	}
	return ret(SYS(SYS_listen, fd, backlog));
}

/* Sun RPC's helper: binds to a port between 600 and 1023. */
HOOK int bindresvport(int fd, struct sockaddr_in *sin)
{
	enum { FIRST = 600, LAST = 1023 };
	struct sockaddr_in any = {.sin_family = AF_INET};
	int port = FIRST + (int)((unsigned)getpid() % (LAST - FIRST + 1));

	if (!sin)
		sin = &any;
	else if (sin->sin_family != AF_INET)
		return ret(-EPFNOSUPPORT);
	for (int i = FIRST; i <= LAST; i++) {
		sin->sin_port = htons((uint16_t)port);
		if (bind(fd, (struct sockaddr *)sin, sizeof(*sin)) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
		port = port == LAST ? FIRST : port + 1;
	}
	return -1;
}

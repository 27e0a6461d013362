/* SPDX-License-Identifier: MIT */
/* connect(2) of a TCP socket: to a server of the same portspace directly, else by the broker.
 *
 * Both ways begin with an abstract name that carries source and destination; the kernel refuses a
 * second socket of that name, which finds a free ephemeral port. Then
 * - direct: connect to the server's path, under the names a server can have (sockname.h), at last
 *   under the one the broker knows (SO_REUSEPORT groups). Done at once; SO_SNDBUF is raised.
 * - by the broker: connect to stream.N and send the connect request with this very socket; the
 *   gate (ask.h) keeps the socket unwritable until the broker has decided. The tag has the outcome.
 * Where the portspace inherits the server, the broker's answer is EREMOTE, and the second way it
 * is. A direct connect that would have to wait for room in the server's backlog goes by the broker
 * as well, which waits in the program's stead; so does a refused one of a non-blocking socket,
 * because TCP reports that later, as an event.
 *
 * Phases: FRESH, BOUND to CONNECTING → CONNECTED or FAILED. While a socket is CONNECTING the broker
 * writes its tag and the shim does not. A failed socket cannot connect again, so a later connect
 * replaces it (socket_renew): registrations in epoll are lost then, as is the state that other
 * descriptors of the same socket see. The same goes for connect with AF_UNSPEC. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "aside.h"
#include "etc_files.h"
#include "fdmsg.h"
#include "ifaddr.h"
#include "lease.h"
#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "side.h"
#include "sockname.h"
#include "udp.h"

enum {
	TRIES_BEFORE_LEASE = 32, /* ports found in use before another block is leased */
	TRIES_MAX = 8192,
	SNDBUF_DEFAULT = 106496, /* the kernel doubles it: its own default for AF_UNIX */
	BROKER_RETRY_MS = 5,
	BROKER_RETRIES = 200
};

static bool is_local(const struct info *info, const struct addr *a)
{
	return addr_is_loopback(a) || info_own(info, a) >= 0;
}

/* Source address: the bound one where there is one. */
static int source(const struct tag *tag, const struct info *info, const struct addr *dst,
	struct endpoint *srcp)
{
	srcp->port = 0;
	if (tag->phase == TAG_BOUND) {
		tag_local(tag, info, srcp);
		if (!addr_is_any(&srcp->addr)) {
			if (addr_is_v4(&srcp->addr) != addr_is_v4(dst))
				return -ENETUNREACH;
			if (addr_is_loopback(&srcp->addr) && !is_local(info, dst))
				return addr_is_v4(dst) ? -EINVAL : -ENETUNREACH;
			return 0;
		}
	}
	return ifaddr_source(info, dst, &srcp->addr);
}

/* The destination as TCP takes it: the wildcard means this host. */
static int destination(const struct tag *tag, const struct sockaddr_storage *ss, socklen_t len,
	struct endpoint *dst)
{
	int r = sockaddr_to_endpoint(tag, ss, len, dst);

	if (r < 0)
		return r;
	if (addr_equal(&dst->addr, &addr_any4))
		dst->addr = addr_loopback4;
	else if (addr_is_any(&dst->addr))
		dst->addr = addr_loopback6;
	if (tag->v6only && addr_is_v4(&dst->addr))
		return -ENETUNREACH;
	return addr_is_multicast(&dst->addr) ? -ENETUNREACH : 0;
}

/* A port of Linux's ephemeral range, a different one for each process and try. */
static int any_port(int try)
{
	enum { FIRST = 32768, COUNT = 28232 };

	return FIRST + (int)(((unsigned)getpid() * 7919U + (unsigned)try) % COUNT);
}

/* Gives the socket its name, with a leased port unless one is bound. 0 or a negative errno. */
static int bind_name(int fd, const struct info *info, enum sockname_kind kind, struct endpoint *src,
	const struct endpoint *dst)
{
	struct sockname name = {.kind = kind, .portspace = info->portspace, .dst = *dst};
	bool leased = src->port == 0;

	for (int i = 0; i < TRIES_MAX; i++) {
		struct sockaddr_un sun;
		socklen_t len;
		long r;

		if (leased) {
			r = lease_next(i > 0 && i % TRIES_BEFORE_LEASE == 0);
			/* No descriptor left to ask with: inside the portspace the name alone
			 * keeps connections apart, so any port will do. */
			if (r == -EMFILE || r == -ENFILE)
				r = kind == SOCKNAME_LOCAL ? any_port(i) : -EADDRNOTAVAIL;
			if (r < 0)
				return (int)r;
			src->port = (uint16_t)r;
		}
		name.src = *src;
		len = sockname_encode(&name, info->secret, &sun);
		r = SYS(SYS_bind, fd, &sun, len);
		if (r != -EADDRINUSE)
			return (int)r;
		if (!leased)
			break;
	}
	return -EADDRNOTAVAIL;
}

static int finish(int fd, struct tag *tag, enum tag_phase phase, uint32_t value)
{
	tag->phase = phase;
	tag->value = value;
	return tag_set(fd, tag);
}

/* Connects to stream.N. A full backlog of the broker is waited for, but not for long. */
static int connect_worker(int fd, const struct info *info, uint16_t port)
{
	struct sockaddr_un sun;
	char name[16];
	long r;

	snprintf(name, sizeof(name), "stream.%u", (unsigned)port % info->nworkers);
	if (runtime_path(name, &sun) == 0)
		return -ENETUNREACH;
	for (int i = 0; i < BROKER_RETRIES; i++) {
		r = SYS(SYS_connect, fd, &sun, sizeof(sun));
		if (r == 0)
			return 0;
		if (r != -EAGAIN && r != -EINTR)
			return -ENETUNREACH;
		if (r == -EAGAIN)
			poll(NULL, 0, BROKER_RETRY_MS);
	}
	return -ETIMEDOUT;
}

/* Hands the connect over to the broker: 0 when it has the request. */
static int connect_broker(int fd, struct tag *tag, const struct info *info,
	const struct endpoint *src, const struct endpoint *dst)
{
	struct connreq req = {.proto = IPPROTO_TCP, .src = *src, .dst = *dst};
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];
	int sndbuf = 0, r = connect_worker(fd, info, src->port);

	if (r < 0)
		return r;
	if (side_get(fd, SIDE_SNDBUF, &sndbuf))
		req.sndbuf = (uint32_t)sndbuf;
	req.abort = aside_aborts(fd);
	connreq_encode(&req, buf);
	r = finish(fd, tag, TAG_CONNECTING, req.abort ? CONNECTED_ABORT : 0);
	if (r < 0)
		return r;
	return fdmsg_send(fd, buf, sizeof(buf), fd) < 0 ? -ENETUNREACH : 0;
}

/* One candidate name of a server. */
static long try_path(int fd, const struct addr *a, bool v6only, uint16_t port)
{
	struct sockname_listen l = {
		.local = {.addr = *a, .port = port}, .v6only = v6only, .member = -1};
	char file[SOCKNAME_FILE_MAX];
	struct sockaddr_un sun;

	if (portspace_path(sockname_file(&l, file), &sun) == 0)
		return -ENAMETOOLONG;
	return SYS(SYS_connect, fd, &sun, sizeof(sun));
}

static bool nobody(long r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

/* Connects to the server that has dst. 0, -ECONNREFUSED, -EAGAIN or -EINTR (backlog full), -EREMOTE
 * (an inherited one). */
static int connect_direct(int fd, const struct endpoint *dst)
{
	bool v4 = addr_is_v4(&dst->addr);
	struct ask_request req = {.op = ASK_LOCAL, .proto = IPPROTO_TCP, .local = *dst};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct ask_reply rep;
	long r = try_path(fd, &dst->addr, false, dst->port);

	if (nobody(r))
		r = try_path(fd, v4 ? &addr_any4 : &addr_any6, !v4, dst->port);
	if (nobody(r))
		r = try_path(fd, &addr_any6, false, dst->port);
	for (int i = 0; nobody(r) && i < 3; i++) {
		r = ask_broker(&req, &rep, ASK_SMALL);
		if (r < 0)
			return (int)r;
		memcpy(sun.sun_path, rep.path, sizeof(sun.sun_path));
		r = SYS(SYS_connect, fd, &sun, sizeof(sun));
	}
	return nobody(r) ? -ECONNREFUSED : (int)r;
}

static int open_gate(int fd)
{
	int sndbuf = SNDBUF_DEFAULT;

	side_get(fd, SIDE_SNDBUF, &sndbuf);
	return (int)SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
}

static int begin(
	int fd, struct tag *tag, const struct info *info, const struct endpoint *dst, bool nonblock)
{
	bool local = is_local(info, &dst->addr);
	struct endpoint src;
	int r = source(tag, info, &dst->addr, &src);

	if (r < 0)
		return r;
	r = bind_name(fd, info, local ? SOCKNAME_LOCAL : SOCKNAME_CLIENT, &src, dst);
	if (r < 0)
		return r;
	r = local ? connect_direct(fd, dst) : -EAGAIN;
	if (r == 0) {
		r = finish(fd, tag, TAG_CONNECTED, nonblock ? 0 : CONNECTED_TOLD);
		if (r == 0)
			r = open_gate(fd);
		return r == 0 && nonblock ? -EINPROGRESS : r;
	}
	if (r == -EAGAIN || r == -EINTR || r == -EREMOTE ||
		(r == -ECONNREFUSED && local && nonblock)) {
		bool interrupted = r == -EINTR, refused = r == -ECONNREFUSED;

		r = connect_broker(fd, tag, info, &src, dst);
		if (r < 0 && refused)
			r = -ECONNREFUSED;
		if (r == 0)
			return interrupted ? -EINTR
			       : nonblock  ? -EINPROGRESS
					   : connect_wait(fd, tag);
	}
	/* The name is given and cannot be taken back: a next connect needs a new socket. */
	finish(fd, tag, TAG_FAILED, FAILED_SETTLED);
	return r;
}

int connect_check(int fd, struct tag *tag)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (tag->phase != TAG_CONNECTING)
		return tag->phase == TAG_FAILED && tag->value != FAILED_SETTLED ? (int)tag->value
										: 0;
	SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err == 0 && !socket_hung_up(fd))
		return 0;
	/* The other end is closed: the broker wrote its verdict before, or died without one. */
	if (tag_get(fd, tag) < 0 || tag->phase != TAG_CONNECTING)
		return tag->phase == TAG_FAILED ? (int)tag->value : 0;
	finish(fd, tag, TAG_FAILED, ENETUNREACH);
	return ENETUNREACH;
}

/* connect(2) on a socket whose connect is pending or over. */
static int again(int fd, struct tag *tag, bool nonblock)
{
	int err = connect_check(fd, tag);

	if (tag->phase == TAG_CONNECTING)
		return nonblock ? -EALREADY : connect_wait(fd, tag);
	if (tag->phase == TAG_CONNECTED) {
		if (tag->value & CONNECTED_TOLD)
			return -EISCONN;
		/* the first connect(2) after the handshake reports success */
		return finish(fd, tag, TAG_CONNECTED, tag->value | CONNECTED_TOLD);
	}
	finish(fd, tag, TAG_FAILED, FAILED_SETTLED);
	return err ? -err : -ECONNABORTED;
}

static int dissolve(int fd, struct tag *tag)
{
	if (tag->phase == TAG_FRESH || tag->phase == TAG_BOUND)
		return 0;
	return socket_renew(fd, tag, tag);
}

int connect_tcp(int fd, struct tag *tag, const struct sockaddr_storage *ss, socklen_t len)
{
	const struct shim_info *si = info_get();
	long flags = SYS(SYS_fcntl, fd, F_GETFL);
	bool nonblock = flags >= 0 && flags & O_NONBLOCK;
	struct endpoint dst;
	int r;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (!si)
		return -ENETUNREACH;
	if (ss->ss_family == AF_UNSPEC)
		return dissolve(fd, tag);
	if (tag->phase == TAG_LISTENING)
		return -EISCONN;
	if (tag->phase == TAG_CONNECTING || tag->phase == TAG_CONNECTED ||
		(tag->phase == TAG_FAILED && tag->value != FAILED_SETTLED))
		return again(fd, tag, nonblock);
	r = destination(tag, ss, len, &dst);
	if (r == 0 && tag->phase == TAG_FAILED)
		r = socket_renew(fd, tag, tag);
	return r < 0 ? r : begin(fd, tag, &si->info, &dst, nonblock);
}

static int connect_hook(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage ss;
	struct tag tag;
	int r;

	if (tag_get(fd, &tag) < 0)
		return etc_is_resolver(addr, len) ? ret(-ENOENT) : real(connect)(fd, addr, len);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_connect(fd, &tag, addr, len));
	r = user_read_sockaddr(&ss, addr, len);
	if (r < 0)
		return ret(r);
	return ret(
		udp_kind(&tag) ? udp_connect(fd, &tag, &ss, len) : connect_tcp(fd, &tag, &ss, len));
}

HOOK int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	return connect_hook(fd, addr.__sockaddr__, len);
}

HOOK int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len);
HOOK int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	return connect_hook(fd, addr.__sockaddr__, len);
}

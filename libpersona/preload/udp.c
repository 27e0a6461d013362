/* SPDX-License-Identifier: MIT */
/* Life of a datagram socket: birth, bind, connect, names, shutdown. */
#include "udp.h"

#include "netlink.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "side.h"

enum {
	CONNECT_RETRY_MS = 5, /* the broker's backlog is full */
	CONNECT_RETRIES = 200,
	INHERITED_MAX = 64 /* descriptors looked at when the process starts */
};

atomic_bool udp_seen, udp_recverr;

static void note(const struct tag *tag)
{
	if (tag->kind == TAG_NETLINK)
		atomic_store_explicit(&netlink_seen, true, memory_order_relaxed);
	if (!udp_kind(tag))
		return;
	atomic_store_explicit(&udp_seen, true, memory_order_relaxed);
	if (tag->value & UDP_ANY_RECVERR)
		atomic_store_explicit(&udp_recverr, true, memory_order_relaxed);
}

void udp_look(int fd)
{
	struct tag tag;

	if (tag_get(fd, &tag) == 0)
		note(&tag);
}

bool udp_is_likely(int fd, struct tag *tagp, const void *addr)
{
	if (!atomic_load_explicit(&udp_seen, memory_order_relaxed) && !addr)
		return false;
	if (tag_get(fd, tagp) < 0 || !udp_kind(tagp))
		return false;
	note(tagp);
	return true;
}

bool udp_is_inside(const struct addr *a)
{
	const struct shim_info *si = info_get();

	return addr_is_loopback(a) || (si && info_own(&si->info, a) >= 0);
}

void udp_look_all(void)
{
	for (int fd = 0; fd < INHERITED_MAX; fd++)
		udp_look(fd);
}

/* Failure is not reported: the socket then says ENETUNREACH to everything. */
static void connect_broker(int fd)
{
	struct sockaddr_un sun;

	if (runtime_path("dgram", &sun) == 0)
		return;
	for (int i = 0; i < CONNECT_RETRIES; i++) {
		long r = SYS(SYS_connect, fd, &sun, sizeof(sun));

		if (r != -EAGAIN && r != -EINTR)
			return;
		if (r == -EAGAIN) {
			struct timespec wait = {.tv_nsec = CONNECT_RETRY_MS * 1000000L};

			SYS(SYS_ppoll, NULL, 0, &wait, NULL, 0);
		}
	}
}

int udp_fresh(const struct tag *tag, int flags)
{
	long fd = SYS(
		SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | (flags & SOCK_CLOEXEC), 0);
	long r = 0;

	if (fd < 0)
		return (int)fd;
	connect_broker((int)fd);
	if (!(flags & SOCK_NONBLOCK))
		r = SYS(SYS_ioctl, fd, FIONBIO, &(int){0});
	if (r == 0)
		r = tag_set((int)fd, tag);
	if (r < 0) {
		SYS(SYS_close, fd);
		return (int)r;
	}
	note(tag);
	return (int)fd;
}

int udp_broker_error(int err)
{
	switch (err) {
	case ENOTCONN: /* there was no broker when the socket was made */
		return -ENETUNREACH;
	case EPIPE:
	case ECONNRESET:
		return -ENETDOWN;
	default:
		return -err;
	}
}

/* A question about this socket. */
static int ask(int fd, const struct tag *tag, struct ask_request *req, struct ask_reply *repp)
{
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);
	struct stat st;
	long r = SYS(SYS_fstat, fd, &st);

	if (r < 0)
		return (int)r;
	req->inode = st.st_ino;
	req->proto = tag->kind == TAG_UDP    ? IPPROTO_UDP
		     : tag->kind == TAG_ICMP ? IPPROTO_ICMP
					     : IPPROTO_ICMPV6;
	r = ask_broker(req, repp, ASK_SMALL);
	/* The broker's own answer, or is it gone? */
	if (r == -ENETUNREACH && socket_hung_up(fd) && SYS(SYS_getpeername, fd, &sun, &len) == 0)
		return -ENETDOWN;
	return (int)r;
}

int udp_flags(int fd, struct tag *tag, uint32_t set, uint32_t clear)
{
	/* another thread may have changed the rest meanwhile */
	if (tag_get(fd, tag) < 0)
		return -EBADF;
	tag->value = (tag->value & ~clear) | set;
	note(tag);
	return tag_set(fd, tag);
}

/* Notes the address that the broker answered; `peer` is NULL without one. */
static int settle(int fd, struct tag *tag, enum tag_phase phase, const struct endpoint *local,
	const struct addr *peer)
{
	bool wildcard = addr_equal(&local->addr, tag->v6 ? &addr_any6 : &addr_any4);

	tag->phase = phase;
	tag->class = wildcard ? TAG_ADDR_ANY : TAG_ADDR_OWN;
	if (peer && udp_is_inside(peer))
		tag->class = TAG_ADDR_LOOP;
	tag->port = local->port;
	return tag_set(fd, tag);
}

int udp_bind(int fd, struct tag *tag, const struct endpoint *local)
{
	struct ask_request req = {
		.op = ASK_DGRAM_BIND, .flags = bind_flags(fd, tag), .local = *local};
	struct ask_reply rep;
	int r;

	if (tag->phase != TAG_FRESH)
		return -EINVAL;
	r = ask(fd, tag, &req, &rep);
	return r < 0 ? r : settle(fd, tag, TAG_BOUND, &rep.local, NULL);
}

int udp_autobind(int fd, struct tag *tag)
{
	struct endpoint any = {.addr = tag->v6 ? addr_any6 : addr_any4};

	return tag->phase == TAG_FRESH ? udp_bind(fd, tag, &any) : 0;
}

/* A link-local peer is on one link: the socket's from now on. */
static int take_scope(int fd, struct tag *tag, const struct udp_dest *dest)
{
	int index = 0, r;

	if (!udp_is_link_local(&dest->ep.addr) || addr_is_multicast(&dest->ep.addr))
		return 0;
	side_get(fd, SIDE_BINDIF, &index);
	if (dest->ifindex == 0)
		return index ? 0 : -EINVAL;
	if (index && (uint32_t)index != dest->ifindex)
		return -EINVAL;
	r = side_set(fd, SIDE_BINDIF, (int)dest->ifindex);
	return r < 0 ? r : udp_flags(fd, tag, UDP_SENDOPTS, 0);
}

int udp_connect(int fd, struct tag *tag, const struct sockaddr_storage *ss, socklen_t len)
{
	struct ask_request req = {.op = ASK_DGRAM_CONNECT, .flags = bind_flags(fd, tag)};
	enum tag_phase phase = TAG_CONNECTED;
	struct udp_dest dest;
	struct ask_reply rep;
	int r;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (ss->ss_family == AF_UNSPEC) {
		if (tag->phase != TAG_CONNECTED)
			return 0;
		req.local.addr = tag->v6 ? addr_any6 : addr_any4;
	} else {
		r = udp_dest_connect(fd, tag, ss, len, &dest);
		if (r == 0)
			r = take_scope(fd, tag, &dest);
		if (r < 0)
			return r;
		req.local = dest.ep;
	}
	r = ask(fd, tag, &req, &rep);
	if (r < 0)
		return r;
	/* A port that the program did not choose is given back with the peer. */
	if (ss->ss_family == AF_UNSPEC)
		phase = rep.local.port ? TAG_BOUND : TAG_FRESH;
	return settle(fd, tag, phase, &rep.local, phase == TAG_CONNECTED ? &req.local.addr : NULL);
}

int udp_shutdown(int fd, struct tag *tag, int how)
{
	uint32_t bits = (how != SHUT_WR ? UDP_RDSHUT : 0) | (how != SHUT_RD ? UDP_WRSHUT : 0);
	bool connected = tag->phase == TAG_CONNECTED;
	int r = udp_flags(fd, tag, bits, 0);

	if (r < 0)
		return r;
	/* Wakes readers, also of a socket without a peer. The writing side stays open: the broker
	 * would take the end of both for a close. */
	if (how != SHUT_WR)
		SYS(SYS_shutdown, fd, SHUT_RD);
	udp_option(fd, tag, ASK_OPT_SHUTDOWN, (uint32_t)how, NULL);
	return connected ? 0 : -ENOTCONN;
}

int udp_names(int fd, const struct tag *tag, struct endpoint *localp, struct endpoint *peerp)
{
	struct ask_request req = {.op = ASK_DGRAM_NAME};
	struct ask_reply rep;
	int r;

	*localp = *peerp = (struct endpoint){.addr = tag->v6 ? addr_any6 : addr_any4};
	localp->port = tag->port;
	if (tag->phase != TAG_CONNECTED && tag->class == TAG_ADDR_ANY)
		return 0;
	r = ask(fd, tag, &req, &rep);
	if (r < 0)
		return r;
	*localp = rep.local;
	*peerp = rep.peer;
	return 0;
}

int udp_option(int fd, const struct tag *tag, enum ask_dgram_option option, uint32_t value,
	const struct addr *group)
{
	struct ask_request req = {
		.op = ASK_DGRAM_OPTION, .option = (uint8_t)option, .value = value};
	struct ask_reply rep;

	req.local.addr = group ? *group : tag->v6 ? addr_any6 : addr_any4;
	return ask(fd, tag, &req, &rep);
}

int udp_take_parts(struct iovec *parts, struct msghdr *msg)
{
	int r = user_read(parts + 1, msg->msg_iov, msg->msg_iovlen * sizeof(*parts));

	if (r < 0)
		return r;
	if (msg->msg_iovlen == UDP_IOV_MAX)
		return -EMSGSIZE;
	msg->msg_iov = parts + 1;
	return 0;
}

int udp_message_of(const struct iovec *iov, int count, struct msghdr *msgp)
{
	struct iovec few[UDP_FEW_IOVS];
	size_t len = 0;

	if (count < 0 || count > UDP_IOV_MAX)
		return -EINVAL;
	*msgp = (struct msghdr){
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
	if (count > UDP_FEW_IOVS)
		return 1;
	if (user_read(few, iov, (size_t)count * sizeof(*few)) < 0)
		return -EFAULT;
	for (int i = 0; i < count; i++)
		len |= few[i].iov_len;
	return len > 0;
}

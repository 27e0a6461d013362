/* SPDX-License-Identifier: MIT */
/* Receiving datagrams: one recvmsg(2) with a place for the head in front, then the result in
 * UDP's terms. Errors in the queue are handed out as udp.h says. */
#include <netinet/in.h>
#include <string.h>

#include "real.h"
#include "udp.h"

enum { NATIVE_FLAGS = MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC };

static ssize_t receive_raw(int fd, struct msghdr *msg, int flags)
{
	int saved = errno;
	ssize_t n = real(recvmsg)(fd, msg, flags);

	if (n < 0) {
		n = udp_broker_error(errno);
		errno = saved;
	}
	return n;
}

/* Looks at the next message's head. Its length, 0 at the end, or a negative errno. */
static ssize_t peek(int fd, struct dgram_head *headp, int flags)
{
	uint8_t buf[DGRAM_HEAD];
	struct iovec part = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n = receive_raw(fd, &msg, MSG_PEEK | MSG_TRUNC | flags);

	if (n > 0 && dgram_head_decode(buf, (size_t)n, headp) < 0)
		return -EPROTO;
	return n;
}

/* The same where the caller is no cancellation point. */
static ssize_t peek_now(int fd, struct dgram_head *headp)
{
	uint8_t buf[DGRAM_HEAD];
	long n = SYS(SYS_recvfrom, fd, buf, sizeof(buf), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT, NULL,
		NULL);

	if (n > 0 && dgram_head_decode(buf, (size_t)n, headp) < 0)
		return -EPROTO;
	return n;
}

static void drop(int fd)
{
	uint8_t byte;

	SYS(SYS_recvfrom, fd, &byte, sizeof(byte), MSG_DONTWAIT, NULL, NULL);
}

void udp_put_pending(int fd, struct tag *tag, int err)
{
	if (err > 0 && err <= UDP_PENDING_MAX)
		udp_flags(fd, tag, (uint32_t)err << UDP_PENDING_SHIFT,
			(uint32_t)UDP_PENDING_MAX << UDP_PENDING_SHIFT);
}

int udp_take_pending(int fd, struct tag *tag)
{
	int err = (int)(tag->value >> UDP_PENDING_SHIFT) & UDP_PENDING_MAX;

	if (__builtin_expect(err != 0, 0))
		udp_flags(fd, tag, 0, (uint32_t)UDP_PENDING_MAX << UDP_PENDING_SHIFT);
	return err;
}

/* The error at the head of the queue is met by a call that is no MSG_ERRQUEUE. Positive errno, or
 * 0: it is gone. */
static int meet_error(int fd, struct tag *tag, const struct dgram_head *head)
{
	bool queue = tag->value & UDP_ANY_RECVERR;

	if (queue && !(tag->value & UDP_TOLD)) {
		udp_flags(fd, tag, UDP_TOLD, 0);
		return head->err;
	}
	drop(fd);
	if (queue)
		udp_flags(fd, tag, 0, UDP_TOLD);
	return queue || head->flags & DGRAM_EOR_ERR ? 0 : head->err;
}

int udp_take_error(int fd, struct tag *tag)
{
	struct dgram_head head;
	int err = udp_take_pending(fd, tag);

	while (err == 0 && peek_now(fd, &head) > 0 && head.kind == DGRAM_ERROR) {
		if (tag->value & UDP_ANY_RECVERR && tag->value & UDP_TOLD)
			return 0; /* it waits for MSG_ERRQUEUE */
		err = meet_error(fd, tag, &head);
	}
	return err;
}

bool udp_error_ahead(int fd)
{
	struct dgram_head head;

	return peek_now(fd, &head) > 0 && head.kind == DGRAM_ERROR;
}

int udp_next_size(int fd)
{
	struct dgram_head head;
	ssize_t n = peek_now(fd, &head);

	return n > 0 && head.kind == DGRAM_DATA ? (int)n - DGRAM_HEAD : 0;
}

/* With IP_RECVERR an error must not be taken out of the queue by accident. 0: a datagram is ahead,
 * or a negative errno. */
static int pass_errors(int fd, struct tag *tag, int flags)
{
	struct dgram_head head;
	ssize_t n;
	int err;

	for (;;) {
		n = peek(fd, &head, flags & MSG_DONTWAIT);
		if (n <= 0 && n != -EPROTO)
			return (int)n;
		if (n == -EPROTO || head.kind != DGRAM_ERROR)
			return 0;
		err = meet_error(fd, tag, &head);
		if (err)
			return -err;
	}
}

/* The pointer is good: the kernel has written there (udp_native_name). */
static void put_name(const struct tag *tag, const struct dgram_head *head, struct msghdr *msg)
{
	/* of an error: where the datagram that caused it had gone */
	struct endpoint ep = head->kind == DGRAM_ERROR ? head->dst : head->src;
	struct sockaddr_in6 *sin6;
	struct sockaddr_storage ss;
	socklen_t len;

	if (tag->kind != TAG_UDP)
		ep.port = 0;
	len = endpoint_to_sockaddr(&ep, tag->v6 ? AF_INET6 : AF_INET, &ss);
	if (tag->v6 && udp_is_link_local(&ep.addr)) {
		sin6 = (struct sockaddr_in6 *)&ss;
		sin6->sin6_scope_id = head->ifindex;
	}
	memcpy(msg->msg_name, &ss, msg->msg_namelen < len ? msg->msg_namelen : len);
	msg->msg_namelen = len;
}

/* What the kernel itself had to say: time stamps. */
static void copy_native(struct udp_control *c, const struct msghdr *native)
{
	struct msghdr copy = *native;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(&copy); cm; cm = CMSG_NXTHDR(&copy, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type != SCM_RIGHTS &&
			cm->cmsg_type != SCM_CREDENTIALS)
			udp_control_put(c, cm->cmsg_level, cm->cmsg_type, CMSG_DATA(cm),
				cm->cmsg_len - CMSG_LEN(0));
}

int udp_deliver(int fd, const struct tag *tag, const struct dgram_head *head, struct msghdr *msg,
	const struct msghdr *native)
{
	bool wants = tag->value & (UDP_CMSG4 | UDP_CMSG6);
	struct udp_control c;
	int r;

	msg->msg_flags = native->msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_CMSG_CLOEXEC);
	if (msg->msg_name)
		put_name(tag, head, msg);
	if (!wants && native->msg_controllen == 0 && head->kind == DGRAM_DATA) {
		msg->msg_controllen = 0;
		return 0;
	}
	r = udp_control_init(fd, msg->msg_control, msg->msg_controllen, &c);
	if (r < 0)
		return r;
	copy_native(&c, native);
	if (head->kind == DGRAM_ERROR)
		udp_control_error(&c, tag, head);
	else
		udp_control_data(&c, tag, head);
	msg->msg_controllen = c.used;
	if (c.cut)
		msg->msg_flags |= MSG_CTRUNC;
	return 0;
}

void udp_native_name(const struct tag *tag, const struct msghdr *msg, struct msghdr *native)
{
	socklen_t len = tag->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (!msg->msg_name)
		return;
	native->msg_name = msg->msg_name;
	native->msg_namelen = msg->msg_namelen < len ? msg->msg_namelen : len;
}

/* The socket may have been shut while the call waited. */
int udp_end(int fd)
{
	struct tag tag;

	return tag_get(fd, &tag) == 0 && tag.value & UDP_RDSHUT ? 0 : -ENETDOWN;
}

static size_t capacity(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

/* One message with its head; the length with the head, 0 or a negative errno as from the kernel. */
static ssize_t receive_one(int fd, const struct tag *tag, struct iovec *parts,
	const struct msghdr *msg, int flags, struct dgram_head *headp, struct msghdr *native,
	uint8_t *control)
{
	uint8_t buf[DGRAM_HEAD];
	ssize_t n;

	*native = (struct msghdr){.msg_iov = parts, .msg_iovlen = msg->msg_iovlen + 1};
	parts[0] = (struct iovec){.iov_base = buf, .iov_len = sizeof(buf)};
	udp_native_name(tag, msg, native);
	if (msg->msg_controllen > 0) {
		native->msg_control = control;
		native->msg_controllen = UDP_CONTROL;
	}
	n = receive_raw(fd, native, (flags & NATIVE_FLAGS) | MSG_TRUNC);
	if (n > 0 && dgram_head_decode(buf, (size_t)n, headp) < 0)
		return -EPROTO;
	return n;
}

/* MSG_ERRQUEUE: never waits. */
static ssize_t receive_error(int fd, struct tag *tag, struct iovec *parts, struct msghdr *msg)
{
	_Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL];
	size_t cap = capacity(msg);
	struct dgram_head head;
	struct msghdr native;
	ssize_t n;
	int r;

	if (!udp_error_ahead(fd))
		return -EAGAIN;
	n = receive_one(fd, tag, parts, msg, MSG_DONTWAIT, &head, &native, control);
	if (n <= 0 || head.kind != DGRAM_ERROR)
		return n < 0 && n != -EPROTO ? n : -EAGAIN;
	udp_flags(fd, tag, 0, UDP_TOLD);
	r = udp_deliver(fd, tag, &head, msg, &native);
	if (r < 0)
		return r;
	msg->msg_flags |= MSG_ERRQUEUE;
	n -= DGRAM_HEAD;
	return (size_t)n < cap ? n : (ssize_t)cap;
}

ssize_t udp_receive(int fd, struct tag *tag, struct iovec *parts, struct msghdr *msg, int flags)
{
	_Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL];
	size_t cap = capacity(msg);
	struct dgram_head head;
	struct msghdr native;
	ssize_t n;
	int r;

	if (__builtin_expect(flags & MSG_ERRQUEUE, 0))
		return receive_error(fd, tag, parts, msg);
	r = -udp_take_pending(fd, tag);
	if (r == 0 && tag->value & UDP_ANY_RECVERR)
		r = pass_errors(fd, tag, flags);
	if (r < 0)
		return r;
	for (;;) {
		n = receive_one(fd, tag, parts, msg, flags, &head, &native, control);
		if (n == 0)
			return udp_end(fd);
		if (n < 0 && n != -EPROTO)
			return n;
		if (n > 0 && head.kind == DGRAM_DATA)
			break;
		if (flags & MSG_PEEK)
			drop(fd);
		if (n > 0 && !(head.flags & DGRAM_EOR_ERR))
			return -(ssize_t)head.err;
	}
	r = udp_deliver(fd, tag, &head, msg, &native);
	if (r < 0)
		return r;
	n -= DGRAM_HEAD;
	return (size_t)n < cap || flags & MSG_TRUNC ? n : (ssize_t)cap;
}

static __attribute__((noinline)) ssize_t receive_many(
	int fd, struct tag *tag, struct msghdr *msg, int flags)
{
	struct iovec parts[UDP_IOV_MAX + 1], *given = msg->msg_iov;
	ssize_t r = udp_take_parts(parts, msg);

	if (r < 0)
		return r;
	r = udp_receive(fd, tag, parts, msg, flags);
	msg->msg_iov = given;
	return r;
}

/* `msg` is a copy. */
static ssize_t receive_copy(int fd, struct tag *tag, struct msghdr *msg, int flags)
{
	struct iovec parts[UDP_FEW_IOVS + 1], *given = msg->msg_iov;
	ssize_t r;

	if (msg->msg_iovlen > UDP_IOV_MAX)
		return -EMSGSIZE;
	if ((int)msg->msg_namelen < 0)
		return -EINVAL;
	if (msg->msg_iovlen > UDP_FEW_IOVS)
		return receive_many(fd, tag, msg, flags);
	r = udp_take_parts(parts, msg);
	if (r < 0)
		return r;
	r = udp_receive(fd, tag, parts, msg, flags);
	msg->msg_iov = given;
	return r;
}

ssize_t udp_recvmsg(int fd, struct tag *tag, struct msghdr *msg, int flags)
{
	struct msghdr copy;
	ssize_t n = user_read(&copy, msg, sizeof(copy));

	if (n == 0)
		n = receive_copy(fd, tag, &copy, flags);
	if (n < 0)
		return n;
	msg->msg_namelen = copy.msg_name ? copy.msg_namelen : 0;
	msg->msg_controllen = copy.msg_controllen;
	msg->msg_flags = copy.msg_flags;
	return n;
}

ssize_t udp_recvfrom(int fd, struct tag *tag, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *lenp)
{
	struct iovec parts[2] = {{0}, {.iov_base = buf, .iov_len = n}};
	struct msghdr msg = {.msg_iov = parts + 1, .msg_iovlen = 1};
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
	got = udp_receive(fd, tag, parts, &msg, flags);
	if (got >= 0 && addr)
		*lenp = msg.msg_namelen;
	return got;
}

ssize_t udp_readv(int fd, struct tag *tag, const struct iovec *iov, int count)
{
	struct msghdr msg;
	int r = udp_message_of(iov, count, &msg);

	return r <= 0 ? r : receive_copy(fd, tag, &msg, 0);
}

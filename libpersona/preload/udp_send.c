/* SPDX-License-Identifier: MIT */
/* Sending datagrams: the checks that Linux makes at once, the head, one sendmsg(2). What the
 * network says later comes back as DGRAM_ERROR. */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "real.h"
#include "side.h"
#include "udp.h"

enum {
	ICMP_HEADER = 8,
	UDP_HEADER = 8,
	HEADER_V4 = 20,
	HEADER_V6 = 40,
	SEGMENTS_MAX = 128, /* UDP_MAX_SEGMENTS of newer kernels; older ones have 64 */
	LENGTH_MAX = 0xffff,
	CUT_LENGTH = 65000
};

/* Values that were set with setsockopt(2). */
static void take_options(int fd, const struct tag *tag, const struct udp_dest *dest,
	struct dgram_head *head, uint16_t *segment)
{
	bool v4 = dest->have ? addr_is_v4(&dest->ep.addr) : !tag->v6;
	bool multicast = dest->have && addr_is_multicast(&dest->ep.addr);
	int value[SIDE_KEYS];
	uint64_t have = side_get_all(fd, value);
	enum side_key ttl = multicast ? (v4 ? SIDE_IP_MULTICAST_TTL : SIDE_MULTICAST_HOPS)
				      : (v4 ? SIDE_TTL : SIDE_UNICAST_HOPS);
	enum side_key tos = v4 ? SIDE_TOS : SIDE_TCLASS;
	enum side_key index = multicast ? (v4 ? SIDE_MULTICAST_IF : SIDE_V6_MULTICAST_IF)
					: (v4 ? SIDE_UNICAST_IF : SIDE_V6_UNICAST_IF);

	if (have >> ttl & 1 && value[ttl] >= 0) {
		head->ttl = (uint8_t)value[ttl];
		head->flags |= DGRAM_HAS_TTL;
	}
	if (have >> tos & 1)
		head->tos = (uint8_t)value[tos];
	if (have >> index & 1)
		head->ifindex = (uint32_t)value[index];
	if (have >> SIDE_SEGMENT & 1 && tag->kind == TAG_UDP)
		*segment = (uint16_t)value[SIDE_SEGMENT];
	if (have >> SIDE_BINDIF & 1 && value[SIDE_BINDIF])
		head->ifindex = (uint32_t)value[SIDE_BINDIF];
}

/* An ICMP echo socket sends echo requests and nothing else. */
static int check_icmp(const struct tag *tag, const struct msghdr *msg, size_t len)
{
	uint8_t header[ICMP_HEADER];
	size_t got = 0;

	if (len < sizeof(header))
		return -EINVAL;
	for (size_t i = 0; i < msg->msg_iovlen && got < sizeof(header); i++) {
		size_t n = msg->msg_iov[i].iov_len;

		if (n > sizeof(header) - got)
			n = sizeof(header) - got;
		if (user_read(header + got, msg->msg_iov[i].iov_base, n) < 0)
			return -EFAULT;
		got += n;
	}
	if (header[0] != (tag->v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO) || header[1] != 0)
		return -EINVAL;
	return 0;
}

static int check_length(const struct tag *tag, const struct udp_dest *dest, size_t len)
{
	bool v4 = dest->have ? addr_is_v4(&dest->ep.addr) : !tag->v6;
	size_t max = DGRAM_PAYLOAD_MAX;

	if (v4)
		max = tag->kind == TAG_UDP ? UDP_V4_MAX : ICMP_V4_MAX;
	if (len <= max)
		return 0;
	/* Linux puts the MTU into the error queue of an IPv6 socket, however big the datagram was;
	 * tracepath begins like that. What is sent of it must not fit any link either. */
	return !v4 && dest->have && tag->value & UDP_RECVERR6 && tag->value & UDP_DONTFRAG6 &&
			       !udp_is_inside(&dest->ep.addr)
		       ? 0
		       : -EMSGSIZE;
}

/* Does a datagram with this payload exceed the portspace's MTU? Not where the way is inside. An
 * echo request's payload has the ICMP header already. */
static bool exceeds_mtu(const struct tag *tag, const struct dgram_head *head, size_t len)
{
	const struct shim_info *si = info_get();
	bool have = head->flags & DGRAM_HAS_DST;
	/* an IPv6 socket's peer may be an IPv4 one */
	bool v6 = have ? !addr_is_v4(&head->dst.addr) : tag->v6 && tag->v6only;

	if (!si || (have ? udp_is_inside(&head->dst.addr) : tag->class == TAG_ADDR_LOOP))
		return false;
	if (tag->kind == TAG_UDP)
		len += UDP_HEADER;
	return len + (v6 ? HEADER_V6 : HEADER_V4) > si->info.mtu;
}

/* As udp_send_skb. */
static int check_segment(
	const struct tag *tag, const struct dgram_head *head, size_t len, uint16_t *segment)
{
	if (exceeds_mtu(tag, head, *segment) || len > (size_t)*segment * SEGMENTS_MAX)
		return -EINVAL;
	if (len <= *segment)
		*segment = 0;
	return 0;
}

int udp_head(int fd, struct tag *tag, const struct msghdr *msg, int flags, size_t len,
	struct dgram_head *headp, uint16_t *segmentp)
{
	struct dgram_head head = {.kind = DGRAM_DATA};
	struct udp_dest dest;
	uint16_t segment = 0;
	int r;

	if (len > (tag->v6 ? INT_MAX : LENGTH_MAX))
		return -EMSGSIZE;
	/* MSG_MORE would make one datagram of several calls; the shim has no place to keep one. */
	if (flags & (MSG_OOB | MSG_MORE))
		return -EOPNOTSUPP;
	if (tag->value & UDP_WRSHUT)
		return -EPIPE;
	r = udp_dest_send(fd, tag, msg->msg_name, msg->msg_namelen, &dest);
	if (r == 0 && tag->kind != TAG_UDP)
		r = check_icmp(tag, msg, len);
	if (r == 0)
		r = check_length(tag, &dest, len);
	if (r < 0)
		return r;
	if (__builtin_expect(tag->value & UDP_SENDOPTS, 0))
		take_options(fd, tag, &dest, &head, &segment);
	if (dest.have) {
		head.flags |= DGRAM_HAS_DST;
		head.dst = dest.ep;
		if (dest.ifindex)
			head.ifindex = dest.ifindex;
	}
	if (tag->value & (tag->v6 && !(dest.have && addr_is_v4(&dest.ep.addr)) ? UDP_DONTFRAG6
									       : UDP_DONTFRAG4))
		head.flags |= DGRAM_DONTFRAG;
	if (msg->msg_controllen > 0)
		r = udp_cmsg_send(tag, msg, &head, &segment);
	if (r == 0 && __builtin_expect(segment != 0, 0))
		r = check_segment(tag, &head, len, &segment);
	if (r == 0)
		r = udp_autobind(fd, tag);
	if (r < 0)
		return r;
	*headp = head;
	*segmentp = segment;
	return 0;
}

bool udp_must_split(const struct tag *tag, const struct dgram_head *head, size_t len)
{
	return head->flags & DGRAM_DONTFRAG && exceeds_mtu(tag, head, len);
}

bool udp_tells_on_send(const struct tag *tag)
{
	return tag->phase == TAG_CONNECTED && !(tag->value & UDP_ANY_RECVERR);
}

/* A question to the broker is answered after what was sent before it: then the error queue has what
 * the broker says of a datagram. */
static void settle(int fd, const struct tag *tag)
{
	struct endpoint local, peer;
	struct tag asking = *tag;

	asking.phase = TAG_CONNECTED;
	if (tag->value & UDP_ANY_RECVERR)
		udp_names(fd, &asking, &local, &peer);
}

static int total(const struct iovec *iov, size_t n, size_t *lenp)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
		len += iov[i].iov_len;
		if ((ssize_t)len < 0)
			return -EINVAL;
	}
	*lenp = len;
	return 0;
}

/* Leaves so much of an oversized datagram that it makes a packet, for no link. */
static void cut(struct iovec *parts, size_t n)
{
	size_t len = 0;

	for (size_t i = 1; i < n; i++) {
		if (parts[i].iov_len > CUT_LENGTH - len)
			parts[i].iov_len = CUT_LENGTH - len;
		len += parts[i].iov_len;
	}
}

/* Has this process sent more than a few datagrams on this descriptor within a tick of the clock (1
 * to 10 ms)? Then what the network said of earlier ones can wait for the next tick: to look costs a
 * system call each time. Two threads that flood at once only look more often. */
static bool floods(int fd)
{
	enum { FEW = 8, COUNT_BITS = 8, TICK_BITS = 24, TICK_NS = 1000000 };
	static _Atomic uint64_t state; /* descriptor, tick, count */
	struct timespec now;
	uint64_t was = state, key, count;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	key = (uint64_t)fd << TICK_BITS |
	      (((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / TICK_NS) &
		      ((1U << TICK_BITS) - 1));
	count = was >> COUNT_BITS == key ? was & ((1U << COUNT_BITS) - 1) : 0;
	if (count <= FEW)
		state = key << COUNT_BITS | (count + 1);
	return count > FEW;
}

ssize_t udp_send(int fd, struct tag *tag, struct iovec *parts, const struct msghdr *msg, int flags)
{
	struct msghdr out = {.msg_iov = parts, .msg_iovlen = msg->msg_iovlen + 1};
	uint8_t buf[DGRAM_HEAD];
	struct dgram_head head;
	int saved = errno, r;
	uint16_t segment;
	size_t len;
	ssize_t n;
	bool split;

	r = total(msg->msg_iov, msg->msg_iovlen, &len);
	if (r == 0)
		r = udp_head(fd, tag, msg, flags, len, &head, &segment);
	if (r == 0 && udp_tells_on_send(tag) && !floods(fd))
		r = -udp_take_error(fd, tag);
	if (r < 0)
		return r;
	split = segment == 0 && udp_must_split(tag, &head, len);
	if (__builtin_expect(split, 0) && !(tag->value & UDP_ANY_RECVERR))
		return -EMSGSIZE;
	if (__builtin_expect(len > DGRAM_PAYLOAD_MAX, 0))
		cut(parts, out.msg_iovlen);
	dgram_head_encode(&head, buf);
	if (__builtin_expect(segment != 0, 0))
		return udp_send_segments(
			fd, buf, msg->msg_iov, msg->msg_iovlen, len, segment, flags);
	parts[0] = (struct iovec){.iov_base = buf, .iov_len = sizeof(buf)};
	n = real(sendmsg)(fd, &out, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (n < 0) {
		r = udp_broker_error(errno);
		errno = saved;
		return r;
	}
	if (__builtin_expect(!split, 1))
		return n - DGRAM_HEAD;
	settle(fd, tag);
	return -EMSGSIZE;
}

/* With so many parts the array needs 16 KiB of stack. */
static __attribute__((noinline)) ssize_t send_many(
	int fd, struct tag *tag, struct msghdr *msg, int flags)
{
	struct iovec parts[UDP_IOV_MAX + 1], *given = msg->msg_iov;
	ssize_t r = udp_take_parts(parts, msg);

	if (r < 0)
		return r;
	r = udp_send(fd, tag, parts, msg, flags);
	msg->msg_iov = given;
	return r;
}

ssize_t udp_sendmsg(int fd, struct tag *tag, const struct msghdr *msg, int flags)
{
	struct iovec parts[UDP_FEW_IOVS + 1];
	struct msghdr copy;
	int r = user_read(&copy, msg, sizeof(copy));

	if (r < 0)
		return r;
	if (copy.msg_iovlen > UDP_IOV_MAX)
		return -EMSGSIZE;
	if ((int)copy.msg_namelen < 0)
		return -EINVAL;
	if (copy.msg_namelen == 0)
		copy.msg_name = NULL;
	if (copy.msg_iovlen > UDP_FEW_IOVS)
		return send_many(fd, tag, &copy, flags);
	r = udp_take_parts(parts, &copy);
	if (r < 0)
		return r;
	return udp_send(fd, tag, parts, &copy, flags);
}

ssize_t udp_sendto(int fd, struct tag *tag, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t len)
{
	struct iovec parts[2] = {{0}, {.iov_base = (void *)(uintptr_t)buf, .iov_len = n}};
	struct msghdr msg = {.msg_name = (void *)(uintptr_t)addr,
		.msg_namelen = addr ? len : 0,
		.msg_iov = parts + 1,
		.msg_iovlen = 1};

	return udp_send(fd, tag, parts, &msg, flags);
}

ssize_t udp_writev(int fd, struct tag *tag, const struct iovec *iov, int count)
{
	struct msghdr msg;
	int r = udp_message_of(iov, count, &msg);

	return r <= 0 ? r : udp_sendmsg(fd, tag, &msg, 0);
}

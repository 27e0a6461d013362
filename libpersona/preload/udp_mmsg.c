/* SPDX-License-Identifier: MIT */
/* sendmmsg(2) and recvmmsg(2) of datagram sockets: up to UDP_HEADS messages in one system call,
 * their heads on the stack.
 *
 * Messages of more than UDP_IOVS - 1 parts, and sockets with IP_RECVERR when receiving, go one by
 * one. An error that lies between received datagrams is taken out, the datagrams behind it move up
 * in the program's buffers, and the errno is kept in the tag for the next call, as Linux keeps
 * sk_err. */
#include <string.h>

#include "real.h"
#include "udp.h"

/* What a batch needs; a part of the array is touched only when it is used. */
struct batch {
	struct mmsghdr native[UDP_HEADS];
	struct iovec parts[UDP_HEADS][UDP_IOVS];
	uint8_t head[UDP_HEADS][DGRAM_HEAD];
	size_t len[UDP_HEADS]; /* the program's bytes */
	struct user_seen msgs, iovs;
};

/* Copies message i's header and parts. 0, 1 when it has too many parts, or -EFAULT. */
static int copy_in(struct batch *b, unsigned i, const struct msghdr *from, struct msghdr *copy)
{
	size_t len = 0;

	if (user_read_near(&b->msgs, copy, from, sizeof(*copy)) < 0)
		return -EFAULT;
	if (copy->msg_iovlen > UDP_IOVS - 1)
		return 1;
	if (user_read_near(&b->iovs, b->parts[i] + 1, copy->msg_iov,
		    copy->msg_iovlen * sizeof(struct iovec)) < 0)
		return -EFAULT;
	copy->msg_iov = b->parts[i] + 1;
	for (size_t k = 0; k < copy->msg_iovlen; k++)
		len += copy->msg_iov[k].iov_len;
	b->len[i] = len;
	b->parts[i][0] = (struct iovec){.iov_base = b->head[i], .iov_len = DGRAM_HEAD};
	b->native[i].msg_hdr =
		(struct msghdr){.msg_iov = b->parts[i], .msg_iovlen = copy->msg_iovlen + 1};
	return 0;
}

/* Prepares up to n messages; *errp says why it stopped earlier: 0, 1 (go one by one) or an errno.
 */
static unsigned prepare_send(int fd, struct tag *tag, struct batch *b, struct mmsghdr *msgs,
	unsigned n, int flags, int *errp)
{
	struct dgram_head head;
	struct msghdr copy;
	uint16_t segment;
	unsigned i;
	int r = 0;

	b->msgs = b->iovs = (struct user_seen){0};
	for (i = 0; i < n && i < UDP_HEADS; i++) {
		r = copy_in(b, i, &msgs[i].msg_hdr, &copy);
		if (r == 0 && (int)copy.msg_namelen < 0)
			r = -EINVAL;
		if (r == 0 && copy.msg_namelen == 0)
			copy.msg_name = NULL;
		if (r == 0)
			r = udp_head(fd, tag, &copy, flags, b->len[i], &head, &segment);
		if (r == 0 && (segment || udp_must_split(tag, &head, b->len[i])))
			r = 1; /* is several datagrams, or an error */
		if (r != 0)
			break;
		dgram_head_encode(&head, b->head[i]);
	}
	*errp = r;
	return i;
}

static int send_batch(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags)
{
	struct batch b;
	int saved = errno, err, sent = 0;
	unsigned ready = prepare_send(fd, tag, &b, msgs, n, flags, &err);

	if (ready == 0 && err == 1) {
		ssize_t r = udp_sendmsg(fd, tag, &msgs[0].msg_hdr, flags);

		if (r < 0)
			return (int)r;
		msgs[0].msg_len = (unsigned)r;
		return 1;
	}
	if (ready == 0)
		return err;
	sent = real(sendmmsg)(fd, b.native, ready, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (sent < 0) {
		sent = udp_broker_error(errno);
		errno = saved;
	}
	for (int i = 0; i < sent; i++)
		msgs[i].msg_len = b.native[i].msg_len - DGRAM_HEAD;
	return sent;
}

int udp_sendmmsg(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned done = 0;
	int r = 0;

	if (n > UDP_IOV_MAX)
		n = UDP_IOV_MAX;
	if (n && udp_tells_on_send(tag))
		r = -udp_take_error(fd, tag);
	while (r >= 0 && done < n) {
		r = send_batch(fd, tag, msgs + done, n - done, flags);
		if (r <= 0)
			break;
		done += (unsigned)r;
	}
	return done > 0 || r >= 0 ? (int)done : r;
}

/* Moves a received message from one place of the program's array to an earlier one. */
static void move_up(struct batch *b, unsigned from, unsigned to, size_t len)
{
	struct iovec *src = b->parts[from] + 1, *dst = b->parts[to] + 1;
	size_t si = 0, di = 0;

	if (len > b->len[from])
		len = b->len[from];
	if (len > b->len[to])
		len = b->len[to];
	for (size_t at = 0; at < len;) {
		size_t n = src->iov_len - si < dst->iov_len - di ? src->iov_len - si
								 : dst->iov_len - di;

		if (n > len - at)
			n = len - at;
		memmove((uint8_t *)dst->iov_base + di, (uint8_t *)src->iov_base + si, n);
		at += n;
		si += n;
		di += n;
		if (si == src->iov_len) {
			src++;
			si = 0;
		}
		if (di == dst->iov_len) {
			dst++;
			di = 0;
		}
	}
}

/* What a batch brought, in the program's terms: the number of datagrams or a negative errno. */
static int take_batch(
	int fd, struct tag *tag, struct batch *b, struct mmsghdr *msgs, unsigned got, int flags)
{
	unsigned n = 0;
	int err = 0, r;

	for (unsigned i = 0; i < got; i++) {
		size_t len = b->native[i].msg_len;
		struct dgram_head head;
		struct msghdr *msg = &msgs[n].msg_hdr;

		if (len == 0) {
			err = -udp_end(fd);
			if (err == 0 && n == 0)
				msgs[n++].msg_len = 0;
			break;
		}
		if (dgram_head_decode(b->head[i], len, &head) < 0)
			continue;
		if (head.kind == DGRAM_ERROR) {
			if (!(head.flags & DGRAM_EOR_ERR))
				err = head.err;
			continue;
		}
		len -= DGRAM_HEAD;
		if (i != n)
			move_up(b, i, n, len);
		if (len > b->len[n] && !(flags & MSG_TRUNC)) {
			b->native[i].msg_hdr.msg_flags |= MSG_TRUNC;
			len = b->len[n];
		}
		if (!msg->msg_name)
			msg->msg_namelen = 0;
		r = udp_deliver(fd, tag, &head, msg, &b->native[i].msg_hdr);
		if (r < 0)
			return n > 0 ? (int)n : r;
		msgs[n++].msg_len = (unsigned)len;
	}
	if (n > 0)
		udp_put_pending(fd, tag, err);
	return n > 0 || !err ? (int)n : -err;
}

/* Up to UDP_HEADS messages. *askedp is how many were asked for: 0 when the first has too many
 * parts. Their number (0: only errors that concern nobody came) or a negative errno. */
static int receive_batch(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags,
	struct timespec *timeout, unsigned *askedp, unsigned *gotp)
{
	_Alignas(struct cmsghdr) uint8_t control[UDP_HEADS][UDP_CONTROL];
	int native_flags = flags & (MSG_DONTWAIT | MSG_WAITFORONE | MSG_CMSG_CLOEXEC);
	int saved = errno, got, r = 0;
	struct msghdr copy;
	struct batch b;
	unsigned ready;

	*gotp = 0;
	b.msgs = b.iovs = (struct user_seen){0};
	for (ready = 0; ready < n && ready < UDP_HEADS; ready++) {
		struct msghdr *native = &b.native[ready].msg_hdr;

		r = copy_in(&b, ready, &msgs[ready].msg_hdr, &copy);
		if (r == 0 && (int)copy.msg_namelen < 0)
			r = -EINVAL;
		if (r != 0)
			break;
		udp_native_name(tag, &copy, native);
		if (copy.msg_controllen > 0) {
			native->msg_control = control[ready];
			native->msg_controllen = UDP_CONTROL;
		}
	}
	*askedp = ready;
	if (ready == 0)
		return r == 1 ? 0 : r;
	got = real(recvmmsg)(fd, b.native, ready, native_flags | MSG_TRUNC, timeout);
	if (got < 0) {
		got = udp_broker_error(errno);
		errno = saved;
		return got;
	}
	*gotp = (unsigned)got;
	return take_batch(fd, tag, &b, msgs, (unsigned)got, flags);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* With a look ahead for each message. */
static int receive_singly(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags,
	const struct timespec *timeout)
{
	uint64_t end_ns = UINT64_MAX;
	unsigned done = 0;

	if (timeout)
		end_ns = now_ns() + (uint64_t)timeout->tv_sec * 1000000000 +
			 (uint64_t)timeout->tv_nsec;
	while (done < n) {
		ssize_t r = udp_recvmsg(fd, tag, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);

		if (r < 0 && done == 0)
			return (int)r;
		if (r < 0) {
			if (r != -EAGAIN && r != -EINTR)
				udp_put_pending(fd, tag, (int)-r);
			break;
		}
		msgs[done++].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout && now_ns() >= end_ns)
			break;
	}
	return (int)done;
}

int udp_recvmmsg(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags,
	struct timespec *timeout)
{
	struct timespec limit;
	unsigned done = 0, asked, got;
	int r = 0;

	if (n > UDP_IOV_MAX)
		n = UDP_IOV_MAX;
	if (timeout && user_read(&limit, timeout, sizeof(limit)) < 0)
		return -EFAULT;
	if (timeout && (limit.tv_sec < 0 || (unsigned long)limit.tv_nsec >= 1000000000UL))
		return -EINVAL;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE) || tag->value & UDP_ANY_RECVERR)
		return receive_singly(fd, tag, msgs, n, flags, timeout ? &limit : NULL);
	if (n > 0)
		r = -udp_take_pending(fd, tag);
	while (r >= 0 && done < n) {
		r = receive_batch(fd, tag, msgs + done, n - done, flags, timeout, &asked, &got);
		if (r == 0 && asked == 0) { /* too many parts */
			r = receive_singly(fd, tag, msgs + done, 1, flags, NULL);
			asked = got = 1;
		}
		if (r < 0)
			break;
		done += (unsigned)r;
		if (done > 0 && flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if ((done > 0 && got < asked) ||
			(timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0))
			break;
	}
	return done > 0 || r >= 0 ? (int)done : r;
}

/* SPDX-License-Identifier: MIT */
/* UDP_SEGMENT: one call's bytes leave as datagrams of equal size (udp(7); QUIC programs send like
 * that). Linux queues all of them or none. Here some may find no room behind the first one; then
 * the call waits for it, which the broker makes as soon as it runs. What does not go out in
 * PATIENCE_MS is lost, as it would be in a full queue on the way. */
#include <poll.h>
#include <string.h>

#include "real.h"
#include "udp.h"

enum { PATIENCE_MS = 100 };

/* The native messages of a batch. Each has its head, and the program's parts are cut in two at most
 * once for each message. */
struct segments {
	struct mmsghdr msg[UDP_HEADS];
	struct iovec parts[UDP_IOV_MAX + 2 * UDP_HEADS];
};

/* Where the next byte is. */
struct cursor {
	const struct iovec *iov;
	size_t at;
};

static void skip(struct cursor *c, size_t n)
{
	while (n > 0) {
		size_t left = c->iov->iov_len - c->at;

		if (n < left) {
			c->at += n;
			return;
		}
		n -= left;
		c->iov++;
		c->at = 0;
	}
}

/* Describes the next n bytes; the number of parts. */
static size_t take(struct cursor *c, size_t n, struct iovec *parts)
{
	size_t count = 0;

	while (n > 0) {
		size_t left = c->iov->iov_len - c->at;
		size_t len = n < left ? n : left;

		if (len > 0)
			parts[count++] = (struct iovec){
				.iov_base = (uint8_t *)c->iov->iov_base + c->at, .iov_len = len};
		n -= len;
		c->at += len;
		if (len == left) {
			c->iov++;
			c->at = 0;
		}
	}
	return count;
}

/* Fills a batch with the datagrams of the next `len` bytes; their number. */
static unsigned fill(struct segments *s, const uint8_t head[DGRAM_HEAD], struct cursor c,
	size_t len, uint16_t segment)
{
	struct iovec *parts = s->parts;
	unsigned count = 0;

	while (len > 0 && count < UDP_HEADS) {
		size_t n = len < segment ? len : segment;
		struct msghdr *msg = &s->msg[count++].msg_hdr;

		*msg = (struct msghdr){.msg_iov = parts};
		*parts++ =
			(struct iovec){.iov_base = (void *)(uintptr_t)head, .iov_len = DGRAM_HEAD};
		parts += take(&c, n, parts);
		msg->msg_iovlen = (size_t)(parts - msg->msg_iov);
		len -= n;
	}
	return count;
}

static bool wait_for_room(int fd)
{
	struct timespec patience = {.tv_nsec = PATIENCE_MS * 1000000L};
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return SYS(SYS_ppoll, &p, 1, &patience, NULL, 0) == 1 && p.revents & POLLOUT;
}

ssize_t udp_send_segments(int fd, const uint8_t head[DGRAM_HEAD], const struct iovec *iov, size_t n,
	size_t len, uint16_t segment, int flags)
{
	struct cursor c = {.iov = iov};
	int saved = errno, err = 0;
	struct segments s;
	size_t done = 0;

	if (n > UDP_IOV_MAX)
		return -EMSGSIZE;
	while (done < len) {
		unsigned count = fill(&s, head, c, len - done, segment);
		size_t bytes;
		int sent = real(sendmmsg)(fd, s.msg, count, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);

		if (sent < 0) {
			err = errno;
			errno = saved;
			if (done > 0 && (err == EINTR || (err == EAGAIN && wait_for_room(fd))))
				continue;
			break;
		}
		bytes = (size_t)sent * segment < len - done ? (size_t)sent * segment : len - done;
		skip(&c, bytes);
		done += bytes;
	}
	return done > 0 ? (ssize_t)len : udp_broker_error(err);
}

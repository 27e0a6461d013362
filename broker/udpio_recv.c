/* SPDX-License-Identifier: MIT */
/* What a socket receives. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "udpio_priv.h"

struct in {
	struct sockaddr_storage from;
	struct iovec iov;
	union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
};

static uint8_t *slot(struct udpio *io, size_t i)
{
	return io->slots + i * (UDPIO_HEADROOM + UDPIO_SLOT_MAX + UDPIO_TAILROOM) + UDPIO_HEADROOM;
}

/* The size of the segments, or 0; and the own address it was sent to, into io->local. */
static size_t read_control(struct udpio *io, struct msghdr *mh)
{
	size_t segment = 0;

	io->answering = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			segment = size > 0 ? (size_t)size : 0;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			io->local = addr_any4;
			memcpy(io->local.b + 12, &info.ipi_spec_dst, 4);
			io->answering = true;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(io->local.b, &info.ipi6_addr, 16);
			io->answering = true;
		}
	}
	return segment;
}

/* Behind a segment stands the next one, which must survive what the callback does there. What is
 * before it has been dealt with. */
static bool hand_out(struct udpio *io, uint8_t *msg, size_t len, bool more)
{
	uint8_t saved[UDPIO_TAILROOM];
	bool authentic;

	if (more)
		memcpy(saved, msg + len, sizeof(saved));
	authentic = io->config.input(io->config.arg, &io->from, msg, len);
	if (more)
		memcpy(msg + len, saved, sizeof(saved));
	return authentic;
}

/* Returns the number of messages. */
static size_t take(struct udpio *io, struct msghdr *mh, size_t len)
{
	uint8_t *p = mh->msg_iov->iov_base;
	size_t segment = read_control(io, mh), n = 0;

	if ((mh->msg_flags & MSG_TRUNC) ||
		endpoint_from_sockaddr(mh->msg_name, mh->msg_namelen, &io->from) < 0)
		return 0;
	if (segment == 0 || segment > len)
		segment = len;
	do {
		size_t piece = len < segment ? len : segment;

		len -= piece;
		if (hand_out(io, p, piece, len > 0) && io->answering)
			udpio_source_keep(io, &io->from, &io->local);
		p += piece;
		n++;
	} while (len > 0);
	return n;
}

size_t udpio_read(struct udpio *io, unsigned rounds)
{
	struct mmsghdr mm[UDPIO_SLOTS];
	struct in in[UDPIO_SLOTS];
	size_t total = 0;
	int n;

	do {
		for (size_t i = 0; i < UDPIO_SLOTS; i++) {
			in[i].iov =
				(struct iovec){.iov_base = slot(io, i), .iov_len = UDPIO_SLOT_MAX};
			mm[i].msg_hdr = (struct msghdr){.msg_name = &in[i].from,
				.msg_namelen = sizeof(in[i].from),
				.msg_iov = &in[i].iov,
				.msg_iovlen = 1,
				.msg_control = &in[i].control,
				.msg_controllen = sizeof(in[i].control)};
		}
		io->stats.receive_calls++;
		n = recvmmsg(io->fd, mm, UDPIO_SLOTS, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			total += take(io, &mm[i].msg_hdr, mm[i].msg_len);
		io->answering = false;
	} while (n == UDPIO_SLOTS && --rounds > 0);
	io->stats.received += total;
	return total;
}

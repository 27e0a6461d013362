/* SPDX-License-Identifier: MIT */
/* The queue of a socket and its way out. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "udpio_priv.h"

/* One datagram or group as the kernel wants it. */
struct out {
	struct sockaddr_storage to;
	struct iovec iov;
	union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
};

static void add_control(struct msghdr *mh, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *cmsg = (struct cmsghdr *)((uint8_t *)mh->msg_control + mh->msg_controllen);

	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cmsg), data, len);
	mh->msg_controllen += CMSG_SPACE(len);
}

static void add_source(const struct udpio *io, struct msghdr *mh, const struct addr *local)
{
	struct in6_pktinfo info6 = {.ipi6_ifindex = 0};
	struct in_pktinfo info4 = {.ipi_ifindex = 0};

	if (io->family == AF_INET6) {
		memcpy(&info6.ipi6_addr, local->b, 16);
		add_control(mh, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
	} else {
		memcpy(&info4.ipi_spec_dst, local->b + 12, 4);
		add_control(mh, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
	}
}

/* `count` messages of the group from byte `start` of the queue on. */
static void prepare(struct udpio *io, const struct udpio_group *group, size_t start, size_t len,
	unsigned count, struct msghdr *mh, struct out *out)
{
	const uint16_t segment = (uint16_t)group->segment;

	memset(mh, 0, sizeof(*mh));
	memset(&out->control, 0, sizeof(out->control));
	mh->msg_name = &out->to;
	mh->msg_namelen = endpoint_to_sockaddr(&group->to, io->family, &out->to);
	out->iov = (struct iovec){.iov_base = io->queue + start, .iov_len = len};
	mh->msg_iov = &out->iov;
	mh->msg_iovlen = 1;
	mh->msg_control = &out->control;
	if (count > 1)
		add_control(mh, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	if (group->has_local)
		add_source(io, mh, &group->local);
	if (mh->msg_controllen == 0)
		mh->msg_control = NULL;
}

static bool joins(const struct udpio *io, const struct udpio_group *group,
	const struct endpoint *to, size_t len)
{
	/* A shorter message ends its group; so no other may follow one. */
	return io->stats.gso && group->len == group->segment * group->count &&
	       len <= group->segment && len > 0 && group->count < UDPIO_SEGMENTS &&
	       group->len + len <= UDPIO_MESSAGE_MAX && endpoint_equal(&group->to, to);
}

static struct udpio_group *add_group(struct udpio *io, const struct endpoint *to, size_t len)
{
	struct udpio_group *group = &io->group[io->ngroups++];
	const struct addr *local = udpio_source_find(io, to);

	memset(group, 0, sizeof(*group));
	group->to = *to;
	group->has_local = local != NULL;
	if (local)
		group->local = *local;
	group->start = io->queued;
	group->segment = len;
	return group;
}

void udpio_send(struct udpio *io, const struct endpoint *to, const uint8_t *msg, size_t len)
{
	struct udpio_group *group = NULL;

	if (len > UDPIO_MESSAGE_MAX || (io->family == AF_INET) != addr_is_v4(&to->addr)) {
		io->stats.lost++;
		return;
	}
	if (io->queued + len > UDPIO_QUEUE)
		udpio_flush(io);
	if (io->ngroups > io->first && joins(io, &io->group[io->ngroups - 1], to, len))
		group = &io->group[io->ngroups - 1];
	else if (io->ngroups == UDPIO_GROUPS)
		udpio_flush(io);
	if (io->queued + len > UDPIO_QUEUE || (!group && io->ngroups == UDPIO_GROUPS)) {
		io->stats.lost++; /* the kernel takes no more */
		return;
	}
	if (!group)
		group = add_group(io, to, len);
	memcpy(io->queue + io->queued, msg, len);
	io->queued += len;
	group->len += len;
	group->count++;
}

/* The kernel has refused the group: its messages one by one, and from an address of the kernel's
 * choice when ours is gone. False: the kernel's buffer is full; the group is what is left. */
static bool send_singly(struct udpio *io, struct udpio_group *group)
{
	while (group->count > 0) {
		size_t len = group->len < group->segment ? group->len : group->segment;
		struct msghdr mh;
		struct out out;

		prepare(io, group, group->start, len, 1, &mh, &out);
		io->stats.send_calls++;
		if (sendmsg(io->fd, &mh, 0) >= 0) {
			io->stats.sent++;
		} else if (errno == EINTR) {
			continue;
		} else if (errno == EAGAIN) {
			return false;
		} else if (group->has_local) {
			group->has_local = false;
			udpio_source_forget(io, &group->to);
			continue;
		} else {
			io->stats.lost++;
		}
		group->start += len;
		group->len -= len;
		group->count--;
	}
	return true;
}

/* The first group was refused with this errno. False: the kernel's buffer is full. */
static bool refused(struct udpio *io, int error)
{
	struct udpio_group *group = &io->group[io->first];

	if (error == EAGAIN)
		return false;
	if (error == EINTR)
		return true;
	/* The interface computes no checksums for segments, and will not tomorrow. (EINVAL: they
	 * are too long for this path. That is this destination's matter alone.) */
	if (error == EIO && group->count > 1)
		io->stats.gso = false;
	if (group->count > 1 || group->has_local) {
		if (!send_singly(io, group))
			return false;
	} else {
		io->stats.lost++;
	}
	io->first++;
	return true;
}

bool udpio_flush(struct udpio *io)
{
	struct mmsghdr mm[UDPIO_GROUPS];
	struct out out[UDPIO_GROUPS];

	while (io->first < io->ngroups) {
		unsigned n = 0;
		int r;

		for (size_t i = io->first; i < io->ngroups; i++, n++) {
			struct udpio_group *group = &io->group[i];

			prepare(io, group, group->start, group->len, group->count, &mm[n].msg_hdr,
				&out[n]);
		}
		io->stats.send_calls++;
		r = sendmmsg(io->fd, mm, n, 0);
		if (r < 0 && !refused(io, errno))
			return false;
		for (; r > 0; r--)
			io->stats.sent += io->group[io->first++].count;
	}
	io->first = io->ngroups = 0;
	io->queued = 0;
	return true;
}

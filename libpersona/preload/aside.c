/* SPDX-License-Identifier: MIT */
#include "aside.h"

#include <limits.h>
#include <string.h>

#include "preload.h"

/* What the kernel charges for a message of one byte is below this, for two it is not. */
enum { OUTQ_ONE_BYTE = 1280 };

static bool carried(int fd)
{
	const struct shim_info *si = info_get();

	return si && names_carried(fd, &si->info);
}

static long put(int fd, uint8_t byte, bool with_descriptor)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int most = INT_MAX;
	long r;

	if (with_descriptor) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	r = SYS(SYS_sendmsg, fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r == -EAGAIN &&
		SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof(most)) == 0)
		r = SYS(SYS_sendmsg, fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return r < 0 ? r : 0;
}

void aside_fin(int fd, struct tag *tag)
{
	if (tag->value & CONNECTED_WRSHUT || !carried(fd) || put(fd, ASIDE_FIN, true) < 0)
		return;
	if (put(fd, 0, false) == 0)
		tag->value |= CONNECTED_KEPT;
}

bool aside_aborts(int fd)
{
	struct linger linger = {0};
	socklen_t len = sizeof(linger);

	return SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 &&
	       linger.l_onoff && linger.l_linger == 0;
}

void aside_linger(int fd, struct tag *tag)
{
	bool aborts = aside_aborts(fd);

	if (tag->kind != TAG_TCP || aborts == !!(tag->value & CONNECTED_ABORT) ||
		tag->value & CONNECTED_WRSHUT || !carried(fd) ||
		put(fd, aborts ? ASIDE_ABORT : ASIDE_NO_ABORT, true) < 0)
		return;
	tag->value ^= CONNECTED_ABORT;
	tag_set(fd, tag);
}

int aside_outq(const struct tag *tag, int outq)
{
	bool kept =
		tag->kind == TAG_TCP && tag->phase == TAG_CONNECTED && tag->value & CONNECTED_KEPT;

	return kept && outq < OUTQ_ONE_BYTE ? 0 : outq;
}

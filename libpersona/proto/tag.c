/* SPDX-License-Identifier: MIT */
#include "tag.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TAG_MAGIC 0xA7ULL

uint64_t tag_encode(const struct tag *t)
{
	return TAG_MAGIC << 56 | (uint64_t)t->kind << 53 | (uint64_t)t->v6 << 52 |
	       (uint64_t)t->v6only << 51 | (uint64_t)t->reuseport << 50 |
	       (uint64_t)t->nodelay << 49 | (uint64_t)t->phase << 44 | (uint64_t)t->class << 40 |
	       (uint64_t)(t->value & 0xffffff) << 16 | t->port;
}

bool tag_decode(uint64_t v, struct tag *tagp)
{
	struct tag t = {
		.kind = v >> 53 & 7,
		.v6 = v >> 52 & 1,
		.v6only = v >> 51 & 1,
		.reuseport = v >> 50 & 1,
		.nodelay = v >> 49 & 1,
		.phase = v >> 44 & 15,
		.class = v >> 40 & 3,
		.value = v >> 16 & 0xffffff,
		.port = (uint16_t)v,
	};

	if (v >> 56 != TAG_MAGIC || t.kind < TAG_TCP || t.kind > TAG_NETLINK ||
		t.phase > TAG_FAILED || t.class > TAG_ADDR_OWN)
		return false;
	*tagp = t;
	return true;
}

int tag_get(int fd, struct tag *tagp)
{
	int saved = errno;
	uint64_t v = 0;
	socklen_t len = sizeof(v);
	int r = 0;

	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, &len) < 0)
		r = -errno;
	else if (len != sizeof(v) || !tag_decode(v, tagp))
		r = -ENOENT;
	errno = saved;
	return r;
}

int tag_set(int fd, const struct tag *tag)
{
	int saved = errno;
	uint64_t v = tag_encode(tag);
	int r = 0;

	if (syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v)) < 0)
		r = -errno;
	errno = saved;
	return r;
}

/* SPDX-License-Identifier: MIT */
/* The write family and what moves bytes inside the kernel. Only datagram sockets need these hooks:
 * a stream is an AF_UNIX stream. sendfile(2) and splice(2) would send messages without a head, so
 * they fail with EINVAL, the answer of a file that cannot be spliced; programs then copy. */
/* The plain names are wanted here, not the large-file ones that would replace them. */
#undef _FILE_OFFSET_BITS
#include <fcntl.h>
#include <sys/sendfile.h>

#include "netlink.h"
#include "real.h"
#include "udp.h"

HOOK ssize_t write(int fd, const void *buf, size_t n)
{
	struct tag tag;

	if (udp_is(fd, &tag))
		return ret(udp_sendto(fd, &tag, buf, n, 0, NULL, 0));
	if (netlink_is(fd, &tag))
		return ret(netlink_sendto(fd, &tag, buf, n, 0, NULL, 0));
	return real(write)(fd, buf, n);
}

HOOK ssize_t __write(int fd, const void *buf, size_t n);
HOOK ssize_t __write(int fd, const void *buf, size_t n)
{
	return write(fd, buf, n);
}

HOOK ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct tag tag;

	if (udp_is(fd, &tag))
		return ret(udp_writev(fd, &tag, iov, count));
	if (netlink_is(fd, &tag))
		return ret(netlink_writev(fd, &tag, iov, count));
	return real(writev)(fd, iov, count);
}

/* At offset -1 these are writev and readv; a socket knows no other offset. */
HOOK ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct tag tag;

	if (offset == -1 && udp_is(fd, &tag))
		return ret(flags ? -EOPNOTSUPP : udp_writev(fd, &tag, iov, count));
	return real(pwritev2)(fd, iov, count, offset, flags);
}

HOOK ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return pwritev2(fd, iov, count, offset, flags);
}

HOOK ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct tag tag;

	if (offset == -1 && udp_is(fd, &tag))
		return ret(flags ? -EOPNOTSUPP : udp_readv(fd, &tag, iov, count));
	return real(preadv2)(fd, iov, count, offset, flags);
}

HOOK ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

HOOK ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
	struct tag tag;

	if (udp_is(out, &tag) || udp_is(in, &tag))
		return ret(-EINVAL);
	return real(sendfile)(out, in, offset, n);
}

HOOK ssize_t sendfile64(int out, int in, off64_t *offset, size_t n)
{
	return sendfile(out, in, offset, n);
}

HOOK ssize_t splice(
	int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags)
{
	struct tag tag;

	if (udp_is(out, &tag) || udp_is(in, &tag))
		return ret(-EINVAL);
	return real(splice)(in, in_offset, out, out_offset, n, flags);
}

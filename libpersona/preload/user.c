/* SPDX-License-Identifier: MIT */
/* Pointers that come from the program: where the kernel answers EFAULT, so do we.
 *
 * Readable: rt_sigprocmask(2) copies its set in before it looks at `how`, so an invalid `how`
 * tells EFAULT from EINVAL without any effect. Writable: getsockopt(2) of SO_TYPE stores one byte.
 * Both are system calls that every sandbox that knows sockets lets through. Pages, not bytes, are
 * what can be missing, so one probe for each page suffices. */
#include <signal.h>
#include <string.h>

#include "preload.h"

enum { PROBE_PAGE = 4096, PROBE_SET = 8 };

static bool readable(uintptr_t p)
{
	p &= ~(uintptr_t)(PROBE_SET - 1);
	if (p == 0) /* would mean: no set given */
		return false;
	return SYS(SYS_rt_sigprocmask, -1, p, NULL, PROBE_SET) != -EFAULT;
}

static bool writable(int sock, uintptr_t p)
{
	socklen_t one = 1;

	return SYS(SYS_getsockopt, sock, SOL_SOCKET, SO_TYPE, p, &one) != -EFAULT;
}

int user_read(void *dst, const void *src, size_t n)
{
	uintptr_t p = (uintptr_t)src;

	if (n == 0)
		return 0;
	if (p + n < p)
		return -EFAULT;
	for (uintptr_t q = p; q < p + n; q = (q | (PROBE_PAGE - 1)) + 1)
		if (!readable(q))
			return -EFAULT;
	memcpy(dst, src, n);
	return 0;
}

int user_read_near(struct user_seen *seen, void *dst, const void *src, size_t n)
{
	uintptr_t p = (uintptr_t)src;
	int r;

	if (n > 0 && seen->page && p / PROBE_PAGE == seen->page &&
		(p + n - 1) / PROBE_PAGE == seen->page) {
		memcpy(dst, src, n);
		return 0;
	}
	r = user_read(dst, src, n);
	if (r == 0 && n > 0)
		seen->page = (p + n - 1) / PROBE_PAGE;
	return r;
}

int user_write(int sock, void *dst, const void *src, size_t n)
{
	uintptr_t p = (uintptr_t)dst;

	if (n == 0)
		return 0;
	if (p + n < p)
		return -EFAULT;
	for (uintptr_t q = p; q < p + n; q = (q | (PROBE_PAGE - 1)) + 1)
		if (!writable(sock, q))
			return -EFAULT;
	memcpy(dst, src, n);
	return 0;
}

int user_write_sockaddr(int sock, struct sockaddr *dst, socklen_t *lenp,
	const struct sockaddr_storage *ss, socklen_t len)
{
	socklen_t cap;
	int r = user_read(&cap, lenp, sizeof(cap));

	if (r < 0)
		return r;
	if ((int)cap < 0)
		return -EINVAL;
	r = user_write(sock, dst, ss, cap < len ? cap : len);
	return r < 0 ? r : user_write(sock, lenp, &len, sizeof(len));
}

int user_read_sockaddr(struct sockaddr_storage *ssp, const struct sockaddr *src, socklen_t len)
{
	if (len > sizeof(*ssp))
		return -EINVAL;
	memset(ssp, 0, sizeof(*ssp));
	return user_read(ssp, src, len);
}

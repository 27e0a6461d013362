/* SPDX-License-Identifier: MIT */
/* poll(2) and ppoll(2): an error at the head of a datagram socket's queue shows as POLLERR.
 *
 * To the kernel it is a message to be read. Only programs with IP_RECVERR look for POLLERR
 * (traceroute does), so nothing is done while the process has no such socket. A socket that is
 * polled without POLLIN does not wake for an error. select(2) and epoll(7) show it as readable. */
#include <poll.h>
#include <signal.h>

#include "real.h"
#include "udp.h"

static int show_errors(struct pollfd *fds, nfds_t n, int r)
{
	struct tag tag;

	if (r <= 0 || !atomic_load_explicit(&udp_recverr, memory_order_relaxed))
		return r;
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents & POLLIN && udp_is(fds[i].fd, &tag) &&
			tag.value & UDP_ANY_RECVERR && udp_error_ahead(fds[i].fd)) {
			fds[i].revents &= ~(POLLIN | POLLRDNORM);
			fds[i].revents |= POLLERR;
		}
	return r;
}

HOOK int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return show_errors(fds, n, real(poll)(fds, n, timeout));
}

HOOK int __poll(struct pollfd *fds, nfds_t n, int timeout);
HOOK int __poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return show_errors(fds, n, real(poll)(fds, n, timeout));
}

HOOK int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return show_errors(fds, n, real(ppoll)(fds, n, timeout, mask));
}

/* Fortified variants: the same calls behind a check of the array's size. */
extern void __chk_fail(void) __attribute__((noreturn));

HOOK int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
HOOK int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return poll(fds, n, timeout);
}

HOOK int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t size);
HOOK int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return ppoll(fds, n, timeout, mask);
}

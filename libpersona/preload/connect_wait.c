/* SPDX-License-Identifier: MIT */
/* The waiting part of a blocking connect(2): timeout, signals, verdict.
 *
 * poll(2) is never restarted after a signal, connect(2) is when the handler has SA_RESTART and no
 * SO_SNDTIMEO is set. Which handler ran is not known, so connect(2) goes on only when every
 * installed handler has SA_RESTART. An interrupted or timed-out connect goes on in the background,
 * as TCP's does. poll(2) keeps connect(2) a cancellation point. */
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "preload.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* SO_SNDTIMEO in milliseconds, 0 for none. */
static uint64_t send_timeout_ms(int fd)
{
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	if (SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) < 0)
		return 0;
	return (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;
}

static bool all_restart(void)
{
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction sa;

		if (sigaction(sig, NULL, &sa) < 0 || sa.sa_handler == SIG_DFL ||
			sa.sa_handler == SIG_IGN)
			continue;
		if (!(sa.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

static int verdict(int fd, struct tag *tag)
{
	int err = connect_check(fd, tag);

	if (tag->phase == TAG_CONNECTED) {
		tag->value |= CONNECTED_TOLD;
		return tag_set(fd, tag);
	}
	tag->phase = TAG_FAILED;
	tag->value = FAILED_SETTLED;
	tag_set(fd, tag);
	/* The kernel's own error for the hung-up socket must not show up later. */
	SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &(int){0}, &(socklen_t){sizeof(int)});
	return err ? -err : -ECONNABORTED;
}

int connect_wait(int fd, struct tag *tag)
{
	uint64_t timeout_ms = send_timeout_ms(fd);
	uint64_t end_ms = timeout_ms ? now_ms() + timeout_ms : 0;
	int saved = errno;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		uint64_t now = end_ms ? now_ms() : 0;
		int n, left_ms = -1;

		if (end_ms)
			left_ms = now >= end_ms ? 0 : (int)(end_ms - now);
		n = poll(&p, 1, left_ms);
		if (n < 0) {
			int err = errno;

			errno = saved;
			if (err != EINTR)
				return -err;
			if (timeout_ms || !all_restart())
				return -EINTR;
			continue;
		}
		if (n == 0)
			return -EINPROGRESS;
		if (tag_get(fd, tag) < 0)
			return -EBADF;
		if (tag->phase != TAG_CONNECTING || p.revents & (POLLHUP | POLLERR))
			return verdict(fd, tag);
		/* writable before the verdict: cannot be, unless the tag is not yet visible */
	}
}

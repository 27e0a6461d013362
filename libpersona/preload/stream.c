/* SPDX-License-Identifier: MIT */
/* Reset, refusal and unconnected sockets: AF_UNIX results in TCP's terms.
 *
 * The broker ends a stream in two ways: FIN is a shutdown of its sending side with its socket still
 * open, reset is a close. So an end of stream on a socket that is hung up (POLLHUP: both directions
 * are shut) although the program did not shut down writing is a reset, delivered once. Direct
 * streams inside the portspace have no such meaning: the peer's close is an orderly end there.
 * After the program's own shutdown of writing the two cannot be told apart and count as an end. */
#include <signal.h>

#include "preload.h"
#include "stream.h"

/* A failed connect that nobody asked about yet: its error comes out of the next call. */
static int pending_error(int fd, struct tag *tag)
{
	int err = connect_check(fd, tag);

	if (tag->phase != TAG_FAILED || tag->value == FAILED_SETTLED)
		return 0;
	SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &(int){0}, &(socklen_t){sizeof(int)});
	tag->value = 0;
	tag_set(fd, tag);
	return err;
}

ssize_t stream_end(int fd)
{
	const struct shim_info *si;
	struct tag tag;

	if (tag_get(fd, &tag) < 0 || tag.kind != TAG_TCP)
		return 0;
	if (tag.phase == TAG_CONNECTING || tag.phase == TAG_FAILED)
		return ret(-pending_error(fd, &tag));
	if (tag.phase != TAG_CONNECTED || tag.value & (CONNECTED_WRSHUT | CONNECTED_RESET) ||
		!socket_hung_up(fd))
		return 0;
	si = info_get();
	if (!si || !names_carried(fd, &si->info))
		return 0;
	tag.value |= CONNECTED_RESET;
	tag_set(fd, &tag);
	return ret(-ECONNRESET);
}

ssize_t stream_read_error(int fd)
{
	int err = errno, pending;
	struct tag tag;

	if ((err != ECONNRESET && err != EINVAL && err != ENOTCONN) || tag_get(fd, &tag) < 0 ||
		tag.kind != TAG_TCP)
		return -1;
	if (tag.phase == TAG_CONNECTING || tag.phase == TAG_FAILED) {
		pending = pending_error(fd, &tag);
		if (pending == 0 && err == ECONNRESET) {
			errno = err;
			return 0; /* told before: TCP reports the end now */
		}
		errno = pending ? pending : ENOTCONN;
		return -1;
	}
	if (tag.phase == TAG_CONNECTED && err == ECONNRESET) {
		tag.value |= CONNECTED_RESET;
		tag_set(fd, &tag);
	}
	errno = tag.phase == TAG_CONNECTED ? err : ENOTCONN;
	return -1;
}

static int broken_pipe(int flags)
{
	if (!(flags & MSG_NOSIGNAL))
		raise(SIGPIPE);
	errno = EPIPE;
	return -1;
}

int stream_send_error(int fd, int flags)
{
	int err = errno, pending;
	struct tag tag;

	if ((err != EISCONN && err != EOPNOTSUPP && err != ENOTCONN && err != EINVAL &&
		    err != ECONNRESET && err != EPIPE && err != EAFNOSUPPORT) ||
		tag_get(fd, &tag) < 0)
		return -1;
	errno = err;
	if (tag.kind != TAG_TCP) {
		if (err == ENOTCONN)
			errno = EDESTADDRREQ;
		else if (err == EINVAL || err == EISCONN)
			errno = ENETUNREACH;
		return -1;
	}
	switch (tag.phase) {
	case TAG_CONNECTED:
		return err == EISCONN ? 1 : -1;
	case TAG_CONNECTING:
	case TAG_FAILED:
		if (err == EISCONN)
			return 1;
		pending = pending_error(fd, &tag);
		errno = pending ? pending : EPIPE;
		return -1;
	default:
		/* not connected: with an address AF_UNIX says EOPNOTSUPP, without ENOTCONN */
		return err == ENOTCONN || err == EOPNOTSUPP ? broken_pipe(flags) : -1;
	}
}

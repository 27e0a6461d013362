/* SPDX-License-Identifier: MIT */
#include "dns_sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "dgram.h"

struct dns_sock {
	struct dns *dns;
	uv_poll_t poll;
	int fd;
	int far; /* until connect has given it away, then -1 */
	bool stream;
	struct dns_sock *prev, *next;
};

static struct dns_sock *find(struct dns *dns, int fd)
{
	struct dns_sock *s;

	DL_FOREACH(dns->socks, s)
	{
		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void poll_closed(uv_handle_t *handle)
{
	struct dns_sock *s = handle->data;
	struct dns *dns = s->dns;

	free(s);
	dns_handle_closed(dns);
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct dns_sock *s = poll->data;
	bool readable = events & UV_READABLE || status < 0;

	dns_process(s->dns, readable ? s->fd : ARES_SOCKET_BAD,
		events & UV_WRITABLE ? s->fd : ARES_SOCKET_BAD);
}

void dns_sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_sock *s = find(arg, fd);
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	if (!s)
		return;
	if (events)
		uv_poll_start(&s->poll, events, ready);
	else
		uv_poll_stop(&s->poll);
}

/* --- what c-ares calls: errno tells --- */

static ares_socket_t sock_open(int family, int type, int protocol, void *arg)
{
	struct dns *dns = arg;
	bool stream = type == SOCK_STREAM;
	struct dns_sock *s = calloc(1, sizeof(*s));
	int pair[2];

	(void)family;
	(void)protocol;
	if (!s) {
		errno = ENOMEM;
		return ARES_SOCKET_BAD;
	}
	if (socketpair(AF_UNIX,
		    (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		    pair) < 0) {
		free(s);
		return ARES_SOCKET_BAD;
	}
	*s = (struct dns_sock){.dns = dns, .fd = pair[0], .far = pair[1], .stream = stream};
	if (uv_poll_init(dns->loop, &s->poll, s->fd) < 0) {
		close(pair[0]);
		close(pair[1]);
		free(s);
		errno = ENOMEM;
		return ARES_SOCKET_BAD;
	}
	s->poll.data = s;
	dns->handles++;
	DL_APPEND(dns->socks, s);
	return s->fd;
}

static int sock_close(ares_socket_t fd, void *arg)
{
	struct dns *dns = arg;
	struct dns_sock *s = find(dns, fd);

	if (!s)
		return 0;
	DL_DELETE(dns->socks, s);
	uv_close((uv_handle_t *)&s->poll, poll_closed);
	close(s->fd);
	if (s->far >= 0)
		close(s->far);
	return 0;
}

static int sock_connect(
	ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len, void *arg)
{
	struct dns *dns = arg;
	struct dns_sock *s = find(dns, fd);
	struct endpoint to;
	int r = endpoint_from_sockaddr(addr, len, &to), far;

	if (!s || s->far < 0)
		r = -EINVAL;
	if (r == 0) {
		far = s->far;
		s->far = -1;
		r = (s->stream ? dns->ops->tcp : dns->ops->udp)(
			dns->ops->arg, dns->ps, &to, s->fd, far);
	}
	if (r == 0 && s->stream)
		r = -EINPROGRESS;
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : 0;
}

/* One datagram without its head. An ICMP error is the error of the call. */
static ssize_t receive_datagram(
	int fd, void *buf, size_t cap, struct sockaddr *from, ares_socklen_t *lenp)
{
	uint8_t bytes[DGRAM_HEAD];
	struct iovec iov[2] = {{bytes, sizeof(bytes)}, {buf, cap}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct sockaddr_storage ss;
	struct dgram_head head = {.kind = DGRAM_DATA};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	socklen_t len;

	if (n < 0)
		return -1;
	if (n == 0 || dgram_head_decode(bytes, (size_t)n, &head) < 0 || head.kind != DGRAM_DATA) {
		errno = n > 0 && head.kind == DGRAM_ERROR ? head.err : ECONNREFUSED;
		return -1;
	}
	if (from && lenp) {
		len = endpoint_to_sockaddr(
			&head.src, addr_is_v4(&head.src.addr) ? AF_INET : AF_INET6, &ss);
		memcpy(from, &ss, len < *lenp ? len : *lenp);
		*lenp = len;
	}
	return n - DGRAM_HEAD;
}

static ares_ssize_t sock_receive(ares_socket_t fd, void *buf, size_t cap, int flags,
	struct sockaddr *from, ares_socklen_t *lenp, void *arg)
{
	const struct dns_sock *s = find(arg, fd);

	(void)flags;
	if (!s) {
		errno = EBADF;
		return -1;
	}
	return s->stream ? recv(fd, buf, cap, MSG_DONTWAIT)
			 : receive_datagram(fd, buf, cap, from, lenp);
}

static ares_ssize_t sock_send(ares_socket_t fd, const struct iovec *iov, int n, void *arg)
{
	const struct dns_sock *s = find(arg, fd);
	const struct dgram_head head = {.kind = DGRAM_DATA};
	uint8_t bytes[DGRAM_HEAD];
	struct iovec with_head[2] = {{bytes, sizeof(bytes)}};
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	ssize_t sent;

	if (!s || (!s->stream && n != 1)) {
		errno = EINVAL;
		return -1;
	}
	if (!s->stream) {
		dgram_head_encode(&head, bytes);
		with_head[1] = iov[0];
		msg.msg_iov = with_head;
		msg.msg_iovlen = 2;
	}
	sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && !s->stream && errno == EAGAIN)
		return (ares_ssize_t)iov[0].iov_len; /* lost, as on any network */
	return sent > 0 && !s->stream ? sent - DGRAM_HEAD : sent;
}

const struct ares_socket_functions dns_sock_functions = {
	.asocket = sock_open,
	.aclose = sock_close,
	.aconnect = sock_connect,
	.arecvfrom = sock_receive,
	.asendv = sock_send,
};

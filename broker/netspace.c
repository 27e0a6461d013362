/* SPDX-License-Identifier: MIT */
#include "netspace.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BASE_BACKLOG = 1024 };

static int base_socket(const struct endpoint *e, struct sockaddr_storage *ssp, socklen_t *lenp)
{
	int family = addr_is_v4(&e->addr) ? AF_INET : AF_INET6;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return -errno;
	*lenp = endpoint_to_sockaddr(e, family, ssp);
	return fd;
}

static int base_connect(const struct netspace *ns, const struct endpoint *dst, int *fdp)
{
	struct sockaddr_storage ss;
	socklen_t len = 0;
	int fd = base_socket(dst, &ss, &len);
	int r = 0;

	(void)ns;
	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static int base_listen(
	const struct netspace *ns, const struct endpoint *at, struct endpoint *localp, int *fdp)
{
	struct sockaddr_storage ss;
	socklen_t len = 0;
	int fd = base_socket(at, &ss, &len);
	int on = 1, r = 0;

	(void)ns;
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
		(!addr_is_v4(&at->addr) &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
		bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BASE_BACKLOG) < 0) {
		r = -errno;
		goto out;
	}
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
		r = -errno;
		goto out;
	}
	r = endpoint_from_sockaddr((struct sockaddr *)&ss, len, localp);
out:
	if (r < 0)
		close(fd);
	else
		*fdp = fd;
	return r;
}

static int base_accept(const struct netspace *ns, int listen_fd, struct endpoint *peerp, int *fdp)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r, fd = accept4(listen_fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)ns;
	if (fd < 0)
		return -errno;
	r = endpoint_from_sockaddr((struct sockaddr *)&ss, len, peerp);
	if (r < 0) {
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

static const struct netspace_ops base_ops = {
	.connect = base_connect,
	.listen = base_listen,
	.accept = base_accept,
};

const struct netspace *netspace_base(void)
{
	static const struct netspace base = {.ops = &base_ops};

	return &base;
}

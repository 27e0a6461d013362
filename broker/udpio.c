/* SPDX-License-Identifier: MIT */
/* Making a socket, and the addresses that peers speak to. */
#include "udpio.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "udpio_priv.h"

/* More than an unprivileged process may have by default; what it gets is enough to start with. */
static void enlarge(int fd, int force, int plain)
{
	const int size = UDPIO_SOCKBUF;

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

static int setup(struct udpio *io)
{
	const int on = 1;
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&io->config.at, io->family, &ss);
	int segment;

	if (io->family == AF_INET6 &&
		setsockopt(io->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (io->wildcard && (io->family == AF_INET6 ? setsockopt(io->fd, IPPROTO_IPV6,
							      IPV6_RECVPKTINFO, &on, sizeof(on))
						    : setsockopt(io->fd, IPPROTO_IP, IP_PKTINFO,
							      &on, sizeof(on))) < 0)
		return -errno;
	enlarge(io->fd, SO_RCVBUFFORCE, SO_RCVBUF);
	enlarge(io->fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (bind(io->fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	/* A kernel that does not know the option would send a group as one datagram. */
	len = sizeof(segment);
	io->stats.gso =
		!io->config.no_gso && getsockopt(io->fd, SOL_UDP, UDP_SEGMENT, &segment, &len) == 0;
	io->stats.gro =
		!io->config.no_gro && setsockopt(io->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0;
	return 0;
}

int udpio_open(const struct udpio_config *config, struct udpio **iop)
{
	struct udpio *io = calloc(1, sizeof(*io));
	int r = -ENOMEM;

	if (!io)
		return -ENOMEM;
	io->config = *config;
	crypto_shorthash_keygen(io->hash_key);
	io->fd = -1;
	io->family = addr_is_v4(&config->at.addr) ? AF_INET : AF_INET6;
	io->wildcard = addr_is_any(&config->at.addr);
	io->slots =
		malloc((size_t)UDPIO_SLOTS * (UDPIO_HEADROOM + UDPIO_SLOT_MAX + UDPIO_TAILROOM));
	io->queue = malloc(UDPIO_QUEUE);
	if (io->slots && io->queue) {
		io->fd = socket(io->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		r = io->fd < 0 ? -errno : setup(io);
	}
	if (r < 0) {
		udpio_close(io);
		return r;
	}
	*iop = io;
	return 0;
}

void udpio_close(struct udpio *io)
{
	struct udpio_source *source, *tmp;

	if (!io)
		return;
	HASH_ITER(hh, io->sources, source, tmp)
	{
		HASH_DEL(io->sources, source);
		free(source);
	}
	if (io->fd >= 0)
		close(io->fd);
	free(io->slots);
	free(io->queue);
	free(io);
}

int udpio_fd(const struct udpio *io)
{
	return io->fd;
}

void udpio_bound(const struct udpio *io, struct endpoint *atp)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(io->fd, (struct sockaddr *)&ss, &len) < 0 ||
		endpoint_from_sockaddr((struct sockaddr *)&ss, len, atp) < 0)
		*atp = io->config.at;
}

void udpio_stats(const struct udpio *io, struct udpio_stats *statsp)
{
	*statsp = io->stats;
}

static struct udpio_source *find(struct udpio *io, const struct endpoint *peer)
{
	struct udpio_source *source;

	HASH_FIND(hh, io->sources, peer, sizeof(*peer), source);
	return source;
}

const struct addr *udpio_source_find(struct udpio *io, const struct endpoint *to)
{
	const struct udpio_source *source;

	if (!io->wildcard)
		return NULL;
	if (io->answering && endpoint_equal(&io->from, to))
		return &io->local;
	source = find(io, to);
	return source ? &source->local : NULL;
}

static void drop(struct udpio *io, struct udpio_source *source)
{
	if (io->last_source == source)
		io->last_source = NULL;
	HASH_DEL(io->sources, source);
	free(source);
}

void udpio_source_keep(struct udpio *io, const struct endpoint *peer, const struct addr *local)
{
	struct udpio_source *source = io->last_source;

	if (!source || !endpoint_equal(&source->peer, peer))
		source = find(io, peer);
	if (!source) {
		if (HASH_COUNT(io->sources) >= UDPIO_SOURCES)
			drop(io, io->sources); /* the oldest */
		source = calloc(1, sizeof(*source));
		if (!source)
			return; /* the kernel will choose */
		source->peer = *peer;
		HASH_ADD(hh, io->sources, peer, sizeof(source->peer), source);
		if (!source->hh.tbl) {
			free(source);
			return;
		}
	}
	source->local = *local;
	io->last_source = source;
}

void udpio_source_forget(struct udpio *io, const struct endpoint *peer)
{
	struct udpio_source *source = find(io, peer);

	if (source)
		drop(io, source);
}

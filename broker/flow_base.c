/* SPDX-License-Identifier: MIT */
/* Flows over the base network's UDP sockets (flow_priv.h).
 *
 * A service of this host is looked for in the kernel's own list before anything is sent, so what
 * listens at loopback alone, or nobody, is never spoken to; and the socket is bound to the host's
 * address that it talks to, as app_base.c has it. Errors that the network reports for a connected
 * socket are read from its error queue (ip(7), IP_RECVERR) and told to the peer. */
#define LOG_MODULE "flow"
#include "flow_priv.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostaddr.h"
#include "hostports.h"
#include "log.h"

enum { ROUND = 32 /* datagrams of one socket in a turn */ };

/* ---- services of the host ---- */

/* What the kernel said last: UDP sockets without a peer, loopback's left out. */
struct flow_host {
	uint64_t read_ns;
	struct endpoint *at;
	size_t n, cap;
};

static int add_service(const struct hostport *port, void *arg)
{
	struct flow_host *host = arg;

	if (port->proto != IPPROTO_UDP || addr_is_loopback(&port->local.addr))
		return 0;
	if (host->n == host->cap) {
		size_t cap = host->cap ? 2 * host->cap : 64;
		struct endpoint *at = realloc(host->at, cap * sizeof(*at));

		if (!at)
			return -ENOMEM;
		host->at = at;
		host->cap = cap;
	}
	host->at[host->n++] = port->local;
	return 0;
}

static void refresh(struct plane *plane, struct flow_host *host, unsigned age_ms)
{
	if (host->read_ns && plane->now_ns - host->read_ns < age_ms * UINT64_C(1000000))
		return;
	host->n = 0;
	host->read_ns = plane->now_ns;
	(void)hostports_each(add_service, host); /* what was not told is not there */
}

/* How well does the socket suit a peer of this family? */
static int suits(const struct endpoint *at, const struct endpoint *dst)
{
	if (at->port != dst->port)
		return 0;
	return addr_is_v4(&at->addr) == addr_is_v4(&dst->addr) ? 2 : 1;
}

static bool look(const struct flow_host *host, const struct endpoint *dst, struct endpoint *atp)
{
	const struct endpoint *best = NULL;
	struct addr list[HOSTADDR_MAX];

	for (size_t i = 0; i < host->n; i++)
		if (suits(&host->at[i], dst) > (best ? suits(best, dst) : 0))
			best = &host->at[i];
	if (!best)
		return false;
	*atp = *best;
	if (!addr_is_any(&best->addr))
		return true;
	/* A dual-stack socket is at the addresses of both families. */
	if (hostaddr_list(addr_is_v4(&best->addr) ? &best->addr : &dst->addr, list) == 0)
		return false;
	atp->addr = list[0];
	return addr_is_v4(&list[0]) || !addr_is_v4(&best->addr);
}

bool flow_host_service(struct plane *plane, const struct endpoint *dst, struct endpoint *atp)
{
	if (!plane->flow_host)
		plane->flow_host = calloc(1, sizeof(*plane->flow_host));
	if (!plane->flow_host || underlay_base_has_port(plane->base, dst->port))
		return false;
	refresh(plane, plane->flow_host, FLOW_HOST_AGE_MS);
	if (look(plane->flow_host, dst, atp))
		return true;
	refresh(plane, plane->flow_host, FLOW_HOST_AGAIN_MS); /* it may have come just now */
	return look(plane->flow_host, dst, atp);
}

void flow_host_free(struct plane *plane)
{
	if (plane->flow_host)
		free(plane->flow_host->at);
	free(plane->flow_host);
	plane->flow_host = NULL;
}

/* ---- sockets ---- */

/* An error of the socket's, or of something that was sent on it. */
static void read_error(struct flow *flow)
{
	_Alignas(struct cmsghdr) char control[512];
	struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct sock_extended_err ee = {0};
	int err = 0;
	socklen_t len = sizeof(err);

	if (recvmsg(flow->watch.fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
				(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
				memcpy(&ee, CMSG_DATA(c), sizeof(ee));
	(void)getsockopt(flow->watch.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (ee.ee_errno)
		err = (int)ee.ee_errno;
	if (err && err != EMSGSIZE)
		flow_unreachable(flow, err);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct flow *flow = (struct flow *)watch;
	static _Thread_local uint8_t buf[PLANE_HEADROOM + PLANE_PACKET_MAX + PLANE_TAILROOM];
	uint8_t *payload = buf + PLANE_HEADROOM;

	plane_turn_time(flow->plane);
	if (events & EPOLLERR)
		read_error(flow);
	for (int i = 0; i < ROUND && flow->watch.mask; i++) {
		ssize_t n = recv(flow->watch.fd, payload, PLANE_PACKET_MAX, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			read_error(flow);
		else
			(void)flow_send_back(flow, 0, 0, payload, (size_t)n);
	}
}

static int start(int fd, const struct endpoint *to, bool own)
{
	int on = 1, whole = IP_PMTUDISC_DONT, whole6 = IPV6_PMTUDISC_DONT;
	int family = addr_is_v4(&to->addr) ? AF_INET : AF_INET6;
	struct endpoint from = {.addr = to->addr};
	struct sockaddr_storage ss;
	socklen_t len;

	if (family == AF_INET) {
		(void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	} else {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &whole6, sizeof(whole6));
	}
	if (own) {
		len = endpoint_to_sockaddr(&from, family, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len) < 0)
			return -errno;
	}
	len = endpoint_to_sockaddr(to, family, &ss);
	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

int flow_base_open(struct flow *flow, const struct endpoint *to, bool own)
{
	int family = addr_is_v4(&to->addr) ? AF_INET : AF_INET6;
	int r, fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

	if (fd < 0)
		return -errno;
	r = start(fd, to, own);
	watch_init(&flow->watch, fd, on_ready);
	if (r == 0)
		r = watch_set(&flow->plane->poller, &flow->watch, EPOLLIN);
	if (r < 0)
		log_debug("cannot open a flow's socket: %s", strerror(-r));
	return r; /* flow_end() closes it */
}

void flow_base_send(struct flow *flow, const uint8_t *payload, size_t len)
{
	/* The first error may be an earlier datagram's. */
	for (int i = 0; i < 2; i++) {
		if (send(flow->watch.fd, payload, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
			errno == EAGAIN || errno == ENOBUFS)
			return; /* when the buffer is full it is lost, as on any network */
		read_error(flow);
	}
}

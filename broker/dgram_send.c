/* SPDX-License-Identifier: MIT */
/* What applications send (dgram_priv.h).
 *
 * A send that fails is reported as Linux would have reported it at once: by DGRAM_ERROR, whose
 * offender is the wildcard when no ICMP message was involved. References: udp_sendmsg,
 * ping_v4_sendmsg, ping_v6_sendmsg. */
#include "dgram_priv.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <utlist.h>

#include "flow.h"
#include "ip.h"
#include "linklocal.h"

enum { ICMP_HEADER = 8, ICMP_ID = 4, MULTICAST_TTL = 1 };

/* One send, with what the message left open filled in. */
struct sending {
	struct dgram *d;
	struct plane_ps *pps;
	struct plane_link *link; /* to leave by, or NULL */
	bool inside;		 /* it asked for the loopback interface */
	struct endpoint src, dst;
	uint8_t ttl, tos;
	bool dontfrag;
	uint8_t *payload;
	size_t len;
};

static void report(const struct sending *s, int err, uint32_t mtu)
{
	struct dgram_head head = {.kind = DGRAM_ERROR,
		.src = s->src,
		.dst = s->dst,
		.err = (uint16_t)err,
		.info = mtu,
		.offender = addr_any6};
	const bool v4 = addr_is_v4(&s->dst.addr);

	if (err == ECONNREFUSED) { /* nobody has the port: as if the ICMP message had come */
		if (!s->d->connected && !s->d->recverr)
			return;
		head.icmp_type = v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH;
		head.icmp_code = v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT;
		head.offender = s->dst.addr;
	}
	dgram_queue(s->d, &head, s->payload, s->len < DGRAM_QUOTE_MAX ? s->len : DGRAM_QUOTE_MAX);
}

static struct ipstack_out ip_out(const struct sending *s, uint8_t proto)
{
	return (struct ipstack_out){.proto = proto,
		.ttl = s->ttl,
		.tos = s->tos,
		.dontfrag = s->dontfrag,
		.link = s->link,
		.src = s->src.addr,
		.dst = s->dst.addr};
}

/* To a group or to all: by the link that was asked for, else by every one; and to the members
 * inside. Each link gets a copy of its own: what is sent is sealed in place. */
static int send_group(struct sending *s)
{
	struct plane_ps *pps = s->pps;
	struct plane_udp udp = {.pps = pps,
		.src = s->src,
		.dst = s->dst,
		.ttl = s->ttl ? s->ttl : MULTICAST_TTL,
		.tos = s->tos,
		.payload = s->payload,
		.len = s->len};
	struct plane_link *pl;
	int r = 0;

	(void)plane_udp_input(&udp);
	if (s->inside)
		return 0;
	DL_FOREACH(pps->links, pl)
	{
		struct ipstack_out out = ip_out(s, IPPROTO_UDP);
		struct dgram_server *server = s->d->server;
		uint8_t *copy = server->copy + PLANE_HEADROOM;

		if (s->link && s->link != pl)
			continue;
		server->fanout++;
		out.link = pl;
		out.ttl = udp.ttl;
		memcpy(copy, s->payload, s->len);
		r = ipstack_udp_send(pps->ip, pps->plane->now_ns, &out, s->src.port, s->dst.port,
			copy, s->len, NULL);
	}
	return r;
}

static int send_udp(struct sending *s, uint32_t *mtup)
{
	struct plane_ps *pps = s->pps;
	struct ipstack_out out;

	int r;

	if (addr_is_multicast(&s->dst.addr))
		return send_group(s);
	if (pps->flows &&
		flow_answer(pps, &s->src, &s->dst, s->ttl, s->tos, s->payload, s->len, &r))
		return r;
	if (plane_owns(pps, NULL, &s->dst.addr)) {
		const struct plane_udp udp = {.pps = pps,
			.src = s->src,
			.dst = s->dst,
			.ttl = s->ttl ? s->ttl : IPSTACK_TTL,
			.tos = s->tos,
			.payload = s->payload,
			.len = s->len};

		return plane_udp_input(&udp);
	}
	out = ip_out(s, IPPROTO_UDP);
	return ipstack_udp_send(pps->ip, pps->plane->now_ns, &out, s->src.port, s->dst.port,
		s->payload, s->len, mtup);
}

/* Echo requests only; the identifier is the socket's, whatever the message says. */
static int send_echo(struct sending *s, uint32_t *mtup)
{
	const bool v4 = s->d->proto == IPPROTO_ICMP;
	const struct ipstack_out out = ip_out(s, s->d->proto);
	uint8_t *p = s->payload;
	uint64_t sum = 0;

	if (s->len < ICMP_HEADER || p[0] != (v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST) || p[1] != 0)
		return -EINVAL;
	if (addr_is_v4(&s->dst.addr) != v4)
		return -EINVAL;
	p[ICMP_ID] = (uint8_t)(s->src.port >> 8);
	p[ICMP_ID + 1] = (uint8_t)s->src.port;
	p[2] = p[3] = 0;
	if (!v4)
		sum = ip_sum_pseudo(&s->src.addr, &s->dst.addr, IPPROTO_ICMPV6, s->len);
	ip_put_sum(p + 2, ip_sum_finish(ip_sum(p, s->len, sum)));
	return ipstack_output(s->pps->ip, s->pps->plane->now_ns, &out, p, s->len, mtup);
}

/* Where to, by which link and from which address. */
static int complete(struct sending *s, const struct dgram_head *head)
{
	struct dgram *d = s->d;
	struct endpoint any = {.addr = dgram_wildcard(d)};
	int r;

	if (head->flags & DGRAM_HAS_DST)
		s->dst = head->dst;
	else if (d->connected)
		s->dst = d->peer;
	else
		return -EDESTADDRREQ;
	if (addr_is_any(&s->dst.addr)) /* Linux sends to its own host */
		s->dst.addr = addr_is_v4(&s->dst.addr) ? addr_loopback4 : addr_loopback6;
	if (d->proto == IPPROTO_UDP && s->dst.port == 0)
		return -EINVAL;
	s->inside = head->ifindex == 1;
	if (head->ifindex > 1) {
		s->link = plane_link_by_index(s->pps, head->ifindex);
		if (!s->link)
			return -ENODEV;
	}
	if (!s->link && addr_is_link_local(&s->dst.addr) && !addr_is_v4(&s->dst.addr))
		s->link = plane_link_by_remote(s->pps, &s->dst.addr);
	if (!d->bound) {
		if (addr_is_v4(&any.addr) != addr_is_v4(&s->dst.addr) && !d->inode) {
			d->flags |= ASK_V6; /* nobody told us of the socket */
			any.addr = addr_any6;
		}
		r = dgram_take_port(d, &any);
		if (r < 0)
			return r == -EADDRINUSE ? -EAGAIN : r;
	}
	s->src = d->local;
	if (head->flags & DGRAM_HAS_SRC)
		s->src.addr = head->src.addr;
	if (addr_is_any(&s->src.addr) || addr_is_multicast(&s->src.addr)) {
		if (!plane_source(s->pps, &s->dst.addr, &s->src.addr))
			return -ENETUNREACH;
	} else if (!plane_owns(s->pps, NULL, &s->src.addr)) {
		return -EINVAL;
	}
	return addr_is_v4(&s->src.addr) == addr_is_v4(&s->dst.addr) ? 0 : -ENETUNREACH;
}

void dgram_send(struct dgram *d, const struct dgram_head *head, uint8_t *payload, size_t len)
{
	struct sending s = {.d = d,
		.pps = d->owner->pps,
		.ttl = head->flags & DGRAM_HAS_TTL ? head->ttl : 0,
		.tos = head->tos,
		.dontfrag = head->flags & DGRAM_DONTFRAG,
		.payload = payload,
		.len = len};
	uint32_t mtu = 0;
	int r;

	if (d->shut_wr)
		return;
	r = complete(&s, head);
	if (r == 0)
		r = d->proto == IPPROTO_UDP ? send_udp(&s, &mtu) : send_echo(&s, &mtu);
	plane_ip_watch(s.pps);
	if (r < 0)
		report(&s, -r, mtu);
}

/* SPDX-License-Identifier: MIT */
/* Control data of datagrams in both directions (ip(7), ipv6(7), RFC 3542). */
#include <time.h>
#include <linux/errqueue.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>

#include "udp.h"

#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

enum { SEND_CONTROL_MAX = 2048 };

/* --- towards the broker --- */

/* The source may be any address of the portspace. */
static int choose_source(struct dgram_head *head, const struct addr *a)
{
	const struct shim_info *si = info_get();

	if (addr_is_any(a))
		return 0;
	if (!si || addr_is_multicast(a) ||
		(!addr_is_loopback(a) && !udp_is_link_local(a) && info_own(&si->info, a) < 0))
		return -EINVAL;
	head->src.addr = *a;
	head->flags |= DGRAM_HAS_SRC;
	return 0;
}

static void map_v4(const void *in_addr, struct addr *ap)
{
	*ap = addr_any4;
	memcpy(ap->b + 12, in_addr, 4);
}

/* An int of a control message. */
static int get_int(const uint8_t *data, size_t n, int *vp)
{
	if (n != sizeof(*vp))
		return -EINVAL;
	memcpy(vp, data, sizeof(*vp));
	return 0;
}

static int send_ip(struct dgram_head *head, int type, const uint8_t *data, size_t n)
{
	struct in_pktinfo info;
	struct addr a;
	int v = 0, r;

	switch (type) {
	case IP_PKTINFO:
		if (n != sizeof(info))
			return -EINVAL;
		memcpy(&info, data, sizeof(info));
		if (info.ipi_ifindex)
			head->ifindex = (uint32_t)info.ipi_ifindex;
		map_v4(&info.ipi_spec_dst, &a);
		return choose_source(head, &a);
	case IP_TTL:
		r = get_int(data, n, &v);
		if (r < 0 || v < 1 || v > 255)
			return -EINVAL;
		head->ttl = (uint8_t)v;
		head->flags |= DGRAM_HAS_TTL;
		return 0;
	case IP_TOS:
		if (n == 1)
			v = data[0];
		else if (get_int(data, n, &v) < 0)
			return -EINVAL;
		if (v < 0 || v > 255)
			return -EINVAL;
		head->tos = (uint8_t)v;
		return 0;
	case IP_RETOPTS:
		return n == 0 ? 0 : -EPERM;
	default:
		return -EINVAL;
	}
}

static int send_ip6(struct dgram_head *head, int type, const uint8_t *data, size_t n)
{
	struct in6_pktinfo info;
	struct addr a;
	int v = 0;

	switch (type) {
	case IPV6_PKTINFO:
		if (n < sizeof(info))
			return -EINVAL;
		memcpy(&info, data, sizeof(info));
		if (info.ipi6_ifindex)
			head->ifindex = info.ipi6_ifindex;
		memcpy(a.b, &info.ipi6_addr, sizeof(a.b));
		return choose_source(head, &a);
	case IPV6_HOPLIMIT:
		if (get_int(data, n, &v) < 0 || v < -1 || v > 255)
			return -EINVAL;
		if (v < 0)
			return 0;
		head->ttl = (uint8_t)v;
		head->flags |= DGRAM_HAS_TTL;
		return 0;
	case IPV6_TCLASS:
		if (get_int(data, n, &v) < 0 || v < -1 || v > 255)
			return -EINVAL;
		head->tos = (uint8_t)(v < 0 ? 0 : v);
		return 0;
	case IPV6_DONTFRAG:
		if (get_int(data, n, &v) < 0 || v < 0 || v > 1)
			return -EINVAL;
		if (v)
			head->flags |= DGRAM_DONTFRAG;
		return 0;
	default:
		return -EINVAL;
	}
}

static int send_socket(int type)
{
	switch (type) {
	case SO_MARK:
		return -EPERM;
	case SCM_RIGHTS: /* mean something on AF_UNIX only: ignored */
	case SCM_CREDENTIALS:
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		return 0;
	default:
		return -EINVAL;
	}
}

static int send_segment(int type, const uint8_t *data, size_t n, uint16_t *segment)
{
	if (type != UDP_SEGMENT || n != sizeof(*segment))
		return -EINVAL;
	memcpy(segment, data, sizeof(*segment));
	return 0;
}

int udp_cmsg_send(
	const struct tag *tag, const struct msghdr *msg, struct dgram_head *head, uint16_t *segment)
{
	_Alignas(struct cmsghdr) uint8_t buf[SEND_CONTROL_MAX];
	struct msghdr copy = {.msg_control = buf, .msg_controllen = msg->msg_controllen};
	int r;

	if (msg->msg_controllen > sizeof(buf))
		return -ENOBUFS;
	r = user_read(buf, msg->msg_control, msg->msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && r == 0; c = CMSG_NXTHDR(&copy, c)) {
		size_t n = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_len < CMSG_LEN(0) ||
			c->cmsg_len > msg->msg_controllen - (size_t)((uint8_t *)c - buf))
			return -EINVAL;
		if (c->cmsg_level == SOL_SOCKET)
			r = send_socket(c->cmsg_type);
		else if (c->cmsg_level == IPPROTO_IP)
			r = send_ip(head, c->cmsg_type, CMSG_DATA(c), n);
		else if (c->cmsg_level == IPPROTO_IPV6 && tag->v6)
			r = send_ip6(head, c->cmsg_type, CMSG_DATA(c), n);
		else if (c->cmsg_level == IPPROTO_UDP && tag->kind == TAG_UDP)
			r = send_segment(c->cmsg_type, CMSG_DATA(c), n, segment);
	}
	return r;
}

/* --- towards the program --- */

int udp_control_init(int fd, void *p, size_t cap, struct udp_control *controlp)
{
	enum { MOST = 512 }; /* more than is ever put in */
	uint8_t zero[MOST] = {0};
	size_t n = cap < sizeof(zero) ? cap : sizeof(zero);

	*controlp = (struct udp_control){.p = p, .left = n};
	return n ? user_write(fd, p, zero, n) : 0;
}

void udp_control_put(struct udp_control *c, int level, int type, const void *data, size_t len)
{
	struct cmsghdr cm = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	size_t space = CMSG_SPACE(len);

	if (c->left < sizeof(cm)) {
		c->cut = true;
		return;
	}
	if (c->left < cm.cmsg_len) {
		c->cut = true;
		cm.cmsg_len = c->left;
	}
	memcpy(c->p, &cm, sizeof(cm));
	memcpy(c->p + CMSG_LEN(0), data, cm.cmsg_len - CMSG_LEN(0));
	if (space > c->left)
		space = c->left;
	c->p += space;
	c->left -= space;
	c->used += space;
}

/* The portspace's own address that an answer would come from. */
static struct addr specific_destination(const struct addr *dst)
{
	const struct shim_info *si = info_get();

	if (addr_is_loopback(dst) || (si && info_own(&si->info, dst) >= 0))
		return *dst;
	for (int i = 0; si && i < si->info.naddr; i++)
		if (addr_is_v4(&si->info.addr[i].addr))
			return si->info.addr[i].addr;
	return addr_any4;
}

static void put_pktinfo(struct udp_control *c, const struct dgram_head *head)
{
	struct in_pktinfo info = {.ipi_ifindex = (int)head->ifindex};
	struct addr spec = specific_destination(&head->dst.addr);

	memcpy(&info.ipi_spec_dst, spec.b + 12, 4);
	memcpy(&info.ipi_addr, head->dst.addr.b + 12, 4);
	udp_control_put(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
}

static void put_pktinfo6(struct udp_control *c, const struct dgram_head *head)
{
	struct in6_pktinfo info = {.ipi6_ifindex = head->ifindex};

	memcpy(&info.ipi6_addr, head->dst.addr.b, sizeof(info.ipi6_addr));
	udp_control_put(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

static void put_destination(
	struct udp_control *c, int level, int type, int family, const struct endpoint *dst)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(dst, family, &ss);

	if (len)
		udp_control_put(c, level, type, &ss, len);
}

static void put_v4(struct udp_control *c, uint32_t want, const struct dgram_head *head)
{
	int ttl = head->ttl;

	if (want & UDP_PKTINFO)
		put_pktinfo(c, head);
	if (want & UDP_RECVTTL)
		udp_control_put(c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (want & UDP_RECVTOS)
		udp_control_put(c, IPPROTO_IP, IP_TOS, &head->tos, 1);
	if (want & UDP_ORIGDST)
		put_destination(c, IPPROTO_IP, IP_ORIGDSTADDR, AF_INET, &head->dst);
}

static void put_hops(struct udp_control *c, const struct tag *tag, const struct dgram_head *head)
{
	int hops = head->ttl;

	if (tag->value & UDP_HOPLIMIT6)
		udp_control_put(c, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (tag->value & UDP_HOPLIMIT6_OLD)
		udp_control_put(c, IPPROTO_IPV6, IPV6_2292HOPLIMIT, &hops, sizeof(hops));
}

void udp_control_data(struct udp_control *c, const struct tag *tag, const struct dgram_head *head)
{
	bool v4 = addr_is_v4(&head->dst.addr);
	int class = head->tos;

	if (tag->v6 && tag->value & UDP_PKTINFO6)
		put_pktinfo6(c, head);
	if (v4) {
		put_v4(c, tag->value, head);
		return;
	}
	put_hops(c, tag, head);
	if (tag->value & UDP_TCLASS6)
		udp_control_put(c, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof(class));
	if (tag->value & UDP_ORIGDST6)
		put_destination(c, IPPROTO_IPV6, IPV6_ORIGDSTADDR, AF_INET6, &head->dst);
}

struct error_control {
	struct sock_extended_err ee;
	struct sockaddr_in6 offender;
};

void udp_control_error(struct udp_control *c, const struct tag *tag, const struct dgram_head *head)
{
	struct error_control e = {.ee = {.ee_errno = head->err,
					  .ee_origin = SO_EE_ORIGIN_LOCAL,
					  .ee_type = head->icmp_type,
					  .ee_code = head->icmp_code,
					  .ee_info = head->info}};
	struct endpoint offender = {.addr = head->offender};
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	int hops = head->ttl;

	if (!addr_is_any(&head->offender)) {
		e.ee.ee_origin =
			addr_is_v4(&head->dst.addr) ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
		endpoint_to_sockaddr(&offender, tag->v6 ? AF_INET6 : AF_INET, &ss);
	}
	memcpy(&e.offender, &ss, sizeof(e.offender));
	if (tag->v6) {
		if (head->ttl)
			put_hops(c, tag, head);
		udp_control_put(c, IPPROTO_IPV6, IPV6_RECVERR, &e, sizeof(e));
		return;
	}
	if (tag->value & UDP_RECVTTL && head->ttl)
		udp_control_put(c, IPPROTO_IP, IP_TTL, &hops, sizeof(hops));
	udp_control_put(c, IPPROTO_IP, IP_RECVERR, &e, sizeof(e.ee) + sizeof(struct sockaddr_in));
}

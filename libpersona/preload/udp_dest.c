/* SPDX-License-Identifier: MIT */
/* Destinations of datagrams: which sockaddr is taken for what, as Linux does it. A dual-stack UDP
 * socket takes an AF_INET address, an ICMP echo socket does not; AF_UNSPEC stands for AF_INET on an
 * IPv4 UDP socket and for "the peer" on an IPv6 one. The wildcard means this host. */
#include <netinet/in.h>
#include <string.h>

#include "udp.h"

enum {
	SIN6_LEAST = offsetof(struct sockaddr_in6, sin6_scope_id), /* RFC 2133 */
	V4_PREFIX = 96,						   /* of the 16-byte form */
	LONGEST_WITH_BROADCAST = V4_PREFIX + 30
};

bool udp_is_link_local(const struct addr *a)
{
	if (a->b[0] == 0xfe)
		return (a->b[1] & 0xc0) == 0x80;
	/* multicast of interface or link scope */
	return a->b[0] == 0xff && (a->b[1] & 0x0f) <= 2;
}

/* 255.255.255.255, or the last address of one of the portspace's own IPv4 networks. */
static bool is_broadcast(const struct addr *a)
{
	static const uint8_t limited[4] = {255, 255, 255, 255};
	const struct shim_info *si = info_get();

	if (!addr_is_v4(a))
		return false;
	if (memcmp(a->b + 12, limited, sizeof(limited)) == 0)
		return true;
	for (int i = 0; si && i < si->info.naddr; i++) {
		const struct prefix *p = &si->info.addr[i];
		bool ones = true;

		if (!addr_is_v4(&p->addr) || p->len > LONGEST_WITH_BROADCAST ||
			!prefix_contains(p, a))
			continue;
		for (int bit = p->len; bit < 128; bit++)
			ones = ones && a->b[bit / 8] >> (7 - bit % 8) & 1;
		if (ones)
			return true;
	}
	return false;
}

static int finish(int fd, const struct tag *tag, const struct sockaddr_storage *ss, socklen_t len,
	struct udp_dest *destp)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;
	int on = 0, r = endpoint_from_sockaddr((const struct sockaddr *)ss, len, &destp->ep);
	struct addr *a = &destp->ep.addr;

	if (r < 0)
		return r;
	if (addr_is_v4(a) && tag->kind == TAG_ICMP6)
		return -EINVAL;
	if (addr_is_v4(a) && tag->v6only)
		return -ENETUNREACH;
	if (addr_equal(a, &addr_any4))
		*a = addr_loopback4;
	else if (addr_is_any(a))
		*a = addr_loopback6;
	destp->have = true;
	destp->ifindex = 0;
	if (ss->ss_family == AF_INET6 && udp_is_link_local(a) && len >= sizeof(*sin6))
		destp->ifindex = sin6->sin6_scope_id;
	if (is_broadcast(a)) {
		SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_BROADCAST, &on, &(socklen_t){sizeof(on)});
		if (!on)
			return -EACCES;
	}
	return 0;
}

int udp_dest_connect(int fd, const struct tag *tag, const struct sockaddr_storage *ss,
	socklen_t len, struct udp_dest *destp)
{
	if (!tag->v6 && len < sizeof(struct sockaddr_in))
		return -EINVAL;
	if (tag->v6 && ss->ss_family == AF_INET) {
		if (tag->v6only || tag->kind == TAG_ICMP6)
			return -EAFNOSUPPORT;
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		return finish(fd, tag, ss, len, destp);
	}
	if (tag->v6 && len < SIN6_LEAST)
		return -EINVAL;
	if (ss->ss_family != (tag->v6 ? AF_INET6 : AF_INET))
		return -EAFNOSUPPORT;
	return finish(fd, tag, ss, len, destp);
}

/* The family of a send call's address on an IPv6 socket. 0, 1 for none, or a negative errno. */
static int check_v6(const struct tag *tag, const struct sockaddr_storage *ss, socklen_t len)
{
	if (tag->kind == TAG_ICMP6) {
		if (len < sizeof(struct sockaddr_in6))
			return -EINVAL;
		return ss->ss_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
	}
	if (len < offsetof(struct sockaddr, sa_data))
		return -EINVAL;
	switch (ss->ss_family) {
	case AF_INET6:
		return len < SIN6_LEAST ? -EINVAL : 0;
	case AF_INET:
		if (tag->v6only)
			return -ENETUNREACH;
		return len < sizeof(struct sockaddr_in) ? -EINVAL : 0;
	case AF_UNSPEC:
		return 1;
	default:
		return -EINVAL;
	}
}

int udp_dest_send(int fd, const struct tag *tag, const struct sockaddr *addr, socklen_t len,
	struct udp_dest *destp)
{
	struct sockaddr_storage ss;
	int r;

	*destp = (struct udp_dest){.have = false};
	if (addr) {
		r = user_read_sockaddr(&ss, addr, len);
		if (r < 0)
			return r;
	}
	r = !addr ? 1 : tag->v6 ? check_v6(tag, &ss, len) : 0;
	if (r == 1) /* none */
		return tag->phase == TAG_CONNECTED ? 0 : -EDESTADDRREQ;
	if (r < 0)
		return r;
	if (!tag->v6) {
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		if (ss.ss_family == AF_UNSPEC && tag->kind == TAG_UDP)
			ss.ss_family = AF_INET;
		if (ss.ss_family != AF_INET)
			return -EAFNOSUPPORT;
	}
	r = finish(fd, tag, &ss, len, destp);
	if (r == 0 && tag->kind == TAG_UDP && destp->ep.port == 0)
		return -EINVAL;
	return r;
}

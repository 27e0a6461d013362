/* SPDX-License-Identifier: MIT */
/* Options that only datagram sockets have, or that mean something else there. */
#include <linux/in6.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "ifs.h"
#include "opt.h"
#include "udp.h"

/* --- reading --- */

/* MTU of the path to the peer; 65535 inside the portspace. */
static int path_mtu(int fd, const struct tag *tag, struct opt_value *valuep)
{
	const struct shim_info *si = info_get();
	struct endpoint local, peer;
	int r;

	if (tag->phase != TAG_CONNECTED || !si)
		return -ENOTCONN;
	r = udp_names(fd, tag, &local, &peer);
	if (r < 0)
		return r;
	valuep->i = si->info.mtu;
	if (addr_is_loopback(&peer.addr) || info_own(&si->info, &peer.addr) >= 0)
		valuep->i = 65535;
	return 0;
}

static int peer_name(int fd, const struct tag *tag, size_t cap, struct opt_value *valuep)
{
	struct endpoint local, peer;
	struct sockaddr_storage ss;
	int r;

	if (tag->phase != TAG_CONNECTED)
		return -ENOTCONN;
	r = udp_names(fd, tag, &local, &peer);
	if (r < 0)
		return r;
	valuep->len = endpoint_to_sockaddr(&peer, tag->v6 ? AF_INET6 : AF_INET, &ss);
	if (valuep->len > cap)
		return -EINVAL;
	memcpy(valuep->bytes, &ss, valuep->len);
	return 0;
}

/* What the kernel says of a buffer. */
static int native_buffer(int fd, int name)
{
	int v = 0;

	SYS(SYS_getsockopt, fd, SOL_SOCKET, name, &v, &(socklen_t){sizeof(v)});
	return v;
}

static int get_socket(int fd, struct tag *tag, int name, size_t cap, struct opt_value *valuep)
{
	switch (name) {
	case SO_TYPE:
		valuep->i = SOCK_DGRAM;
		return 0;
	case SO_PROTOCOL:
		valuep->i = tag->kind == TAG_UDP    ? IPPROTO_UDP
			    : tag->kind == TAG_ICMP ? IPPROTO_ICMP
						    : IPPROTO_ICMPV6;
		return 0;
	case SO_ERROR:
		valuep->i = udp_take_error(fd, tag);
		return 0;
	case SO_SNDBUF:
		if (!side_get(fd, SIDE_SNDBUF, &valuep->i))
			valuep->i = native_buffer(fd, SO_SNDBUF);
		return 0;
	case SO_RCVBUF:
		valuep->i = native_buffer(fd, SO_RCVBUF);
		return 0;
	case SO_PEERNAME:
		return peer_name(fd, tag, cap, valuep);
	default:
		return 1;
	}
}

/* The address that IP_MULTICAST_IF reports for an interface. */
static void interface_address(int index, struct opt_value *valuep)
{
	const struct shim_info *si = info_get();
	struct addr a = addr_any4;

	if (index == 1)
		a = addr_loopback4;
	for (int i = 0; index > 1 && si && i < si->info.naddr; i++)
		if (addr_is_v4(&si->info.addr[i].addr)) {
			a = si->info.addr[i].addr;
			break;
		}
	memcpy(valuep->bytes, a.b + 12, 4);
}

int udp_opt_get(int fd, struct tag *tag, int level, int name, size_t cap, struct opt_value *valuep)
{
	int index = 0;

	valuep->len = sizeof(int);
	if (level == SOL_SOCKET)
		return get_socket(fd, tag, name, cap, valuep);
	if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU))
		return path_mtu(fd, tag, valuep);
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF) {
		side_get(fd, SIDE_MULTICAST_IF, &index);
		interface_address(index, valuep);
		return 0;
	}
	if (level == IPPROTO_IP && name == IP_UNICAST_IF) {
		side_get(fd, SIDE_UNICAST_IF, &index);
		valuep->i = (int)htonl((uint32_t)index);
		return 0;
	}
	if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF) {
		side_get(fd, SIDE_V6_MULTICAST_IF, &index);
		valuep->i = index;
		return 0;
	}
	if (level == IPPROTO_IPV6 && name == IPV6_UNICAST_IF) {
		side_get(fd, SIDE_V6_UNICAST_IF, &index);
		valuep->i = (int)htonl((uint32_t)index);
		return 0;
	}
	return 1;
}

/* --- setting --- */

static int interface_exists(int index)
{
	struct ask_if found;

	return index == 0 ? 0 : ifs_find(NULL, (unsigned)index, &found);
}

/* Which interface has this IPv4 address? Its index, 0 for the wildcard, or -ENODEV. */
static int interface_of(struct in_addr in)
{
	struct prefix addrs[IFADDR_MAX];
	const struct shim_info *si = info_get();
	struct ask_if ifs[IFS_MAX];
	int nif;

	if (in.s_addr == INADDR_ANY)
		return 0;
	nif = si ? ifs_load(ifs, IFS_MAX) : -ENODEV;
	for (int i = 0; i < nif; i++) {
		int n = ifs_addresses(&si->info, &ifs[i], nif, addrs);

		for (int k = 0; k < n; k++)
			if (addr_is_v4(&addrs[k].addr) && memcmp(addrs[k].addr.b + 12, &in, 4) == 0)
				return (int)ifs[i].index;
	}
	return -ENODEV;
}

/* struct ip_mreqn, struct ip_mreq, or (where `least` allows it) struct in_addr. 0 or negative. */
static int read_mreq(const void *value, size_t len, size_t least, struct ip_mreqn *mreqp)
{
	int r;

	memset(mreqp, 0, sizeof(*mreqp));
	if (len >= sizeof(*mreqp)) {
		r = user_read(mreqp, value, sizeof(*mreqp));
	} else if (len >= sizeof(struct ip_mreq)) {
		r = user_read(mreqp, value, sizeof(struct ip_mreq));
	} else {
		if (len < least || len < sizeof(struct in_addr))
			return -EINVAL;
		r = user_read(&mreqp->imr_address, value, sizeof(struct in_addr));
	}
	if (r == 0 && mreqp->imr_ifindex == 0) {
		r = interface_of(mreqp->imr_address);
		mreqp->imr_ifindex = r < 0 ? 0 : r;
	} else if (r == 0) {
		r = interface_exists(mreqp->imr_ifindex);
	}
	return r < 0 ? r : 0;
}

static int member(int fd, struct tag *tag, bool join, const struct addr *group, uint32_t index)
{
	if (!addr_is_multicast(group) || (group->b[12] == 255 && addr_is_v4(group)))
		return -EINVAL;
	return udp_option(fd, tag, join ? ASK_OPT_JOIN : ASK_OPT_LEAVE, index, group);
}

static int member_v4(int fd, struct tag *tag, bool join, const void *value, size_t len)
{
	struct addr group = addr_any4;
	struct ip_mreqn mreq;
	int r = read_mreq(value, len, sizeof(struct ip_mreq), &mreq);

	if (r < 0)
		return r == -ENODEV && !join ? -EADDRNOTAVAIL : r;
	memcpy(group.b + 12, &mreq.imr_multiaddr, 4);
	return member(fd, tag, join, &group, (uint32_t)mreq.imr_ifindex);
}

static int member_v6(int fd, struct tag *tag, bool join, const void *value, size_t len)
{
	struct ipv6_mreq mreq;
	struct addr group;
	int r;

	if (len < sizeof(mreq))
		return -EINVAL;
	r = user_read(&mreq, value, sizeof(mreq));
	if (r == 0)
		r = interface_exists((int)mreq.ipv6mr_ifindex);
	if (r < 0)
		return r;
	memcpy(group.b, &mreq.ipv6mr_multiaddr, sizeof(group.b));
	return member(fd, tag, join, &group, mreq.ipv6mr_ifindex);
}

/* RFC 3678 */
static int member_any(int fd, struct tag *tag, int level, bool join, const void *value, size_t len)
{
	struct group_req req;
	struct endpoint ep;
	int r;

	if (len < sizeof(req))
		return -EINVAL;
	r = user_read(&req, value, sizeof(req));
	if (r < 0)
		return r;
	if (req.gr_group.ss_family != (level == IPPROTO_IP ? AF_INET : AF_INET6) ||
		endpoint_from_sockaddr(
			(struct sockaddr *)&req.gr_group, sizeof(req.gr_group), &ep) < 0)
		return -EINVAL;
	r = interface_exists((int)req.gr_interface);
	return r < 0 ? r : member(fd, tag, join, &ep.addr, req.gr_interface);
}

static int set_index(int fd, enum side_key key, int index)
{
	int r = index < 0 ? -ENODEV : interface_exists(index);

	return r < 0 ? r : side_set(fd, key, index);
}

/* In network order. */
static int set_unicast_index(int fd, enum side_key key, int v)
{
	int r = set_index(fd, key, (int)ntohl((uint32_t)v));

	return r == -ENODEV ? -EADDRNOTAVAIL : r;
}

static int read_int(const void *value, size_t len, int *vp)
{
	return len < sizeof(*vp) ? -EINVAL : user_read(vp, value, sizeof(*vp));
}

/* Reports what the program gets from a UDP socket; but the largest datagram must always pass. */
static int set_send_buffer(int fd, int v)
{
	int least = UDP_SNDBUF_MIN, now;
	long r = SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));

	if (r < 0)
		return (int)r;
	now = native_buffer(fd, SO_SNDBUF);
	if (now < 2 * least)
		r = SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	return r < 0 ? (int)r : side_set(fd, SIDE_SNDBUF, now);
}

static int set_receive_buffer(int fd, struct tag *tag, int v)
{
	long r = SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v));

	if (r < 0)
		return (int)r;
	/* What is queued for us is accounted to the broker's end, whose setsockopt doubles again.
	 */
	udp_option(fd, tag, ASK_OPT_RCVBUF, (uint32_t)native_buffer(fd, SO_RCVBUF) / 2, NULL);
	return 0;
}

static int set_socket(int fd, struct tag *tag, int name, const void *value, size_t len)
{
	int v, r;

	if (name != SO_SNDBUF && name != SO_RCVBUF && name != SO_TYPE)
		return 1;
	r = read_int(value, len, &v);
	if (r == 0 && name == SO_TYPE)
		r = -ENOPROTOOPT;
	if (r < 0)
		return r;
	return name == SO_SNDBUF ? set_send_buffer(fd, v) : set_receive_buffer(fd, tag, v);
}

static int set_v4(int fd, struct tag *tag, int name, const void *value, size_t len)
{
	struct ip_mreqn mreq;
	int v, r;

	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return member_v4(fd, tag, name == IP_ADD_MEMBERSHIP, value, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return member_any(fd, tag, IPPROTO_IP, name == MCAST_JOIN_GROUP, value, len);
	case IP_MULTICAST_IF:
		r = read_mreq(value, len, sizeof(struct in_addr), &mreq);
		if (r == -ENODEV)
			r = -EADDRNOTAVAIL;
		return r < 0 ? r : side_set(fd, SIDE_MULTICAST_IF, mreq.imr_ifindex);
	case IP_UNICAST_IF:
		r = read_int(value, len, &v);
		return r < 0 ? r : set_unicast_index(fd, SIDE_UNICAST_IF, v);
	default:
		return 1;
	}
}

static int set_v6(int fd, struct tag *tag, int name, const void *value, size_t len)
{
	int v, r;

	switch (name) {
	case IPV6_ADD_MEMBERSHIP:
	case IPV6_DROP_MEMBERSHIP:
		return member_v6(fd, tag, name == IPV6_ADD_MEMBERSHIP, value, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return member_any(fd, tag, IPPROTO_IPV6, name == MCAST_JOIN_GROUP, value, len);
	case IPV6_MULTICAST_IF:
		r = read_int(value, len, &v);
		return r < 0 ? r : set_index(fd, SIDE_V6_MULTICAST_IF, v);
	case IPV6_UNICAST_IF:
		r = read_int(value, len, &v);
		return r < 0 ? r : set_unicast_index(fd, SIDE_V6_UNICAST_IF, v);
	default:
		return 1;
	}
}

int udp_opt_set(int fd, struct tag *tag, int level, int name, const void *value, size_t len)
{
	switch (level) {
	case SOL_SOCKET:
		return set_socket(fd, tag, name, value, len);
	case IPPROTO_IP:
		return set_v4(fd, tag, name, value, len);
	case IPPROTO_IPV6:
		return set_v6(fd, tag, name, value, len);
	default:
		return 1;
	}
}

int udp_opt_flag(int fd, struct tag *tag, uint32_t bit, bool on)
{
	int r = udp_flags(fd, tag, on ? bit : 0, on ? 0 : bit);

	if (r == 0 && bit & UDP_ANY_RECVERR)
		udp_option(fd, tag, ASK_OPT_RECVERR, (tag->value & UDP_ANY_RECVERR) != 0, NULL);
	return r;
}

/* May the broker fragment? IP_PMTUDISC_DO and IP_PMTUDISC_PROBE forbid it. */
static bool forbids_fragments(int fd, bool v6)
{
	int discover = IP_PMTUDISC_WANT, dontfrag = 0;

	side_get(fd, v6 ? SIDE_V6_MTU_DISCOVER : SIDE_MTU_DISCOVER, &discover);
	if (v6)
		side_get(fd, SIDE_V6_DONTFRAG, &dontfrag);
	return dontfrag || discover == IP_PMTUDISC_DO || discover == IP_PMTUDISC_PROBE;
}

void udp_opt_changed(int fd, int level, int name)
{
	bool v6 = level == IPPROTO_IPV6;
	uint32_t bit = v6 ? UDP_DONTFRAG6 : UDP_DONTFRAG4;
	struct tag tag;

	if (level != IPPROTO_IP && level != IPPROTO_IPV6 &&
		!(level == IPPROTO_UDP && name == UDP_SEGMENT) &&
		!(level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX)))
		return;
	if (name == (v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER) || (v6 && name == IPV6_DONTFRAG)) {
		bool on = forbids_fragments(fd, v6);

		udp_flags(fd, &tag, on ? bit : 0, on ? 0 : bit);
		return;
	}
	udp_flags(fd, &tag, UDP_SENDOPTS, 0);
}

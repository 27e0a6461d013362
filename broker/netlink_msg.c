/* SPDX-License-Identifier: MIT */
#include "netlink_msg.h"

#include <assert.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/icmpv6.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

enum {
	QUEUE_LEN = 1000,
	MTU_MIN = 68, /* RFC 791 */
	MTU_MAX = 65535,
	LOWER_UP = 1 << 16, /* IFF_LOWER_UP */
	EUI_LEN = 6	    /* of lo's address, all zero */
};

void netlink_out_clear(struct netlink_out *out)
{
	struct netlink_msg *msg, *next;

	DL_FOREACH_SAFE(out->msgs, msg, next)
	{
		free(msg);
	}
	*out = (struct netlink_out){0};
}

const struct netlink_if *netlink_find_if(const struct netlink_view *view, uint32_t index)
{
	for (size_t i = 0; i < view->nif; i++)
		if (view->ifs[i].index == index)
			return &view->ifs[i];
	return NULL;
}

/* --- putting messages together --- */

void *netlink_begin(
	struct netlink_ctx *c, uint16_t type, uint16_t flags, size_t size, struct nlmsghdr **nlhp)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(c->scratch);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_seq = c->nlh ? c->nlh->nlmsg_seq : 0;
	nlh->nlmsg_pid = c->nlh ? c->req->portid : 0;
	*nlhp = nlh;
	return mnl_nlmsg_put_extra_header(nlh, size);
}

static struct netlink_msg *new_msg(struct netlink_ctx *c, size_t cap)
{
	struct netlink_msg *msg = malloc(sizeof(*msg) + cap);

	if (msg)
		msg->len = 0;
	else
		c->nomem = true;
	return msg;
}

static void take(struct netlink_ctx *c, struct netlink_msg *msg)
{
	DL_APPEND(c->out->msgs, msg);
	c->out->bytes += msg->len;
}

static void add(struct netlink_msg *msg, const struct nlmsghdr *nlh)
{
	size_t len = MNL_ALIGN(nlh->nlmsg_len);

	memcpy(msg->data + msg->len, nlh, nlh->nlmsg_len);
	memset(msg->data + msg->len + nlh->nlmsg_len, 0, len - nlh->nlmsg_len);
	msg->len += len;
}

int netlink_emit(struct netlink_ctx *c, const struct nlmsghdr *nlh)
{
	struct netlink_msg *msg = new_msg(c, MNL_ALIGN(nlh->nlmsg_len));

	if (!msg)
		return -ENOMEM;
	add(msg, nlh);
	take(c, msg);
	return 0;
}

void netlink_flush_part(struct netlink_ctx *c)
{
	if (c->part)
		take(c, c->part);
	c->part = NULL;
}

int netlink_emit_part(struct netlink_ctx *c, const struct nlmsghdr *nlh)
{
	if (c->part && c->part->len + MNL_ALIGN(nlh->nlmsg_len) > NETLINK_PART_MAX)
		netlink_flush_part(c);
	if (!c->part && c->out->bytes + c->out->elsewhere + NETLINK_PART_MAX > NETLINK_OUT_MAX)
		return -ENOBUFS;
	if (!c->part)
		c->part = new_msg(c, NETLINK_PART_MAX);
	if (!c->part)
		return -ENOMEM;
	add(c->part, nlh);
	return 0;
}

/* --- attributes --- */

static void put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(nlh, type, 4, a->b + 12);
	else
		mnl_attr_put(nlh, type, 16, a->b);
}

static uint8_t family_of(const struct addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

static uint8_t prefix_len(const struct prefix *p)
{
	return addr_is_v4(&p->addr) && p->len >= 96 ? p->len - 96 : p->len;
}

/* --- RTM_NEWLINK --- */

static void put_stats(struct nlmsghdr *nlh, const struct netlink_if *i)
{
	struct rtnl_link_stats64 wide = {.rx_bytes = i->rx_bytes, .tx_bytes = i->tx_bytes};
	struct rtnl_link_stats narrow = {
		.rx_bytes = (uint32_t)i->rx_bytes, .tx_bytes = (uint32_t)i->tx_bytes};

	mnl_attr_put(nlh, IFLA_STATS64, sizeof(wide), &wide);
	mnl_attr_put(nlh, IFLA_STATS, sizeof(narrow), &narrow);
}

struct nlmsghdr *netlink_put_link(
	struct netlink_ctx *c, uint16_t type, uint16_t flags, const struct netlink_if *i)
{
	static const uint8_t zeros[EUI_LEN];
	bool lo = i->flags & IFF_LOOPBACK;
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi = netlink_begin(c, type, flags, sizeof(*ifi), &nlh);
	struct nlattr *nest;

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_type = lo ? ARPHRD_LOOPBACK : ARPHRD_NONE;
	ifi->ifi_index = (int)i->index;
	ifi->ifi_flags = i->flags | (i->flags & IFF_RUNNING ? LOWER_UP : 0);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, i->name);
	mnl_attr_put_u32(nlh, IFLA_TXQLEN, QUEUE_LEN);
	mnl_attr_put_u8(nlh, IFLA_OPERSTATE, 0); /* unknown, as for lo and every tunnel */
	mnl_attr_put_u8(nlh, IFLA_LINKMODE, 0);
	mnl_attr_put_u32(nlh, IFLA_MTU, i->mtu);
	mnl_attr_put_u32(nlh, IFLA_MIN_MTU, lo ? 0 : MTU_MIN);
	mnl_attr_put_u32(nlh, IFLA_MAX_MTU, lo ? 0 : MTU_MAX);
	mnl_attr_put_u32(nlh, IFLA_GROUP, 0);
	mnl_attr_put_u32(nlh, IFLA_PROMISCUITY, 0);
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, 1);
	mnl_attr_put_u8(nlh, IFLA_CARRIER, i->flags & IFF_RUNNING ? 1 : 0);
	mnl_attr_put_strz(nlh, IFLA_QDISC, "noqueue");
	if (lo) {
		mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(zeros), zeros);
		mnl_attr_put(nlh, IFLA_BROADCAST, sizeof(zeros), zeros);
	} else {
		nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
		mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "persona");
		mnl_attr_nest_end(nlh, nest);
	}
	put_stats(nlh, i);
	assert(nlh->nlmsg_len <= NETLINK_SCRATCH);
	return nlh;
}

/* --- RTM_NEWADDR --- */

struct nlmsghdr *netlink_put_addr(struct netlink_ctx *c, uint16_t type, uint16_t flags,
	const struct netlink_if *i, const struct netlink_addr *a)
{
	struct ifa_cacheinfo forever = {.ifa_prefered = UINT32_MAX, .ifa_valid = UINT32_MAX};
	const struct addr *addr = &a->prefix.addr;
	struct nlmsghdr *nlh;
	struct ifaddrmsg *ifa = netlink_begin(c, type, flags, sizeof(*ifa), &nlh);

	ifa->ifa_family = family_of(addr);
	ifa->ifa_prefixlen = prefix_len(&a->prefix);
	ifa->ifa_flags = IFA_F_PERMANENT;
	ifa->ifa_scope = addr_is_loopback(addr) ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	if (addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80)
		ifa->ifa_scope = RT_SCOPE_LINK;
	ifa->ifa_index = a->index;
	put_addr(nlh, IFA_ADDRESS, addr);
	if (addr_is_v4(addr)) {
		put_addr(nlh, IFA_LOCAL, addr);
		mnl_attr_put_strz(nlh, IFA_LABEL, i->name);
	}
	mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_PERMANENT);
	mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(forever), &forever);
	return nlh;
}

/* --- RTM_NEWROUTE --- */

/* An IPv6 next hop of an IPv4 route has an attribute of its own (RFC 5549). */
static void put_gateway(struct nlmsghdr *nlh, const struct netlink_route *route)
{
	struct {
		uint16_t family;
		uint8_t bytes[16];
	} via;

	if (addr_is_v4(&route->dst.addr) == addr_is_v4(&route->via)) {
		put_addr(nlh, RTA_GATEWAY, &route->via);
		return;
	}
	via.family = AF_INET6;
	memcpy(via.bytes, route->via.b, sizeof(via.bytes));
	mnl_attr_put(nlh, RTA_VIA, sizeof(via), &via);
}

struct nlmsghdr *netlink_put_route(struct netlink_ctx *c, uint16_t flags,
	const struct netlink_route *route, const struct addr *host, uint32_t rtm_flags)
{
	const struct addr *dst = host ? host : &route->dst.addr;
	bool v4 = addr_is_v4(dst);
	struct nlmsghdr *nlh;
	struct rtmsg *rtm = netlink_begin(c, RTM_NEWROUTE, flags, sizeof(*rtm), &nlh);
	struct rta_cacheinfo cache = {0};

	rtm->rtm_family = v4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = host ? (v4 ? 32 : 128) : prefix_len(&route->dst);
	rtm->rtm_table = route->table;
	rtm->rtm_protocol = route->protocol;
	rtm->rtm_type = route->type;
	rtm->rtm_flags = rtm_flags;
	rtm->rtm_scope = RT_SCOPE_UNIVERSE;
	if (v4 && route->type == RTN_LOCAL)
		rtm->rtm_scope = RT_SCOPE_HOST;
	else if (v4 && route->type == RTN_UNICAST && !route->has_via && !host)
		rtm->rtm_scope = RT_SCOPE_LINK;
	mnl_attr_put_u32(nlh, RTA_TABLE, route->table);
	if (rtm->rtm_dst_len > 0)
		put_addr(nlh, RTA_DST, dst);
	if (route->priority)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, route->priority);
	if (route->has_src)
		put_addr(nlh, RTA_PREFSRC, &route->src);
	if (route->has_via)
		put_gateway(nlh, route);
	if (route->index)
		mnl_attr_put_u32(nlh, RTA_OIF, route->index);
	if (host)
		mnl_attr_put(nlh, RTA_CACHEINFO, sizeof(cache), &cache);
	if (!v4)
		mnl_attr_put_u8(nlh, RTA_PREF, ICMPV6_ROUTER_PREF_MEDIUM);
	return nlh;
}

/* --- the small ones --- */

struct nlmsghdr *netlink_put_rule(
	struct netlink_ctx *c, uint8_t family, uint32_t priority, uint32_t table)
{
	struct nlmsghdr *nlh;
	struct fib_rule_hdr *rule = netlink_begin(c, RTM_NEWRULE, c->multi, sizeof(*rule), &nlh);

	rule->family = family;
	rule->table = (uint8_t)table;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, RTPROT_KERNEL);
	if (priority)
		mnl_attr_put_u32(nlh, FRA_PRIORITY, priority);
	return nlh;
}

struct nlmsghdr *netlink_put_netconf(
	struct netlink_ctx *c, uint16_t flags, uint8_t family, int32_t index)
{
	static const uint16_t off[] = {
		NETCONFA_MC_FORWARDING, NETCONFA_PROXY_NEIGH, NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN};
	struct nlmsghdr *nlh;
	struct netconfmsg *ncm = netlink_begin(c, RTM_NEWNETCONF, flags, sizeof(*ncm), &nlh);

	ncm->ncm_family = family;
	mnl_attr_put_u32(nlh, NETCONFA_IFINDEX, (uint32_t)index);
	mnl_attr_put_u32(nlh, NETCONFA_FORWARDING, 1); /* between links */
	if (family == AF_INET)
		mnl_attr_put_u32(nlh, NETCONFA_RP_FILTER, 1); /* sources are checked */
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++)
		mnl_attr_put_u32(nlh, off[i], 0);
	return nlh;
}

int netlink_emit_done(struct netlink_ctx *c)
{
	struct nlmsghdr *nlh;

	/* the end of a dump carries its errno, 0 */
	netlink_begin(c, NLMSG_DONE, c->multi, sizeof(int), &nlh);
	return netlink_emit(c, nlh);
}

/* Larger than the scratch buffer when the request is repeated in it. */
int netlink_emit_ack(struct netlink_ctx *c, int err)
{
	bool capped = err == 0 || c->req->flags & NLREQ_CAP_ACK;
	bool text = err && c->text && c->req->flags & NLREQ_EXT_ACK;
	size_t body = capped ? sizeof(*c->nlh) : MNL_ALIGN(c->nlh->nlmsg_len);
	size_t cap = sizeof(struct nlmsghdr) + sizeof(int) + body +
		     (text ? MNL_ATTR_HDRLEN + MNL_ALIGN(strlen(c->text) + 1) : 0);
	struct netlink_msg *msg = new_msg(c, cap);
	struct nlmsghdr *nlh;
	struct nlmsgerr *e;

	if (!msg)
		return -ENOMEM;
	nlh = mnl_nlmsg_put_header(msg->data);
	nlh->nlmsg_type = NLMSG_ERROR;
	nlh->nlmsg_flags =
		(c->req->flags & NLREQ_CAP_ACK ? NLM_F_CAPPED : 0) | (text ? NLM_F_ACK_TLVS : 0);
	nlh->nlmsg_seq = c->nlh->nlmsg_seq;
	nlh->nlmsg_pid = c->req->portid;
	e = mnl_nlmsg_put_extra_header(nlh, sizeof(int) + body);
	e->error = err;
	memcpy(&e->msg, c->nlh, capped ? sizeof(*c->nlh) : c->nlh->nlmsg_len);
	if (text)
		mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, c->text);
	msg->len = nlh->nlmsg_len;
	take(c, msg);
	return 0;
}

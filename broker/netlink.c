/* SPDX-License-Identifier: MIT */
/* Requests of route netlink: what is asked, by whom it is answered. See netlink.h. */
#include "netlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addrlabel.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "netlink_msg.h"
#include "netlink_route.h"

/* --- links --- */

static int get_link(struct netlink_ctx *c)
{
	const struct nlattr *tb[NETLINK_ATTRS] = {0};
	const struct netlink_if *found = NULL;
	const struct ifinfomsg *ifi = netlink_fixed(c, sizeof(*ifi));
	const struct nlattr *name;
	int r;

	if (!ifi)
		return -EINVAL;
	r = netlink_attrs(c, sizeof(*ifi), tb);
	if (r < 0)
		return r;
	name = tb[IFLA_IFNAME] ? tb[IFLA_IFNAME] : tb[IFLA_ALT_IFNAME];
	if (ifi->ifi_index > 0) {
		found = netlink_find_if(c->view, (uint32_t)ifi->ifi_index);
	} else if (name) {
		for (size_t i = 0; i < c->view->nif && !found; i++)
			if (netlink_attr_is(name, c->view->ifs[i].name))
				found = &c->view->ifs[i];
	} else {
		c->text = "An index or a name is needed";
		return -EINVAL;
	}
	if (!found)
		return -ENODEV;
	return netlink_emit(c, netlink_put_link(c, RTM_NEWLINK, 0, found));
}

/* Is the kind of link that a dump is restricted to another one than ours? */
static bool other_kind(const struct nlattr *info, bool lo)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(
		attr, info) if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) return lo ||
		!netlink_attr_is(attr, "persona");
	return false;
}

static int dump_links(struct netlink_ctx *c)
{
	const struct nlattr *tb[NETLINK_ATTRS] = {0};
	const struct nlattr *info = NULL;
	const struct ifinfomsg *ifi;
	bool of_a_master = false;
	int r = 0;

	/* old programs send the family alone */
	ifi = netlink_fixed(c, sizeof(*ifi));
	if (!ifi && c->req->flags & NLREQ_STRICT)
		return netlink_refuse(c, "The header of the request is too short");
	if (ifi) {
		r = netlink_attrs(c, sizeof(*ifi), tb);
		if (r < 0)
			return r;
		if (c->req->flags & NLREQ_STRICT &&
			(ifi->ifi_index || ifi->ifi_flags || ifi->ifi_change))
			return netlink_refuse(c, "This filter is not known for a dump of links");
		info = tb[IFLA_LINKINFO];
		of_a_master = tb[IFLA_MASTER] != NULL &&
			      mnl_attr_get_payload_len(tb[IFLA_MASTER]) >= 4 &&
			      mnl_attr_get_u32(tb[IFLA_MASTER]) != 0;
	}
	if (info || of_a_master)
		c->multi |= NLM_F_DUMP_FILTERED;
	for (size_t i = 0; i < c->view->nif && r == 0; i++) {
		const struct netlink_if *it = &c->view->ifs[i];

		if (of_a_master || (info && other_kind(info, i == 0)))
			continue;
		r = netlink_emit_part(c, netlink_put_link(c, RTM_NEWLINK, c->multi, it));
	}
	return r;
}

/* --- addresses --- */

static int dump_addrs_of(struct netlink_ctx *c, bool v6, uint32_t index)
{
	for (size_t i = 0; i < c->view->naddr; i++) {
		const struct netlink_addr *a = &c->view->addrs[i];
		const struct netlink_if *it = netlink_find_if(c->view, a->index);
		int r;

		if (!it || addr_is_v4(&a->prefix.addr) == v6 || (index && a->index != index))
			continue;
		r = netlink_emit_part(c, netlink_put_addr(c, RTM_NEWADDR, c->multi, it, a));
		if (r < 0)
			return r;
	}
	return 0;
}

static int dump_addrs(struct netlink_ctx *c)
{
	const struct ifaddrmsg *ifa = netlink_fixed(c, sizeof(*ifa));
	uint8_t family = netlink_family(c);
	uint32_t index = 0;
	int r = 0;

	if (c->req->flags & NLREQ_STRICT) {
		const struct nlattr *tb[NETLINK_ATTRS] = {0};

		if (!ifa)
			return netlink_refuse(c, "The header of the request is too short");
		r = netlink_attrs(c, sizeof(*ifa), tb);
		if (r < 0)
			return r;
		if (ifa->ifa_prefixlen || ifa->ifa_flags || ifa->ifa_scope)
			return netlink_refuse(
				c, "This filter is not known for a dump of addresses");
		index = ifa->ifa_index;
		if (index && !netlink_find_if(c->view, index))
			return -ENODEV;
		if (index)
			c->multi |= NLM_F_DUMP_FILTERED;
	}
	if (family != AF_INET6)
		r = dump_addrs_of(c, false, index);
	if (r == 0 && family != AF_INET)
		r = dump_addrs_of(c, true, index);
	return r;
}

/* --- tables of a fixed content --- */

static int dump_rules_of(struct netlink_ctx *c, uint8_t family)
{
	static const struct {
		uint32_t priority, table;
		bool v4_only;
	} rules[] = {
		{0, RT_TABLE_LOCAL, false},
		{32766, RT_TABLE_MAIN, false},
		{32767, RT_TABLE_DEFAULT, true},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && r == 0; i++)
		if (family == AF_INET || !rules[i].v4_only)
			r = netlink_emit_part(
				c, netlink_put_rule(c, family, rules[i].priority, rules[i].table));
	return r;
}

static int dump_rules(struct netlink_ctx *c)
{
	uint8_t family = netlink_family(c);
	int r = 0;

	if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (family != AF_INET6)
		r = dump_rules_of(c, AF_INET);
	if (r == 0 && family != AF_INET)
		r = dump_rules_of(c, AF_INET6);
	return r;
}

static int dump_netconf(struct netlink_ctx *c)
{
	uint8_t family = netlink_family(c);
	int r = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t f = v6 ? AF_INET6 : AF_INET;

		if (family != AF_UNSPEC && family != f)
			continue;
		for (size_t i = 0; i < c->view->nif && r == 0; i++)
			r = netlink_emit_part(c, netlink_put_netconf(c, c->multi, f,
							 (int32_t)c->view->ifs[i].index));
		if (r == 0)
			r = netlink_emit_part(
				c, netlink_put_netconf(c, c->multi, f, NETCONFA_IFINDEX_ALL));
		if (r == 0)
			r = netlink_emit_part(
				c, netlink_put_netconf(c, c->multi, f, NETCONFA_IFINDEX_DEFAULT));
	}
	return r;
}

static int get_netconf(struct netlink_ctx *c)
{
	const struct nlattr *tb[NETLINK_ATTRS] = {0};
	uint8_t family = netlink_family(c);
	int32_t index;
	int r = netlink_attrs(c, sizeof(struct netconfmsg), tb);

	if (r < 0)
		return r;
	if (family != AF_INET && family != AF_INET6)
		return -EOPNOTSUPP;
	if (!tb[NETCONFA_IFINDEX] || mnl_attr_get_payload_len(tb[NETCONFA_IFINDEX]) < 4)
		return -EINVAL;
	index = (int32_t)mnl_attr_get_u32(tb[NETCONFA_IFINDEX]);
	if (index != NETCONFA_IFINDEX_ALL && index != NETCONFA_IFINDEX_DEFAULT &&
		!netlink_find_if(c->view, (uint32_t)index))
		return -ENODEV;
	return netlink_emit(c, netlink_put_netconf(c, 0, family, index));
}

/* A table that a portspace has and that nothing is in. */
static int dump_nothing(struct netlink_ctx *c)
{
	(void)c;
	return 0;
}

static int get_nothing(struct netlink_ctx *c)
{
	(void)c;
	return -ENOENT;
}

/* --- requests --- */

struct request {
	uint16_t type;
	int (*get)(struct netlink_ctx *c);
	int (*dump)(struct netlink_ctx *c);
};

static const struct request requests[] = {
	{RTM_GETLINK, get_link, dump_links},
	{RTM_GETADDR, NULL, dump_addrs},
	{RTM_GETROUTE, netlink_get_route, netlink_dump_routes},
	{RTM_GETRULE, NULL, dump_rules},
	{RTM_GETNETCONF, get_netconf, dump_netconf},
	{RTM_GETNEIGH, get_nothing, dump_nothing},
	{RTM_GETNEIGHTBL, NULL, dump_nothing},
	{RTM_GETQDISC, get_nothing, dump_nothing},
	{RTM_GETTCLASS, get_nothing, dump_nothing},
	{RTM_GETTFILTER, get_nothing, dump_nothing},
	{RTM_GETMULTICAST, NULL, dump_nothing},
	{RTM_GETANYCAST, NULL, dump_nothing},
	{RTM_GETADDRLABEL, get_nothing, dump_nothing},
	{RTM_GETNEXTHOP, get_nothing, dump_nothing},
	{RTM_GETMDB, NULL, dump_nothing},
};

static const struct request *find(uint16_t type)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		if (requests[i].type == type)
			return &requests[i];
	return NULL;
}

static int run_dump(struct netlink_ctx *c, const struct request *request)
{
	size_t before = c->out->bytes;
	int r;

	c->multi = NLM_F_MULTI;
	r = request->dump(c);
	if (r < 0 && before == c->out->bytes) { /* refused: nothing was said yet */
		free(c->part);
		c->part = NULL;
		return r;
	}
	netlink_flush_part(c);
	return r < 0 ? r : netlink_emit_done(c);
}

/* The kinds of a type are NEW, DEL, GET, SET, in this order. */
static int handle(struct netlink_ctx *c, bool *dumpedp)
{
	enum { KINDS = 4, KIND_GET = 2 };
	uint16_t type = c->nlh->nlmsg_type;
	const struct request *request;

	if (type > RTM_MAX)
		return -EOPNOTSUPP;
	if (mnl_nlmsg_get_payload_len(c->nlh) < sizeof(struct rtgenmsg))
		return 0;
	if ((type - RTM_BASE) % KINDS != KIND_GET) {
		c->text = "The network of a portspace is configured with persona(1)";
		return -EPERM;
	}
	request = find(type);
	if (c->nlh->nlmsg_flags & NLM_F_DUMP) {
		if (!request || !request->dump)
			return -EOPNOTSUPP;
		if (c->ndumps++ >= NETLINK_DUMPS_MAX)
			return -EBUSY;
		*dumpedp = true;
		return run_dump(c, request);
	}
	return request && request->get ? request->get(c) : -EOPNOTSUPP;
}

static void answer_one(struct netlink_ctx *c)
{
	bool dumped = false;
	int r = 0;

	c->text = NULL;
	c->multi = 0;
	if (c->nlh->nlmsg_flags & NLM_F_REQUEST && c->nlh->nlmsg_type >= NLMSG_MIN_TYPE)
		r = handle(c, &dumped);
	if (r < 0 || (c->nlh->nlmsg_flags & NLM_F_ACK && !dumped))
		netlink_emit_ack(c, r);
}

int netlink_answer(const struct netlink_view *view, const struct nlreq *req, const void *body,
	size_t len, struct netlink_out *out)
{
	struct netlink_ctx c = {.view = view, .req = req, .out = out};
	_Alignas(8) uint8_t copy[NLREQ_MAX];
	int left = len < sizeof(copy) ? (int)len : (int)sizeof(copy);

	/* aligned, and the kernel's limits to what one message may ask for */
	if (left > 0)
		memcpy(copy, body, (size_t)left);
	/* mnl_nlmsg_ok() takes a length over INT_MAX for a negative one */
	for (c.nlh = (const struct nlmsghdr *)copy;
		mnl_nlmsg_ok(c.nlh, left) && c.nlh->nlmsg_len <= sizeof(copy);
		c.nlh = mnl_nlmsg_next(c.nlh, &left))
		answer_one(&c);
	return c.nomem ? -ENOMEM : 0;
}

/* --- notifications --- */

static bool in_group(uint32_t groups, enum rtnetlink_groups group)
{
	return groups >> (group - 1) & 1;
}

int netlink_notify(const struct netlink_view *view, uint32_t index, bool gone, uint32_t groups,
	struct netlink_out *out)
{
	struct netlink_ctx c = {.view = view, .out = out};
	const struct netlink_if *it = netlink_find_if(view, index);

	if (!it)
		return 0;
	if (!gone && in_group(groups, RTNLGRP_LINK))
		netlink_emit(&c, netlink_put_link(&c, RTM_NEWLINK, 0, it));
	for (size_t i = 0; i < view->naddr; i++) {
		const struct netlink_addr *a = &view->addrs[i];
		bool v4 = addr_is_v4(&a->prefix.addr);

		if (a->index == index &&
			in_group(groups, v4 ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR))
			netlink_emit(&c,
				netlink_put_addr(&c, gone ? RTM_DELADDR : RTM_NEWADDR, 0, it, a));
	}
	if (gone && in_group(groups, RTNLGRP_LINK))
		netlink_emit(&c, netlink_put_link(&c, RTM_DELLINK, 0, it));
	return c.nomem ? -ENOMEM : 0;
}

/* SPDX-License-Identifier: MIT */
#include "netlink_route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* --- reading requests --- */

const void *netlink_fixed(const struct netlink_ctx *c, size_t size)
{
	return mnl_nlmsg_get_payload_len(c->nlh) < size ? NULL : mnl_nlmsg_get_payload(c->nlh);
}

uint8_t netlink_family(const struct netlink_ctx *c)
{
	const struct rtgenmsg *gen = netlink_fixed(c, sizeof(*gen));

	return gen ? gen->rtgen_family : AF_UNSPEC;
}

int netlink_refuse(struct netlink_ctx *c, const char *text)
{
	c->text = text;
	return -EINVAL;
}

int netlink_attrs(struct netlink_ctx *c, size_t fixed, const struct nlattr *tb[NETLINK_ATTRS])
{
	const char *tail = mnl_nlmsg_get_payload_tail(c->nlh);
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(c->nlh) < MNL_ALIGN(fixed))
		return 0;
	mnl_attr_for_each(attr, c->nlh, fixed) if (mnl_attr_get_type(attr) < NETLINK_ATTRS)
		tb[mnl_attr_get_type(attr)] = attr;
	if ((const char *)attr < tail && c->req->flags & NLREQ_STRICT)
		return netlink_refuse(c, "Bytes left over behind the attributes");
	return 0;
}

bool netlink_attr_is(const struct nlattr *attr, const char *text)
{
	const char *value = mnl_attr_get_payload(attr);
	size_t len = strnlen(value, mnl_attr_get_payload_len(attr));

	return len == strlen(text) && memcmp(value, text, len) == 0;
}

static bool get_u32(const struct nlattr *attr, uint32_t *vp)
{
	if (!attr || mnl_attr_get_payload_len(attr) < sizeof(*vp))
		return false;
	*vp = mnl_attr_get_u32(attr);
	return true;
}

/* --- dumps --- */

struct filter {
	struct netlink_ctx *c;
	uint8_t family;
	uint8_t protocol, type;
	uint32_t table, index; /* 0: all */
};

static int dump_one(const struct netlink_route *route, void *arg)
{
	const struct filter *f = arg;
	bool v4 = addr_is_v4(&route->dst.addr) && route->dst.len >= 96;

	if ((f->family == AF_INET && !v4) || (f->family == AF_INET6 && v4))
		return 0;
	if ((f->table && f->table != route->table) || (f->index && f->index != route->index) ||
		(f->protocol && f->protocol != route->protocol) ||
		(f->type && f->type != route->type))
		return 0;
	return netlink_emit_part(f->c, netlink_put_route(f->c, f->c->multi, route, NULL, 0));
}

/* The table of own addresses follows from them. */
static int dump_local(const struct filter *f)
{
	const struct netlink_view *view = f->c->view;
	int r = 0;

	for (size_t i = 0; i < view->naddr && r == 0; i++) {
		const struct netlink_addr *a = &view->addrs[i];
		struct netlink_route route = {.dst = a->prefix,
			.index = a->index,
			.table = RT_TABLE_LOCAL,
			.type = RTN_LOCAL,
			.protocol = RTPROT_KERNEL,
			.has_src = addr_is_v4(&a->prefix.addr),
			.src = a->prefix.addr};
		bool whole = addr_is_v4(&a->prefix.addr) && addr_is_loopback(&a->prefix.addr);

		if (whole)
			prefix_mask(&route.dst);
		else
			route.dst.len = 128;
		r = dump_one(&route, (void *)(uintptr_t)f);
	}
	return r;
}

static int read_filter(struct netlink_ctx *c, struct filter *f)
{
	const struct nlattr *tb[NETLINK_ATTRS] = {0};
	const struct rtmsg *rtm = netlink_fixed(c, sizeof(*rtm));
	int r;

	if (!(c->req->flags & NLREQ_STRICT))
		return 0;
	if (!rtm)
		return netlink_refuse(c, "The header of the request is too short");
	if (rtm->rtm_src_len || rtm->rtm_dst_len || rtm->rtm_tos || rtm->rtm_scope)
		return netlink_refuse(c, "This filter is not known for a dump of routes");
	r = netlink_attrs(c, sizeof(*rtm), tb);
	if (r < 0)
		return r;
	f->table = rtm->rtm_table;
	f->protocol = rtm->rtm_protocol;
	f->type = rtm->rtm_type;
	get_u32(tb[RTA_TABLE], &f->table);
	get_u32(tb[RTA_OIF], &f->index);
	if (f->index && !netlink_find_if(c->view, f->index))
		return -ENODEV;
	if (f->table || f->protocol || f->type || f->index)
		c->multi |= NLM_F_DUMP_FILTERED;
	return 0;
}

int netlink_dump_routes(struct netlink_ctx *c)
{
	const struct rtmsg *rtm = netlink_fixed(c, sizeof(*rtm));
	struct filter f = {.c = c, .family = netlink_family(c)};
	int r = read_filter(c, &f);

	if (r < 0)
		return r;
	/* what is asked for is the cache of routes, which nobody has any more */
	if (rtm && rtm->rtm_flags & RTM_F_CLONED)
		return 0;
	if (f.table && f.table != RT_TABLE_MAIN && f.table != RT_TABLE_LOCAL) {
		c->text = "There is no such table";
		return f.family == AF_UNSPEC ? 0 : -ENOENT;
	}
	if (!f.table || f.table == RT_TABLE_MAIN)
		r = c->view->routes(c->view->arg, dump_one, &f);
	if (r == 0 && (!f.table || f.table == RT_TABLE_LOCAL))
		r = dump_local(&f);
	return r;
}

/* --- a single look-up --- */

static bool get_addr(const struct nlattr *attr, bool v4, struct addr *ap)
{
	size_t len = v4 ? 4 : 16;

	if (!attr || mnl_attr_get_payload_len(attr) < len)
		return false;
	*ap = addr_any4;
	memcpy(ap->b + (v4 ? 12 : 0), mnl_attr_get_payload(attr), len);
	return true;
}

int netlink_get_route(struct netlink_ctx *c)
{
	const struct nlattr *tb[NETLINK_ATTRS] = {0};
	const struct rtmsg *rtm = netlink_fixed(c, sizeof(*rtm));
	struct netlink_route route;
	struct addr dst, src;
	bool v4, has_src, match;
	uint32_t oif = 0, uid;
	struct nlmsghdr *nlh;
	int r;

	if (!rtm)
		return -EINVAL;
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	r = netlink_attrs(c, sizeof(*rtm), tb);
	if (r < 0)
		return r;
	v4 = rtm->rtm_family == AF_INET;
	if (!get_addr(tb[RTA_DST], v4, &dst))
		dst = v4 ? addr_loopback4 : addr_loopback6; /* as Linux takes the wildcard */
	else if (addr_is_any(&dst))
		dst = v4 ? addr_loopback4 : addr_loopback6;
	has_src = get_addr(tb[RTA_SRC], v4, &src);
	r = c->view->lookup(c->view->arg, &dst, has_src ? &src : NULL, &route);
	if (r < 0)
		return r;
	if (get_u32(tb[RTA_OIF], &oif) && oif && oif != route.index)
		return netlink_find_if(c->view, oif) ? -ENETUNREACH : -ENODEV;
	match = rtm->rtm_flags & RTM_F_FIB_MATCH;
	if (!match && !(rtm->rtm_flags & RTM_F_LOOKUP_TABLE))
		route.table = RT_TABLE_MAIN;
	nlh = netlink_put_route(c, 0, &route, match ? NULL : &dst, match ? 0 : RTM_F_CLONED);
	if (v4 && !match && get_u32(tb[RTA_UID], &uid))
		mnl_attr_put_u32(nlh, RTA_UID, uid);
	return netlink_emit(c, nlh);
}

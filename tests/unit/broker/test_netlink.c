/* SPDX-License-Identifier: MIT */
/* Requests of route netlink: what is answered, in which form, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

enum { PORTID = 0xfedc1234, SEQ = 77, ROUTES_MANY = 100000 };

/* --- a portspace with lo and one link --- */

struct world {
	struct netlink_if ifs[2];
	struct netlink_addr addrs[4];
	struct netlink_view view;
	struct netlink_out out;
	size_t nroutes;
	_Alignas(8) uint8_t buf[NLREQ_MAX];
	size_t len;
	struct nlreq req;
};

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static int each_route(
	void *arg, int (*fn)(const struct netlink_route *route, void *fn_arg), void *fn_arg)
{
	const struct world *w = arg;
	struct netlink_route route = {.index = 2, .table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	int r = 0;

	for (size_t i = 0; i < w->nroutes && r == 0; i++) {
		route.dst = prefix("10.0.0.0/32");
		route.dst.addr.b[13] = (uint8_t)(i >> 16);
		route.dst.addr.b[14] = (uint8_t)(i >> 8);
		route.dst.addr.b[15] = (uint8_t)i;
		r = fn(&route, fn_arg);
	}
	if (r == 0) {
		route.dst = prefix("fd77::/64");
		route.protocol = RTPROT_RIP;
		route.priority = 3;
		route.has_via = true;
		addr_parse("fe80::2", &route.via);
		r = fn(&route, fn_arg);
	}
	return r;
}

static int lookup(
	void *arg, const struct addr *dst, const struct addr *src, struct netlink_route *routep)
{
	const struct prefix net = prefix("10.77.0.0/16");
	struct addr own;

	(void)arg;
	addr_parse("10.77.0.1", &own);
	if (src && !addr_equal(src, &own))
		return -EINVAL;
	if (addr_is_loopback(dst)) {
		*routep = (struct netlink_route){.dst = {.addr = *dst, .len = 128},
			.index = 1,
			.table = RT_TABLE_LOCAL,
			.type = RTN_LOCAL};
		return 0;
	}
	if (!prefix_contains(&net, dst))
		return -ENETUNREACH;
	*routep = (struct netlink_route){.dst = net,
		.index = 2,
		.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.has_src = true,
		.src = own};
	return 0;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->ifs[0] = (struct netlink_if){.name = "lo",
		.index = 1,
		.flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
		.mtu = 65536};
	w->ifs[1] = (struct netlink_if){.name = "link1",
		.index = 2,
		.flags = IFF_UP | IFF_POINTOPOINT | IFF_NOARP | IFF_RUNNING,
		.mtu = 1420,
		.rx_bytes = 5000000000,
		.tx_bytes = 7};
	w->addrs[0] = (struct netlink_addr){1, prefix("127.0.0.1/8")};
	w->addrs[1] = (struct netlink_addr){1, prefix("::1/128")};
	w->addrs[2] = (struct netlink_addr){2, prefix("10.77.0.1/24")};
	w->addrs[3] = (struct netlink_addr){2, prefix("fd77::1/64")};
	w->view = (struct netlink_view){w->ifs, 2, w->addrs, 4, each_route, lookup, w};
	w->req.portid = PORTID;
	w->nroutes = 1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	netlink_out_clear(&w->out);
	free(w);
	return 0;
}

/* --- asking --- */

/* Starts a request behind those that are there already. */
static void *begin(
	struct world *w, uint16_t type, uint16_t flags, size_t size, struct nlmsghdr **nlhp)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(w->buf + w->len);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = SEQ;
	*nlhp = nlh;
	return mnl_nlmsg_put_extra_header(nlh, size);
}

static void end(struct world *w, const struct nlmsghdr *nlh)
{
	w->len += MNL_ALIGN(nlh->nlmsg_len);
}

static void ask(struct world *w)
{
	netlink_out_clear(&w->out);
	assert_int_equal(netlink_answer(&w->view, &w->req, w->buf, w->len, &w->out), 0);
	w->len = 0;
}

static void ask_dump(struct world *w, uint16_t type, uint8_t family)
{
	struct nlmsghdr *nlh;
	struct rtgenmsg *gen = begin(w, type, NLM_F_DUMP, sizeof(*gen), &nlh);

	gen->rtgen_family = family;
	end(w, nlh);
	ask(w);
}

/* The n-th datagram; its length in *lenp. */
static const struct nlmsghdr *datagram(const struct world *w, size_t n, int *lenp)
{
	const struct netlink_msg *msg = w->out.msgs;

	while (msg && n-- > 0)
		msg = msg->next;
	if (!msg)
		return NULL;
	*lenp = (int)msg->len;
	return (const struct nlmsghdr *)msg->data;
}

static size_t datagrams(const struct world *w)
{
	size_t n = 0;

	for (const struct netlink_msg *msg = w->out.msgs; msg; msg = msg->next)
		n++;
	return n;
}

/* The only answer is an acknowledgement with this error. */
static const struct nlmsgerr *acked(const struct world *w, int err)
{
	int len = 0;
	const struct nlmsghdr *nlh = datagram(w, 0, &len);
	const struct nlmsgerr *e;

	assert_int_equal(datagrams(w), 1);
	assert_true(mnl_nlmsg_ok(nlh, len));
	assert_int_equal(nlh->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(nlh->nlmsg_seq, SEQ);
	assert_int_equal(nlh->nlmsg_pid, PORTID);
	e = mnl_nlmsg_get_payload(nlh);
	assert_int_equal(e->error, err);
	return e;
}

/* Counts the messages of a dump and checks its form: parts, then the end in a datagram of its own.
 */
static size_t dumped(const struct world *w, uint16_t type, uint16_t flags)
{
	size_t n = 0, total = datagrams(w);
	const struct nlmsghdr *nlh;
	int len;

	assert_true(total >= 1);
	for (size_t i = 0; i + 1 < total; i++) {
		nlh = datagram(w, i, &len);
		assert_true(len <= NETLINK_PART_MAX);
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len), n++) {
			assert_int_equal(nlh->nlmsg_type, type);
			assert_int_equal(nlh->nlmsg_flags, NLM_F_MULTI | flags);
			assert_int_equal(nlh->nlmsg_seq, SEQ);
			assert_int_equal(nlh->nlmsg_pid, PORTID);
		}
		assert_int_equal(len, 0);
	}
	nlh = datagram(w, total - 1, &len);
	assert_int_equal(nlh->nlmsg_type, NLMSG_DONE);
	assert_int_equal(nlh->nlmsg_flags & NLM_F_MULTI, NLM_F_MULTI);
	assert_int_equal(*(const int *)mnl_nlmsg_get_payload(nlh), 0);
	return n;
}

/* The attribute of the n-th message of the first datagram. */
static const struct nlattr *attribute(const struct world *w, size_t n, size_t fixed, uint16_t type)
{
	const struct nlattr *attr;
	int len = 0;
	const struct nlmsghdr *nlh = datagram(w, 0, &len);

	for (; n > 0 && mnl_nlmsg_ok(nlh, len); n--)
		nlh = mnl_nlmsg_next(nlh, &len);
	assert_true(mnl_nlmsg_ok(nlh, len));
	mnl_attr_for_each(attr, nlh, fixed) if (mnl_attr_get_type(attr) == type) return attr;
	return NULL;
}

/* --- links --- */

static void test_links_are_dumped(void **state)
{
	struct world *w = *state;
	struct rtnl_link_stats64 stats;
	const struct ifinfomsg *ifi;
	int len;

	ask_dump(w, RTM_GETLINK, AF_UNSPEC);
	assert_int_equal(dumped(w, RTM_NEWLINK, 0), 2);
	ifi = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(ifi->ifi_index, 1);
	assert_true(ifi->ifi_flags & IFF_LOOPBACK);
	assert_string_equal(mnl_attr_get_str(attribute(w, 1, sizeof(*ifi), IFLA_IFNAME)), "link1");
	assert_int_equal(mnl_attr_get_u32(attribute(w, 1, sizeof(*ifi), IFLA_MTU)), 1420);
	memcpy(&stats, mnl_attr_get_payload(attribute(w, 1, sizeof(*ifi), IFLA_STATS64)),
		sizeof(stats));
	assert_true(stats.rx_bytes == 5000000000);
	assert_true(stats.tx_bytes == 7);
}

static void ask_link(struct world *w, int index, const char *name, uint16_t flags)
{
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi = begin(w, RTM_GETLINK, flags, sizeof(*ifi), &nlh);

	ifi->ifi_index = index;
	if (name)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	end(w, nlh);
	ask(w);
}

static void test_a_link_is_found_by_index_and_by_name(void **state)
{
	struct world *w = *state;
	const struct ifinfomsg *ifi;
	int len;

	ask_link(w, 2, NULL, 0);
	assert_int_equal(datagrams(w), 1);
	assert_string_equal(mnl_attr_get_str(attribute(w, 0, sizeof(*ifi), IFLA_IFNAME)), "link1");
	ask_link(w, 0, "lo", NLM_F_ACK);
	assert_int_equal(datagrams(w), 2);
	assert_int_equal(datagram(w, 0, &len)->nlmsg_flags, 0);
	ifi = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(ifi->ifi_index, 1);
	assert_int_equal(datagram(w, 1, &len)->nlmsg_type, NLMSG_ERROR);
}

static void test_an_unknown_link_is_enodev(void **state)
{
	struct world *w = *state;

	ask_link(w, 9, NULL, 0);
	acked(w, -ENODEV);
	ask_link(w, 0, "link", 0);
	acked(w, -ENODEV);
	ask_link(w, 0, NULL, 0);
	acked(w, -EINVAL);
}

/* --- addresses --- */

static void test_addresses_are_dumped_ipv4_first(void **state)
{
	struct world *w = *state;
	const struct ifaddrmsg *ifa;
	int len;

	ask_dump(w, RTM_GETADDR, AF_UNSPEC);
	assert_int_equal(dumped(w, RTM_NEWADDR, 0), 4);
	ifa = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(ifa->ifa_family, AF_INET);
	assert_int_equal(ifa->ifa_prefixlen, 8);
	assert_int_equal(ifa->ifa_scope, RT_SCOPE_HOST);
	assert_memory_equal(mnl_attr_get_payload(attribute(w, 1, sizeof(*ifa), IFA_LOCAL)),
		"\x0a\x4d\x00\x01", 4);
	assert_string_equal(mnl_attr_get_str(attribute(w, 1, sizeof(*ifa), IFA_LABEL)), "link1");
	ask_dump(w, RTM_GETADDR, AF_INET6);
	assert_int_equal(dumped(w, RTM_NEWADDR, 0), 2);
	ifa = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(ifa->ifa_prefixlen, 128);
}

static void test_a_strict_dump_of_addresses_is_filtered_by_interface(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;
	struct ifaddrmsg *ifa;

	for (int strict = 0; strict < 2; strict++) {
		ifa = begin(w, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa), &nlh);
		ifa->ifa_index = 2;
		end(w, nlh);
		w->req.flags = strict ? NLREQ_STRICT : 0;
		ask(w);
		assert_int_equal(
			dumped(w, RTM_NEWADDR, strict ? NLM_F_DUMP_FILTERED : 0), strict ? 2 : 4);
	}
	ifa = begin(w, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa), &nlh);
	ifa->ifa_index = 9;
	end(w, nlh);
	ask(w);
	acked(w, -ENODEV);
}

static void test_a_strict_request_must_be_complete_and_known(void **state)
{
	static const uint16_t types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE};
	struct world *w = *state;
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	w->req.flags = NLREQ_STRICT;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		ask_dump(w, types[i], AF_INET);
		acked(w, -EINVAL);
	}
	rtm = begin(w, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm), &nlh);
	rtm->rtm_dst_len = 24;
	end(w, nlh);
	ask(w);
	acked(w, -EINVAL);
}

/* --- routes --- */

static void test_routes_are_dumped_by_family(void **state)
{
	struct world *w = *state;
	const struct rtmsg *rtm;
	int len;

	ask_dump(w, RTM_GETROUTE, AF_INET6);
	/* one learned, and two own addresses */
	assert_int_equal(dumped(w, RTM_NEWROUTE, 0), 3);
	rtm = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(rtm->rtm_dst_len, 64);
	assert_int_equal(rtm->rtm_protocol, RTPROT_RIP);
	assert_int_equal(mnl_attr_get_u32(attribute(w, 0, sizeof(*rtm), RTA_PRIORITY)), 3);
	assert_int_equal(mnl_attr_get_u32(attribute(w, 0, sizeof(*rtm), RTA_OIF)), 2);
	assert_int_equal(mnl_attr_get_payload_len(attribute(w, 0, sizeof(*rtm), RTA_GATEWAY)), 16);
	ask_dump(w, RTM_GETROUTE, AF_INET);
	assert_int_equal(dumped(w, RTM_NEWROUTE, 0), 3);
	ask_dump(w, RTM_GETROUTE, AF_UNSPEC);
	assert_int_equal(dumped(w, RTM_NEWROUTE, 0), 6);
}

static void ask_routes(struct world *w, uint8_t family, uint8_t table, uint32_t oif)
{
	struct nlmsghdr *nlh;
	struct rtmsg *rtm = begin(w, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm), &nlh);

	rtm->rtm_family = family;
	rtm->rtm_table = table;
	if (oif)
		mnl_attr_put_u32(nlh, RTA_OIF, oif);
	end(w, nlh);
	ask(w);
}

static void test_a_strict_dump_of_routes_is_filtered(void **state)
{
	struct world *w = *state;

	w->req.flags = NLREQ_STRICT | NLREQ_EXT_ACK;
	ask_routes(w, AF_INET, RT_TABLE_LOCAL, 0);
	assert_int_equal(dumped(w, RTM_NEWROUTE, NLM_F_DUMP_FILTERED), 2);
	ask_routes(w, AF_INET, 0, 1);
	assert_int_equal(dumped(w, RTM_NEWROUTE, NLM_F_DUMP_FILTERED), 1);
	ask_routes(w, AF_INET, 99, 0);
	acked(w, -ENOENT);
	ask_routes(w, AF_UNSPEC, 99, 0);
	assert_int_equal(dumped(w, RTM_NEWROUTE, 0), 0);
	ask_routes(w, AF_INET, 0, 9);
	acked(w, -ENODEV);
}

static void test_a_large_table_comes_in_parts(void **state)
{
	struct world *w = *state;

	w->nroutes = ROUTES_MANY;
	ask_dump(w, RTM_GETROUTE, AF_INET);
	assert_int_equal(dumped(w, RTM_NEWROUTE, 0), ROUTES_MANY + 2);
}

static void test_dumps_of_one_send_are_bounded(void **state)
{
	struct world *w = *state;
	struct rtgenmsg *gen;
	struct nlmsghdr *nlh;
	int len, busy = 0, full = 0;

	w->nroutes = ROUTES_MANY;
	for (int i = 0; i < 20; i++) {
		gen = begin(w, RTM_GETROUTE, NLM_F_DUMP, sizeof(*gen), &nlh);
		gen->rtgen_family = AF_INET;
		end(w, nlh);
	}
	ask(w);
	assert_true(w->out.bytes <= NETLINK_OUT_MAX + NLREQ_MAX);
	for (struct netlink_msg *msg = w->out.msgs; msg; msg = msg->next) {
		const struct nlmsghdr *m = (const struct nlmsghdr *)msg->data;

		len = (int)msg->len;
		if (!mnl_nlmsg_ok(m, len) || m->nlmsg_type != NLMSG_ERROR)
			continue;
		len = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(m))->error;
		assert_true(len == -EBUSY || len == -ENOBUFS);
		busy += len == -EBUSY;
		full += len == -ENOBUFS;
	}
	assert_int_equal(busy, 20 - NETLINK_DUMPS_MAX);
	assert_true(full > 0);
}

static void ask_way(struct world *w, const char *dst, const char *src, uint32_t flags)
{
	struct nlmsghdr *nlh;
	struct rtmsg *rtm = begin(w, RTM_GETROUTE, 0, sizeof(*rtm), &nlh);
	struct addr a;

	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	rtm->rtm_flags = flags;
	addr_parse(dst, &a);
	mnl_attr_put(nlh, RTA_DST, 4, a.b + 12);
	if (src) {
		addr_parse(src, &a);
		mnl_attr_put(nlh, RTA_SRC, 4, a.b + 12);
	}
	end(w, nlh);
	ask(w);
}

static void test_one_route_is_looked_up(void **state)
{
	struct world *w = *state;
	const struct rtmsg *rtm;
	int len;

	ask_way(w, "10.77.3.4", "10.77.0.1", 0);
	rtm = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(rtm->rtm_dst_len, 32);
	assert_true(rtm->rtm_flags & RTM_F_CLONED);
	assert_memory_equal(mnl_attr_get_payload(attribute(w, 0, sizeof(*rtm), RTA_DST)),
		"\x0a\x4d\x03\x04", 4);
	assert_memory_equal(mnl_attr_get_payload(attribute(w, 0, sizeof(*rtm), RTA_PREFSRC)),
		"\x0a\x4d\x00\x01", 4);
	assert_int_equal(mnl_attr_get_u32(attribute(w, 0, sizeof(*rtm), RTA_OIF)), 2);
	ask_way(w, "10.77.3.4", NULL, RTM_F_FIB_MATCH);
	rtm = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(rtm->rtm_dst_len, 16);
	assert_false(rtm->rtm_flags & RTM_F_CLONED);
	ask_way(w, "127.0.0.1", NULL, RTM_F_LOOKUP_TABLE);
	rtm = mnl_nlmsg_get_payload(datagram(w, 0, &len));
	assert_int_equal(rtm->rtm_table, RT_TABLE_LOCAL);
	assert_int_equal(rtm->rtm_type, RTN_LOCAL);
}

static void test_no_way_is_an_error(void **state)
{
	struct world *w = *state;

	ask_way(w, "192.0.2.1", NULL, 0);
	acked(w, -ENETUNREACH);
	ask_way(w, "10.77.3.4", "10.1.1.1", 0);
	acked(w, -EINVAL);
}

/* --- the rest --- */

static void test_other_tables_are_there(void **state)
{
	struct world *w = *state;

	ask_dump(w, RTM_GETRULE, AF_INET);
	assert_int_equal(dumped(w, RTM_NEWRULE, 0), 3);
	ask_dump(w, RTM_GETRULE, AF_INET6);
	assert_int_equal(dumped(w, RTM_NEWRULE, 0), 2);
	ask_dump(w, RTM_GETNEIGH, AF_UNSPEC);
	assert_int_equal(dumped(w, RTM_NEWNEIGH, 0), 0);
	ask_dump(w, RTM_GETNETCONF, AF_INET);
	assert_int_equal(dumped(w, RTM_NEWNETCONF, 0), 4);
}

static void test_changes_are_refused(void **state)
{
	static const uint16_t types[] = {RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_NEWADDR,
		RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_NEWNEIGH, RTM_NEWNSID};
	struct world *w = *state;
	struct nlmsghdr *nlh;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		begin(w, types[i], 0, sizeof(struct ifinfomsg), &nlh);
		end(w, nlh);
		ask(w);
		acked(w, -EPERM);
	}
}

static void test_unknown_types_are_not_supported(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;

	ask_dump(w, RTM_GETDCB, AF_UNSPEC);
	acked(w, -EOPNOTSUPP);
	begin(w, RTM_MAX + 1, 0, 4, &nlh);
	end(w, nlh);
	ask(w);
	acked(w, -EOPNOTSUPP);
}

static void test_an_error_repeats_the_request_unless_capped(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;
	const struct nlmsghdr *got;
	int len;

	for (int capped = 0; capped < 2; capped++) {
		begin(w, RTM_NEWLINK, 0, 32, &nlh);
		end(w, nlh);
		w->req.flags = capped ? NLREQ_CAP_ACK : 0;
		ask(w);
		acked(w, -EPERM);
		got = datagram(w, 0, &len);
		assert_int_equal(mnl_nlmsg_get_payload_len(got),
			sizeof(int) + sizeof(struct nlmsghdr) + (capped ? 0 : 32));
		assert_int_equal(got->nlmsg_flags, capped ? NLM_F_CAPPED : 0);
	}
}

static void test_the_reason_comes_on_request(void **state)
{
	struct world *w = *state;
	const struct nlattr *attr, *text = NULL;
	struct nlmsghdr *nlh;
	const struct nlmsghdr *got;
	int len;

	begin(w, RTM_NEWLINK, 0, 16, &nlh);
	end(w, nlh);
	w->req.flags = NLREQ_EXT_ACK | NLREQ_CAP_ACK;
	ask(w);
	acked(w, -EPERM);
	got = datagram(w, 0, &len);
	assert_true(got->nlmsg_flags & NLM_F_ACK_TLVS);
	mnl_attr_for_each(attr, got, sizeof(struct nlmsgerr)) if (mnl_attr_get_type(attr) ==
								  NLMSGERR_ATTR_MSG) text = attr;
	assert_non_null(text);
	assert_non_null(strstr(mnl_attr_get_str(text), "persona"));
}

static void test_only_requests_are_handled_and_acks_come_on_request(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;

	begin(w, RTM_GETLINK, NLM_F_ACK, 16, &nlh);
	nlh->nlmsg_flags = NLM_F_ACK;
	end(w, nlh);
	ask(w);
	acked(w, 0);
	begin(w, NLMSG_NOOP, 0, 4, &nlh);
	end(w, nlh);
	ask(w);
	assert_int_equal(datagrams(w), 0);
}

static void test_several_requests_in_one_send(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi;

	for (int i = 1; i <= 2; i++) {
		ifi = begin(w, RTM_GETLINK, 0, sizeof(*ifi), &nlh);
		ifi->ifi_index = i;
		end(w, nlh);
	}
	w->len += 64; /* zeros behind the last one are nothing */
	ask(w);
	assert_int_equal(datagrams(w), 2);
}

static void test_lengths_that_lie_end_the_request(void **state)
{
	struct world *w = *state;
	struct nlmsghdr *nlh;

	static const uint32_t lengths[] = {0, 1, 15, 33, 4096, UINT32_MAX, 0x80000000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		begin(w, RTM_GETLINK, NLM_F_ACK, 16, &nlh);
		end(w, nlh);
		nlh->nlmsg_len = lengths[i];
		ask(w);
		assert_int_equal(datagrams(w), 0);
	}
}

/* --- news --- */

static void test_news_goes_to_members_of_the_groups(void **state)
{
	const uint32_t link = 1U << (RTNLGRP_LINK - 1), v6 = 1U << (RTNLGRP_IPV6_IFADDR - 1);
	struct world *w = *state;
	int len;

	assert_int_equal(netlink_notify(&w->view, 2, false, 0, &w->out), 0);
	assert_int_equal(datagrams(w), 0);
	assert_int_equal(netlink_notify(&w->view, 2, false, link | v6, &w->out), 0);
	assert_int_equal(datagrams(w), 2);
	assert_int_equal(datagram(w, 0, &len)->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(datagram(w, 0, &len)->nlmsg_pid, 0);
	assert_int_equal(datagram(w, 1, &len)->nlmsg_type, RTM_NEWADDR);
	netlink_out_clear(&w->out);
	assert_int_equal(netlink_notify(&w->view, 2, true, link | v6, &w->out), 0);
	assert_int_equal(datagram(w, 0, &len)->nlmsg_type, RTM_DELADDR);
	assert_int_equal(datagram(w, 1, &len)->nlmsg_type, RTM_DELLINK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_links_are_dumped),
		T(test_a_link_is_found_by_index_and_by_name),
		T(test_an_unknown_link_is_enodev),
		T(test_addresses_are_dumped_ipv4_first),
		T(test_a_strict_dump_of_addresses_is_filtered_by_interface),
		T(test_a_strict_request_must_be_complete_and_known),
		T(test_routes_are_dumped_by_family),
		T(test_a_strict_dump_of_routes_is_filtered),
		T(test_a_large_table_comes_in_parts),
		T(test_dumps_of_one_send_are_bounded),
		T(test_one_route_is_looked_up),
		T(test_no_way_is_an_error),
		T(test_other_tables_are_there),
		T(test_changes_are_refused),
		T(test_unknown_types_are_not_supported),
		T(test_an_error_repeats_the_request_unless_capped),
		T(test_the_reason_comes_on_request),
		T(test_only_requests_are_handled_and_acks_come_on_request),
		T(test_several_requests_in_one_send),
		T(test_lengths_that_lie_end_the_request),
		T(test_news_goes_to_members_of_the_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

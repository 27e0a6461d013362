/* SPDX-License-Identifier: MIT */
/* A message to RUNTIME/route, with its head or without. Whatever is asked: what comes back are
 * whole netlink messages, no longer than a program's buffer unless it repeats the request. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "fuzz.h"
#include "netlink.h"

static int each_route(
	void *arg, int (*fn)(const struct netlink_route *route, void *fn_arg), void *fn_arg)
{
	struct netlink_route route = {
		.dst = {.len = 96}, .index = 2, .table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	int r = 0;

	(void)arg;
	route.dst.addr = addr_any4;
	route.has_via = true;
	route.via = addr_loopback6;
	for (int i = 0; i < 100 && r == 0; i++) {
		route.dst.len = (uint8_t)(i % 129);
		r = fn(&route, fn_arg);
	}
	return r;
}

static int lookup(
	void *arg, const struct addr *dst, const struct addr *src, struct netlink_route *routep)
{
	(void)arg;
	if (src && addr_is_multicast(src))
		return -EINVAL;
	*routep = (struct netlink_route){.dst = {.addr = *dst, .len = dst->b[15] % 129},
		.index = 1,
		.table = RT_TABLE_LOCAL,
		.type = RTN_LOCAL,
		.has_src = true,
		.src = *dst};
	return addr_is_multicast(dst) ? -ENETUNREACH : 0;
}

static void check(const struct netlink_out *out)
{
	size_t bytes = 0;

	for (const struct netlink_msg *msg = out->msgs; msg; msg = msg->next) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)msg->data;
		int len = (int)msg->len;

		bytes += msg->len;
		FUZZ_CHECK(mnl_nlmsg_ok(nlh, len));
		FUZZ_CHECK(nlh->nlmsg_type == NLMSG_ERROR || msg->len <= NETLINK_PART_MAX);
		while (mnl_nlmsg_ok(nlh, len))
			nlh = mnl_nlmsg_next(nlh, &len);
		FUZZ_CHECK(len <= 0);
	}
	FUZZ_CHECK(bytes == out->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct netlink_if ifs[] = {
		{.name = "lo", .index = 1, .flags = IFF_LOOPBACK, .mtu = 65536},
		{.name = "a23456789012345", .index = 2, .flags = IFF_RUNNING, .mtu = 1420},
	};
	struct netlink_addr addrs[] = {{.index = 1, .prefix = {.len = 128}},
		{.index = 2, .prefix = {.len = 120}}, {.index = 7, .prefix = {.len = 1}}};
	struct netlink_view view = {ifs, 2, addrs, 3, each_route, lookup, NULL};
	struct nlreq req = {.portid = 1};
	struct netlink_out out = {0};
	const void *body = data;

	addrs[0].prefix.addr = addr_loopback6;
	addrs[1].prefix.addr = addr_loopback4;
	nlreq_decode(data, size, &req, &body, &size);
	FUZZ_CHECK(netlink_answer(&view, &req, body, size, &out) == 0);
	check(&out);
	netlink_out_clear(&out);
	return 0;
}

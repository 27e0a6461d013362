/* SPDX-License-Identifier: MIT */
/* Routes in route netlink, and how requests are read; for netlink*.c alone. */
#ifndef PERSONA_BROKER_NETLINK_ROUTE_H
#define PERSONA_BROKER_NETLINK_ROUTE_H

#include "netlink_msg.h"

enum { NETLINK_ATTRS = 64 }; /* attributes with higher numbers are nothing that we look at */

/* The fixed part of the request, NULL when it is shorter. */
const void *netlink_fixed(const struct netlink_ctx *c, size_t size);
/* The family, which every request begins with. */
uint8_t netlink_family(const struct netlink_ctx *c);
/* Sorts the attributes behind the fixed part by type. 0, or -EINVAL (strict requests only) when
 * there is something that is no attribute. */
int netlink_attrs(struct netlink_ctx *c, size_t fixed, const struct nlattr *tb[NETLINK_ATTRS]);
/* Is this the string, with or without its terminator? */
bool netlink_attr_is(const struct nlattr *attr, const char *text);
/* -EINVAL with this reason (a constant). */
int netlink_refuse(struct netlink_ctx *c, const char *text);

int netlink_get_route(struct netlink_ctx *c);
int netlink_dump_routes(struct netlink_ctx *c);

#endif

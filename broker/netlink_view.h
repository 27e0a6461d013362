/* SPDX-License-Identifier: MIT */
/* A portspace as route netlink shows it (netlink.h): its interfaces, addresses and routes, taken
 * from the core. Control loop only: links do not go while a view is used. */
#ifndef PERSONA_BROKER_NETLINK_VIEW_H
#define PERSONA_BROKER_NETLINK_VIEW_H

#include "core.h"
#include "netlink.h"

enum { NETLINK_LO_INDEX = 1 };

struct netlink_portspace {
	struct netlink_view view;
	struct core *core;
	struct portspace *ps; /* borrowed */
	struct netlink_if *ifs;
	struct netlink_addr *addrs;
};

/* Fills *v with what is there now. `gone`: a link that was just taken out and is to be seen all the
 * same, or NULL. 0 or -ENOMEM; netlink_view_clear() when done. */
int netlink_view_fill(struct core *core, struct portspace *ps, const struct link *gone,
	struct netlink_portspace *v);
void netlink_view_clear(struct netlink_portspace *v);

#endif

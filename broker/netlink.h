/* SPDX-License-Identifier: MIT */
/* Route netlink as the programs of a portspace see it (rtnetlink(7), RFC 3549): bytes in, bytes
 * out, no I/O.
 *
 * Model: a request is answered from a view of the portspace: its interfaces, their addresses, its
 * routes. RTM_GET* of links, addresses, routes, rules and per-interface settings are answered, also
 * single look-ups; tables that a portspace does not have (neighbours, queues) are empty. Whatever
 * would change something is refused with EPERM, as the kernel refuses an unprivileged user.
 * Answers, flags and errors are the kernel's: NLM_F_MULTI and NLMSG_DONE in a message of its own,
 * NLMSG_ERROR as acknowledgement, with the request cut off (NETLINK_CAP_ACK) and a text
 * (NETLINK_EXT_ACK) on request, filters of a dump honoured and unknown attributes refused with
 * NETLINK_GET_STRICT_CHK. Not thread safe; every function may be called from any one thread. */
#ifndef PERSONA_BROKER_NETLINK_H
#define PERSONA_BROKER_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "nlreq.h"

enum {
	/* A program reads with at least a page: no message of a dump is larger (netlink(7)). */
	NETLINK_PART_MAX = 3712,
	NETLINK_OUT_MAX = 16 << 20, /* bytes of dumps that wait for a process; ENOBUFS beyond */
	NETLINK_DUMPS_MAX = 8,	    /* dumps in one send; EBUSY beyond */
	NETLINK_NAME_MAX = 16	    /* IFNAMSIZ */
};

struct netlink_if {
	char name[NETLINK_NAME_MAX];
	uint32_t index;
	uint32_t flags; /* IFF_* */
	uint32_t mtu;	/* bytes */
	uint64_t rx_bytes;
	uint64_t tx_bytes;
};

struct netlink_addr {
	uint32_t index; /* of the interface */
	struct prefix prefix;
};

struct netlink_route {
	struct prefix dst;
	uint32_t index;	   /* of the interface, 0: none */
	uint32_t priority; /* metric, 0: not shown */
	uint8_t table;	   /* RT_TABLE_MAIN or RT_TABLE_LOCAL */
	uint8_t type;	   /* RTN_* */
	uint8_t protocol;  /* RTPROT_* */
	bool has_via;
	bool has_src;
	struct addr via;
	struct addr src; /* preferred source */
};

/* What the answers are made of. Borrowed for the time of the call. */
struct netlink_view {
	const struct netlink_if *ifs; /* lo first */
	size_t nif;
	const struct netlink_addr *addrs; /* in the order of ifs */
	size_t naddr;
	/* Calls fn for each route of the main table. Returns 0, or what fn returned when that was
	 * not 0, or -ENOMEM. */
	int (*routes)(void *arg, int (*fn)(const struct netlink_route *route, void *fn_arg),
		void *fn_arg);
	/* The route that a packet to dst takes, from src (NULL: not chosen): 0 and all of *routep,
	 * table included; or -ENETUNREACH, -EHOSTUNREACH, -EINVAL (not an own source). */
	int (*lookup)(void *arg, const struct addr *dst, const struct addr *src,
		struct netlink_route *routep);
	void *arg;
};

/* Messages for the application, each to be sent on its own, in this order. */
struct netlink_msg {
	struct netlink_msg *prev, *next; /* utlist */
	size_t len;
	uint8_t data[];
};

struct netlink_out {
	struct netlink_msg *msgs;
	size_t bytes;	  /* in all of them */
	size_t elsewhere; /* bytes that wait for the same reader in other queues */
};

void netlink_out_clear(struct netlink_out *out);

/* Answers the netlink messages in body (not padded ones; whatever follows the last whole one is
 * ignored, as the kernel does). Appends to *out. -ENOMEM when an answer had to be left out, else
 * 0. */
int netlink_answer(const struct netlink_view *view, const struct nlreq *req, const void *body,
	size_t len, struct netlink_out *out);

/* Appends what a multicast member is told when an interface came (or went, `gone`): the link, and
 * its addresses, as far as it is in their groups (`groups` as in nl_groups). 0 or -ENOMEM. */
int netlink_notify(const struct netlink_view *view, uint32_t index, bool gone, uint32_t groups,
	struct netlink_out *out);

#endif

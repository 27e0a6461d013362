/* SPDX-License-Identifier: MIT */
/* Building of route netlink messages, for netlink*.c alone.
 *
 * A message is made in a scratch buffer of fixed size, which every message here fits with room to
 * spare, and then appended to the answers: on its own, or to the part of a dump that is being
 * filled. */
#ifndef PERSONA_BROKER_NETLINK_MSG_H
#define PERSONA_BROKER_NETLINK_MSG_H

#include <libmnl/libmnl.h>

#include "netlink.h"

enum { NETLINK_SCRATCH = 2048 };

/* One request on its way. */
struct netlink_ctx {
	const struct netlink_view *view;
	const struct nlreq *req;
	const struct nlmsghdr *nlh; /* the request */
	struct netlink_out *out;
	struct netlink_msg *part; /* of a dump, being filled; not in *out yet */
	const char *text;	  /* why it is refused, NULL when there is nothing to say */
	uint16_t multi;		  /* NLM_F_* of the messages of a dump */
	unsigned ndumps;
	bool nomem;
	_Alignas(8) uint8_t scratch[NETLINK_SCRATCH];
};

/* Starts a message in the scratch buffer, its fixed part (`size` bytes) zeroed. */
void *netlink_begin(
	struct netlink_ctx *c, uint16_t type, uint16_t flags, size_t size, struct nlmsghdr **nlhp);
/* Appends the message as a datagram of its own. 0 or -ENOMEM. */
int netlink_emit(struct netlink_ctx *c, const struct nlmsghdr *nlh);
/* Appends it to the dump. 0, -ENOMEM, -ENOBUFS (NETLINK_OUT_MAX). */
int netlink_emit_part(struct netlink_ctx *c, const struct nlmsghdr *nlh);
void netlink_flush_part(struct netlink_ctx *c);

/* The messages. `type` is RTM_NEW* or RTM_DEL*. */
struct nlmsghdr *netlink_put_link(
	struct netlink_ctx *c, uint16_t type, uint16_t flags, const struct netlink_if *i);
struct nlmsghdr *netlink_put_addr(struct netlink_ctx *c, uint16_t type, uint16_t flags,
	const struct netlink_if *i, const struct netlink_addr *a);
/* rtm_flags: RTM_F_CLONED for the answer to a look-up of `host` (else NULL). */
struct nlmsghdr *netlink_put_route(struct netlink_ctx *c, uint16_t flags,
	const struct netlink_route *route, const struct addr *host, uint32_t rtm_flags);
struct nlmsghdr *netlink_put_rule(
	struct netlink_ctx *c, uint8_t family, uint32_t priority, uint32_t table);
struct nlmsghdr *netlink_put_netconf(
	struct netlink_ctx *c, uint16_t flags, uint8_t family, int32_t index);
/* NLMSG_ERROR; err is 0 or a negative errno. */
int netlink_emit_ack(struct netlink_ctx *c, int err);
int netlink_emit_done(struct netlink_ctx *c);

/* The interface with this index, NULL when there is none. */
const struct netlink_if *netlink_find_if(const struct netlink_view *view, uint32_t index);

#endif

/* SPDX-License-Identifier: MIT */
/* Route netlink sockets between the shim and the broker: codec only, no I/O.
 *
 * Model: an AF_NETLINK socket of an application is AF_UNIX SOCK_SEQPACKET, connected to
 * RUNTIME/route when it is made. From the broker come netlink messages as they are (RFC 3549,
 * netlink(7)), so reading needs no help. Towards the broker each message is a head of NLREQ_HEAD
 * bytes, the netlink messages, and zeros up to NLREQ_PADDED bytes. Netlink answers a request before
 * send(2) returns; so does this: SO_SNDBUF is at its minimum, the unread request keeps the socket
 * unwritable (as the connect request does, ask.h), and the broker takes it out of the socket only
 * after it has queued the answer. The shim's send waits for that. A message without a head comes
 * from a program that the shim does not reach: it is taken as the netlink messages alone. */
#ifndef PERSONA_PROTO_NLREQ_H
#define PERSONA_PROTO_NLREQ_H

#include <stddef.h>
#include <stdint.h>

enum {
	NLREQ_HEAD = 16,
	NLREQ_PADDED = 1088, /* enough to make the socket unwritable (tests/assume) */
	NLREQ_MAX = 4096     /* largest request with its head: the minimal SO_SNDBUF takes it */
};

enum nlreq_flags {
	NLREQ_CAP_ACK = 1,   /* NETLINK_CAP_ACK */
	NLREQ_EXT_ACK = 2,   /* NETLINK_EXT_ACK */
	NLREQ_STRICT = 4,    /* NETLINK_GET_STRICT_CHK */
	NLREQ_SET_GROUPS = 8 /* `groups` is the new multicast membership */
};

struct nlreq {
	uint32_t flags;	 /* enum nlreq_flags */
	uint32_t portid; /* nl_pid of the application's socket */
	uint32_t groups; /* bit n: group n + 1, as nl_groups has it */
};

void nlreq_encode(const struct nlreq *req, uint8_t buf[NLREQ_HEAD]);
/* Splits a message: 0, *reqp, and where the netlink messages are (*bodyp inside buf, *lenp bytes);
 * -ENOENT when it has no head: nothing is written. */
int nlreq_decode(const void *buf, size_t len, struct nlreq *reqp, const void **bodyp, size_t *lenp);

#endif

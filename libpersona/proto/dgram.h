/* SPDX-License-Identifier: MIT */
/* Datagram sockets between the shim and the broker: codec only, no I/O.
 *
 * Model: a UDP socket or an ICMP echo socket of an application is AF_UNIX SOCK_SEQPACKET, connected
 * to RUNTIME/dgram when it is made. Every message in either direction is a head of DGRAM_HEAD bytes
 * and the payload. Towards the broker: DGRAM_DATA only. Towards the application: DGRAM_DATA, and
 * DGRAM_ERROR for what ICMP said of a datagram sent before (its payload is the beginning of that
 * datagram's payload). A message of a connected socket that does not begin with a head is payload
 * alone: stdio inside libc writes such, which no hook sees. What needs an answer (bind, connect,
 * names, options) is asked with struct ask_request (ask.h, ASK_DGRAM_*) on a second, short-lived
 * connection to the same path; the first byte of a message tells the two kinds of connection apart.
 *
 * For ICMP echo sockets the payload is the ICMP message from its type on, and the ports of src and
 * dst are the identifier. */
#ifndef PERSONA_PROTO_DGRAM_H
#define PERSONA_PROTO_DGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum dgram_kind { DGRAM_DATA = 0x44, DGRAM_ERROR = 0x45 };

enum dgram_flags {
	DGRAM_HAS_SRC = 1,  /* to the broker: the application chose src (IP_PKTINFO) */
	DGRAM_HAS_DST = 2,  /* to the broker: sendto with an address; else the connected peer */
	DGRAM_HAS_TTL = 4,  /* to the broker: ttl was chosen */
	DGRAM_DONTFRAG = 8, /* to the broker: do not fragment (IP_MTU_DISCOVER, IPV6_DONTFRAG) */
	DGRAM_EOR_ERR = 16  /* DGRAM_ERROR: only for readers of the error queue (IP_RECVERR) */
};

enum {
	DGRAM_HEAD = 72,
	DGRAM_PAYLOAD_MAX = 65527, /* 65,507 for IPv4 (RFC 768, RFC 791), 65,527 for IPv6 */
	DGRAM_QUOTE_MAX = 512	   /* payload of a DGRAM_ERROR */
};

struct dgram_head {
	enum dgram_kind kind;
	uint8_t flags;	  /* enum dgram_flags */
	uint8_t ttl;	  /* hop limit */
	uint8_t tos;	  /* traffic class */
	uint32_t ifindex; /* from the broker: the link it came by (1: inside the portspace); to the
			     broker: the link to leave by, 0 for any */
	struct endpoint src;
	struct endpoint dst;
	/* DGRAM_ERROR: src is the socket's own end, dst the one the datagram was sent to */
	uint16_t err;	   /* positive errno, as Linux maps the ICMP message */
	uint8_t icmp_type; /* of ICMP or ICMPv6, by the family of dst */
	uint8_t icmp_code;
	uint32_t info;	      /* next-hop MTU for "too big", else 0 */
	struct addr offender; /* who sent the ICMP message; the wildcard when it was the broker */
};

void dgram_head_encode(const struct dgram_head *head, uint8_t buf[DGRAM_HEAD]);
/* Reads the head of a message of `len` bytes. 0, or -EPROTO when it is none. */
int dgram_head_decode(const void *buf, size_t len, struct dgram_head *headp);

#endif

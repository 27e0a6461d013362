/* SPDX-License-Identifier: MIT */
/* Headers and checksums of IPv4 (RFC 791) and IPv6 (RFC 8200). Pure: bytes in, bytes out, no
 * allocation, no state.
 *
 * Model: a packet is looked at in two steps. ip_parse() checks the base header, which is all that
 * forwarding needs; ip_walk() goes on through IPv4 options or IPv6 extension headers to the
 * payload, which the receiver and the senders of ICMP errors need. Addresses in the result are in
 * the one form of addr.h; an IPv6 packet that holds an IPv4-mapped address is refused, because it
 * could not be told from IPv4 afterwards.
 *
 * Sums are one's complement sums in the memory's own byte order (RFC 1071, section 2 (B)), carried
 * as 64 bits and folded at the end; only ip_sum_finish() yields the 16 bits of a header, to be
 * stored as they are. */
#ifndef PERSONA_BROKER_IP_H
#define PERSONA_BROKER_IP_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "addr.h"

enum {
	IP4_HEAD = 20,
	IP4_HEAD_MAX = 60,
	IP6_HEAD = 40,
	IP6_FRAG_HEAD = 8,
	UDP_HEAD = 8,
	IP_LEN_MAX = 65535,	 /* total length of IPv4, payload length of IPv6 */
	IP4_MTU_MIN = 552,	 /* the smallest path MTU that is believed, as Linux has it */
	IP6_MTU_MIN = 1280,	 /* RFC 8200, section 5 */
	IP4_ERROR_PACKET = 576,	 /* an ICMP error is not longer: RFC 1812, section 4.3.2.3 */
	IP6_ERROR_PACKET = 1280, /* RFC 4443, section 2.4 (c) */
	IP6_CHAIN_MAX = 8	 /* extension headers before the payload */
};

enum {
	IP_PROTO_HOPOPTS = 0,
	IP_PROTO_ICMP = 1,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_ROUTING = 43,
	IP_PROTO_FRAGMENT = 44,
	IP_PROTO_ICMPV6 = 58,
	IP_PROTO_NONE = 59,
	IP_PROTO_DSTOPTS = 60
};

struct ip_header {
	bool v6;
	bool dontfrag;	 /* IPv4 DF; true for IPv6 */
	bool more;	 /* more fragments follow */
	uint8_t tos;	 /* or traffic class */
	uint8_t ttl;	 /* or hop limit */
	uint8_t proto;	 /* of what follows `head` */
	uint32_t id;	 /* of a fragment */
	uint32_t offset; /* of a fragment, bytes */
	uint32_t head;	 /* bytes before the payload (ip_walk) or of the base header (ip_parse) */
	uint32_t total;	 /* bytes of the whole packet */
	uint32_t
		next_at; /* IPv6: the byte that names `proto`; of a fragment: its fragment header */
	struct addr src, dst;
};

/* A fault that its sender is to be told by "parameter problem". */
struct ip_problem {
	bool answer; /* false: drop silently */
	uint8_t code;
	uint32_t pointer; /* offset of the fault in the packet */
};

/* What an address can be used for. */
enum ip_class {
	IP_UNICAST,
	IP_LINK_LOCAL, /* fe80::/10; 169.254.0.0/16 is routed like any other */
	IP_MULTICAST,  /* and 255.255.255.255 */
	IP_LOOPBACK,
	IP_UNUSABLE /* unspecified, 0.0.0.0/8, and IPv6 multicast that never leaves a host */
};

/* addr_is_v4() for the path of every packet. */
static inline bool ip_is_v4(const struct addr *a)
{
	static const struct addr v4 = {{[10] = 0xff, [11] = 0xff}};

	return memcmp(a->b, v4.b, 8) == 0 && memcmp(a->b + 8, v4.b + 8, 4) == 0;
}

enum ip_class ip_classify(const struct addr *a);

/* Reads the base header: version, lengths, IPv4 header checksum. `total` may be less than len. 0 or
 * -EPROTO. */
int ip_parse(const uint8_t *packet, size_t len, struct ip_header *hp);
/* The same for the packet inside of an ICMP error: cut short, its IPv4 checksum not looked at. */
int ip_parse_quoted(const uint8_t *packet, size_t len, struct ip_header *hp);
/* Walks options and extension headers of a packet whose first `len` bytes (at most h->total) are
 * there. Updates proto, head and the fragment's fields; of an IPv6 fragment, head ends behind its
 * fragment header, and an atomic one (RFC 6946) is no fragment. 0 or -EPROTO with *problemp. */
int ip_walk(const uint8_t *packet, size_t len, struct ip_header *h, struct ip_problem *problemp);
static inline bool ip_is_fragment(const struct ip_header *h)
{
	return h->more || h->offset;
}

/* Decrements TTL or hop limit, IPv4 checksum kept right (RFC 1624). The caller has seen ttl > 1. */
void ip_decrement_ttl(uint8_t *packet);

struct ip_build {
	uint8_t proto, ttl, tos;
	bool dontfrag; /* IPv4 */
	uint16_t id;   /* IPv4 */
	const struct addr *src, *dst;
};
static inline size_t ip_head_len(const struct addr *a)
{
	return ip_is_v4(a) ? IP4_HEAD : IP6_HEAD;
}
/* Writes a base header right before the payload; len: bytes behind the header, within IP_LEN_MAX.
 * Returns where the packet begins. */
uint8_t *ip_push(uint8_t *payload, size_t len, const struct ip_build *b);

/* Adds `len` bytes to a sum; only the last part of a sum may be odd. At most 64 KiB at once. */
uint64_t ip_sum(const void *p, size_t len, uint64_t sum);
/* Begins a sum with the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1). */
uint64_t ip_sum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, size_t len);
/* Folds and complements. The result over data with a right checksum in it is 0. */
static inline uint16_t ip_sum_finish(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Fields of headers whose length has been checked; any alignment. */
static inline uint16_t ip_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return ntohs(v);
}

static inline uint32_t ip_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static inline void ip_put16(uint8_t *p, uint16_t v)
{
	v = htons(v);
	memcpy(p, &v, sizeof(v));
}

static inline void ip_put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

/* Stores a finished sum: it is in memory's order already. */
static inline void ip_put_sum(uint8_t *p, uint16_t sum)
{
	memcpy(p, &sum, sizeof(sum));
}

#endif

/* SPDX-License-Identifier: MIT */
/* The IP layer of one portspace: input, output and forwarding of IPv4 (RFC 791, 1122, 1812) and
 * IPv6 (RFC 8200, 4443). Pure: packets in, packets and deliveries out by callbacks, time as an
 * argument. One thread. Links are the caller's pointers (`void *link`); NULL is the inside of the
 * portspace.
 *
 * Packets are worked on in place. A payload given to output has at least IPSTACK_HEADROOM bytes
 * before it (for the IP header and what the link adds) and IPSTACK_TAILROOM behind it; all of that
 * and the payload itself may be overwritten. A packet given to input may leave again by
 * ops.transmit at the place where it is, or a little behind it, never longer than it was: so the
 * room that ops.transmit wants must be around a received packet (WireGuard: IPSTACK_INPUT_HEADROOM
 * and IPSTACK_INPUT_TAILROOM). The stack itself wants none.
 *
 * Which addresses. An IPv4-mapped IPv6 address inside a packet, a loopback address on a link, and
 * sources that are multicast or unspecified are refused here; ops.route never sees them. Packets
 * from a link to multicast and link-local (fe80::/10) destinations are shown to ops.route too, but
 * of its answer only -EACCES counts: they are for us when ops.owns says so, and never forwarded.
 *
 * Callbacks may call the functions below again (an answer from inside of `deliver`); all pointers
 * they get are valid during the call only. */
#ifndef PERSONA_BROKER_IPSTACK_H
#define PERSONA_BROKER_IPSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	IPSTACK_HEADROOM = 128,
	IPSTACK_TAILROOM = 64,
	IPSTACK_INPUT_HEADROOM = 16,
	IPSTACK_INPUT_TAILROOM = 32,
	IPSTACK_TTL = 64
};

struct ipstack;

enum ipstack_where { IPSTACK_LOCAL, IPSTACK_LINK, IPSTACK_GATEWAY };

struct ipstack_next {
	enum ipstack_where where;
	void *link;   /* IPSTACK_LINK */
	uint32_t mtu; /* bytes of the link's packets */
};

/* What arrived for the portspace itself, or for a gateway's prefix. */
struct ipstack_delivery {
	void *link;    /* NULL: sent by the portspace itself */
	uint8_t proto; /* IPPROTO_* of the payload: UDP, ICMP, ICMPV6, TCP, ... */
	uint8_t ttl;   /* as it arrived */
	uint8_t tos;
	bool gateway;  /* IPSTACK_GATEWAY: dst is not ours but we own its prefix */
	bool dontfrag; /* IPv4 DF */
	struct addr src, dst;
	uint8_t *payload; /* behind the IP headers; may be changed in place */
	size_t len;
	const uint8_t *packet; /* the IP header, what ipstack_unreachable() quotes */
	size_t packet_len;
};

/* An ICMP error about a packet that this portspace sent. */
struct ipstack_error {
	uint8_t type, code; /* of ICMP, or ICMPv6 when `dst` is IPv6 */
	uint32_t info;	    /* next-hop MTU of "too big" */
	int err; /* positive errno as Linux maps it (icmp_err_convert, icmpv6_err_convert) */
	/* Linux reports it to connected sockets also without IP_RECVERR ("too big": unless path MTU
	 * discovery is off). */
	bool hard;
	struct addr offender;
	struct addr src, dst; /* of the packet that was quoted */
	uint8_t proto;
	const uint8_t *payload; /* quoted payload: begins with the UDP or ICMP header */
	size_t len;		/* at least 8 */
};

struct ipstack_ops {
	/* Where does a packet go next? `from` is the link it came by, NULL for our own. 0, -EACCES
	 * (the source is not allowed: drop silently; this is looked at first), -ENETUNREACH,
	 * -EHOSTUNREACH. Never asked about our own packets to loopback and multicast destinations,
	 * nor about those with `link` in struct ipstack_out. */
	int (*route)(void *arg, void *from, const struct addr *src, const struct addr *dst,
		struct ipstack_next *nextp);
	/* Sends a whole IP packet by a link, at most its MTU. In place: the room around it may be
	 * used. Done with the memory when it returns: the same buffer holds the next fragment. */
	void (*transmit)(void *arg, void *link, uint8_t *packet, size_t len);
	void (*deliver)(void *arg, const struct ipstack_delivery *delivery);
	/* Somebody says that a packet of ours met this error. True when there is a socket here that
	 * may have sent it: only then "too big" is believed and remembered for all (a peer that
	 * guesses addresses alone changes no path MTU; RFC 8201, section 4; RFC 5927). */
	bool (*error)(void *arg, const struct ipstack_error *error);
	/* Bytes of a link's packets: where ops.route was not asked. */
	uint32_t (*mtu)(void *arg, void *link);
	/* Is the address one of ours (or a multicast group we listen to)? Link-local ones depend on
	 * the link. */
	bool (*owns)(void *arg, void *link, const struct addr *a);
	/* The address that our ICMP errors about packets from `link` come from. False: send none.
	 */
	bool (*address)(void *arg, void *link, bool v6, struct addr *ap);
	void *arg;
};

int ipstack_new(const struct ipstack_ops *ops, struct ipstack **stp); /* 0 or -ENOMEM */
void ipstack_free(struct ipstack *st);				      /* NULL is allowed */

/* A packet from a link (not NULL). Malformed, spoofed and unroutable ones are dropped or answered
 * by ICMP. Bytes behind the packet's own length are ignored. */
void ipstack_input(struct ipstack *st, void *link, uint64_t now_ns, uint8_t *packet, size_t len);
/* To be called before a link goes: what waits for more fragments from it is forgotten. */
void ipstack_link_gone(struct ipstack *st, void *link);

struct ipstack_out {
	uint8_t proto;
	uint8_t ttl; /* 0: IPSTACK_TTL */
	uint8_t tos;
	bool dontfrag;	      /* IPv4 DF; IPv6: never fragment at the source */
	bool foreign;	      /* with link: src need not be ours, the caller answers for it */
	void *link;	      /* leave by this link whatever the routes say; or NULL */
	struct addr src, dst; /* both given; same family */
};

/* Sends one payload (transport header and data, checksum done by ipstack_udp_send or the caller).
 * What is for us (loopback, own addresses) is delivered before this returns, whole and without a
 * link. 0; -EMSGSIZE with *mtup (may be NULL) when dontfrag forbids what is needed or it exceeds
 * what IP can carry; -EINVAL: families differ, an address that cannot be used, a loopback source
 * to elsewhere; -ENETUNREACH: multicast without a link; -EACCES: with a link, a source that
 * ops.owns denies; -ENOBUFS: local deliveries answer each other without end; and what ops.route
 * says. */
int ipstack_output(struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out,
	uint8_t *payload, size_t len, uint32_t *mtup);
/* The same for UDP data: puts the UDP header (8 bytes) with its checksum in front. */
int ipstack_udp_send(struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out,
	uint16_t sport, uint16_t dport, uint8_t *data, size_t len, uint32_t *mtup);
/* The path MTU that output would use now: 0 and *mtup, or what ipstack_output() would return. */
int ipstack_path_mtu(
	struct ipstack *st, uint64_t now_ns, const struct ipstack_out *out, uint32_t *mtup);
/* Checks a delivered UDP header and checksum: 0 and ports and data, or -EPROTO. What the portspace
 * sent to itself has no checksum. */
int ipstack_udp_open(const struct ipstack_delivery *d, uint16_t *sportp, uint16_t *dportp,
	uint8_t **datap, size_t *lenp);
/* Answers a delivery with "destination unreachable" (port unreachable, prohibited, ...), rate
 * limited per RFC 1812 4.3.2.8 and RFC 4443 2.4. `code` as ICMP or ICMPv6 has it. A delivery by
 * multicast gets no answer. */
void ipstack_unreachable(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d,
	uint8_t code4, uint8_t code6);
/* The same when nobody here speaks d->proto: ICMP protocol unreachable, ICMPv6 parameter problem.
 */
void ipstack_bad_protocol(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d);
/* Answers a TCP segment with RST (RFC 9293, 3.10.7.1): for peers that speak only WireGuard. */
void ipstack_tcp_refuse(struct ipstack *st, uint64_t now_ns, const struct ipstack_delivery *d);

/* Drops reassemblies that are too old; call about once a second while ipstack_busy(). */
void ipstack_tick(struct ipstack *st, uint64_t now_ns);
bool ipstack_busy(const struct ipstack *st); /* something waits for ipstack_tick() */

struct ipstack_stats {
	uint64_t in, forwarded, delivered, out, bad_header, bad_source, no_route, ttl_exceeded,
		too_big, fragments_in, reassembled, reassembly_failed, fragments_out, icmp_out,
		icmp_limited;
};
/* in: packets from links; out: payloads of our own; bad_source also counts refused destinations. */
const struct ipstack_stats *ipstack_stats(const struct ipstack *st);

#endif

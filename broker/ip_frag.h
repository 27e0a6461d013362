/* SPDX-License-Identifier: MIT */
/* Fragmentation and reassembly of IPv4 (RFC 791, RFC 6864) and IPv6 (RFC 8200, section 4.5). Pure:
 * packets in, packets out, time as an argument. One thread.
 *
 * Reassembly holds foreign memory, so it is bounded: for the whole table, for each link and for
 * each source (an IPv4 address or IPv6 /64 on one link). Where a bound is met, the oldest datagram
 * of the one who met it gives way; so a link can take half of the table at most, and no other's.
 * Overlaps condemn a datagram with all that still comes of it (RFC 5722, here for both families);
 * exact repetitions are ignored. The work for a fragment grows with its length only. */
#ifndef PERSONA_BROKER_IP_FRAG_H
#define PERSONA_BROKER_IP_FRAG_H

#include <stddef.h>
#include <stdint.h>

#include "ip.h"

enum {
	IP_FRAG_HEADROOM = 128, /* around fragments that are emitted and packets that are whole */
	IP_FRAG_TAILROOM = 64
};

typedef void ip_frag_emit(void *arg, uint8_t *packet, size_t len);

/* Cuts a packet into fragments of at most mtu bytes and emits them in order. Works in place: the
 * packet is destroyed; emit may overwrite what is before a fragment and IP_FRAG_TAILROOM bytes
 * behind it. An IPv6 packet has no extension headers and 8 bytes more room before it; `id` is for
 * IPv6 only (IPv4 has its own). Returns the number of fragments, or -EMSGSIZE: the mtu holds no
 * fragment; -EPROTO: not a packet, or a fragment of bad length. */
int ip_fragment(
	uint8_t *packet, size_t len, uint32_t mtu, uint32_t id, ip_frag_emit *emit, void *arg);

struct ip_reass;

struct ip_reass_limits {
	size_t total, per_link, per_source; /* bytes of memory; at least 128 KiB each */
};

/* limits NULL: 4 MiB, 2 MiB, 1 MiB. 0 or -ENOMEM. */
int ip_reass_new(const struct ip_reass_limits *limits, struct ip_reass **rp);
void ip_reass_free(struct ip_reass *r); /* NULL is allowed */

/* A reassembled packet; free(memory) when done. IP_FRAG_HEADROOM and _TAILROOM are around it. */
struct ip_whole {
	void *memory;
	uint8_t *packet;
	size_t len;
};

/* Takes a fragment (ip_walk()ed; copied). Fragments from different links never meet. Returns 1 when
 * it completed *wholep; 0: kept, or ignored; -EPROTO with *problemp: malformed; -EBADMSG: it
 * contradicts what is there, the datagram is dropped; -ENOBUFS, -ENOMEM: no memory for it. */
int ip_reass_add(struct ip_reass *r, void *link, uint64_t now_ns, const uint8_t *packet,
	const struct ip_header *h, struct ip_problem *problemp, struct ip_whole *wholep);

/* Tells of a datagram that is too old (30 s, IPv6 60 s) and whose first fragment came: that
 * fragment as it came, for "time exceeded". */
typedef void ip_reass_expired(void *arg, void *link, const uint8_t *packet, size_t len);
void ip_reass_expire(struct ip_reass *r, uint64_t now_ns, ip_reass_expired *fn, void *arg);

/* Forgets all fragments that came by this link, without a word; its pointer may then be used for
 * another link. */
void ip_reass_drop_link(struct ip_reass *r, void *link);

size_t ip_reass_count(const struct ip_reass *r);  /* datagrams that wait */
size_t ip_reass_memory(const struct ip_reass *r); /* bytes charged for them */
uint64_t ip_reass_lost(const struct ip_reass *r); /* ever given up: conflict, bounds, time */

#endif

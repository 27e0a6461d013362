/* SPDX-License-Identifier: MIT */
/* The applications' datagram sockets of one portspace: UDP and ICMP echo (libpersona/proto/dgram.h
 * has the messages, dgram_server.h the socket they come by).
 *
 * Model: a socket is found by its inode (for questions), and by protocol and local port (for what
 * arrives). Of those that an arriving datagram fits, the connected one wins, then one bound to the
 * very address, then a wildcard of the family, then a dual-stack one; as inet_lookup of Linux.
 * Members of a SO_REUSEPORT group share by a hash of the 4-tuple. Deliveries are collected and
 * handed over at the end of the turn; a socket whose buffer is full loses them.
 *
 * The plane's thread only. */
#ifndef PERSONA_BROKER_DGRAMS_H
#define PERSONA_BROKER_DGRAMS_H

#include "plane_priv.h"

enum {
	DGRAM_TOTAL_MAX = 65536, /* sockets of a broker */
	DGRAM_PS_MAX = 16384,	 /* of a portspace */
	DGRAM_PID_MAX = 4096,	 /* of the process that made them */
	DGRAM_GROUPS_MAX = 20	 /* multicast groups of a socket (net.ipv4.igmp_max_memberships) */
};

int plane_dgrams_new(struct plane_ps *pps, struct plane_dgrams **dgramsp); /* 0 or -ENOMEM */
/* Closes the portspace's sockets. NULL is allowed. */
void plane_dgrams_free(struct plane_dgrams *dgrams);
/* Is a UDP socket bound to this port? */
bool plane_dgrams_have_port(const struct plane_dgrams *dgrams, uint16_t port);

/* A UDP datagram for the portspace. 0, or -ECONNREFUSED when no socket wants it. */
int dgram_input(const struct plane_udp *udp);
/* The same for one that comes from another portspace's network (flow.h): only a socket whose port
 * was chosen by bind(2) is a service. */
int dgram_input_shared(const struct plane_udp *udp);
/* A verified ICMP or ICMPv6 message for the portspace: echo replies find their socket. */
void dgram_icmp_input(struct plane_ps *pps, const struct ipstack_delivery *d);
/* An ICMP error about a datagram that one of the sockets may have sent. True: such a one is there.
 */
bool dgram_error_input(struct plane_ps *pps, const struct ipstack_error *e);

#endif

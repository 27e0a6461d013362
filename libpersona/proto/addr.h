/* SPDX-License-Identifier: MIT */
/* One address type for IPv4 and IPv6.
 *
 * Model: an address is 16 bytes in network order; IPv4 is held as IPv4-mapped IPv6
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2). So one comparison serves both, and a dual-stack
 * socket needs no special case. The IPv4 wildcard 0.0.0.0 is ::ffff:0.0.0.0 and differs from ::.
 * Ports are in host order. Prefix lengths count bits of the 16-byte form (an IPv4 /24 is 120).
 * No allocation, no I/O, safe in signal handlers. */
#ifndef PERSONA_PROTO_ADDR_H
#define PERSONA_PROTO_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "buf.h"

struct addr {
	uint8_t b[16];
};

struct endpoint {
	struct addr addr;
	uint16_t port; /* host order */
};

struct prefix {
	struct addr addr; /* bits after len need not be zero: 10.0.0.1/24 keeps its host part */
	uint8_t len;	  /* 0..128, over the 16-byte form */
};

_Static_assert(sizeof(struct addr) == 16, "addresses are compared and sent as 16 bytes");

enum {
	ADDR_STRLEN = 46,     /* longest address text with its terminator (INET6_ADDRSTRLEN) */
	PREFIX_STRLEN = 50,   /* address text, '/', up to three digits, terminator */
	ENDPOINT_STRLEN = 56, /* '[', address, "]:65535", terminator, rounded */
	ENDPOINT_WIRELEN = 18 /* 16 bytes address, 2 bytes port, as buf_put_endpoint writes */
};

extern const struct addr addr_any4, addr_any6, addr_loopback4, addr_loopback6;

bool addr_is_v4(const struct addr *a);
bool addr_is_any(const struct addr *a);	      /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);  /* 127.0.0.0/8 or ::1 */
bool addr_is_multicast(const struct addr *a); /* also 255.255.255.255 */
bool addr_equal(const struct addr *a, const struct addr *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Text forms as inet_pton(3) takes them; no names, no scope ids. 0 or -EINVAL. */
int addr_parse(const char *s, struct addr *ap);
/* Writes the text (IPv4 dotted, IPv6 by RFC 5952); buf must have ADDR_STRLEN bytes. Returns buf. */
char *addr_format(const struct addr *a, char *buf);
/* "ADDR/LEN", or "ADDR" for a host prefix. 0 or -EINVAL. */
int prefix_parse(const char *s, struct prefix *pp);
char *prefix_format(const struct prefix *p, char *buf);
bool prefix_contains(const struct prefix *p, const struct addr *a);
/* Clears the bits behind the length. */
void prefix_mask(struct prefix *p);
/* "1.2.3.4:80" or "[2001:db8::1]:80". 0 or -EINVAL. */
int endpoint_parse(const char *s, struct endpoint *ep);
char *endpoint_format(const struct endpoint *e, char *buf);

/* Reads an AF_INET or AF_INET6 sockaddr of `len` bytes. IPv6 scope and flow are dropped.
 * 0, -EINVAL (too short) or -EAFNOSUPPORT. */
int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ep);
/* Writes e as a sockaddr of `family`: AF_INET (e must be IPv4) or AF_INET6 (IPv4 comes out mapped,
 * the IPv4 wildcard as ::ffff:0.0.0.0). Returns the sockaddr's size, 0 if it cannot be expressed.
 */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, int family, struct sockaddr_storage *ssp);

void buf_put_endpoint(struct buf_wr *wr, const struct endpoint *e);
void buf_get_endpoint(struct buf_rd *rd, struct endpoint *ep);

#endif

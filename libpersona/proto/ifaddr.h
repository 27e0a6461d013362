/* SPDX-License-Identifier: MIT */
/* Which addresses does an interface of a portspace carry? One rule for all views of them:
 * getifaddrs(3), ioctl(2) and route netlink. And which one does it speak with?
 *
 * lo carries 127.0.0.1/8 and ::1/128. Every link carries the portspace's addresses, because a
 * portspace has one set of them whatever link a packet takes; with no link they are on lo. */
#ifndef PERSONA_PROTO_IFADDR_H
#define PERSONA_PROTO_IFADDR_H

#include <stdbool.h>
#include <stddef.h>

#include "ask.h"

enum { IFADDR_MAX = INFO_ADDRS_MAX + 2 };

/* The addresses of lo or of a link, of a portspace with `nif` interfaces (lo included): writes at
 * most IFADDR_MAX, returns how many. Host parts are kept. */
size_t ifaddr_of(const struct info *info, bool lo, size_t nif, struct prefix out[IFADDR_MAX]);

/* The address that a socket of the portspace has when it talks to dst without having chosen one:
 * dst itself where that is its own, loopback to loopback, else the address whose prefix has dst
 * (the longest), else the first of dst's family. 0 or -ENETUNREACH. */
int ifaddr_source(const struct info *info, const struct addr *dst, struct addr *srcp);

#endif

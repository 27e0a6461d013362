/* SPDX-License-Identifier: MIT */
/* The PROXY protocol, version 2, for the sender: a header in front of a TCP stream that tells the
 * server whom it speaks for (haproxy's doc/proxy-protocol.txt, section 2.2). Pure; any thread. */
#ifndef PERSONA_BROKER_PROXYPROTO_H
#define PERSONA_BROKER_PROXYPROTO_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum { PROXYPROTO_MAX = 16 + 36 /* with two IPv6 addresses */ };

/* Writes the header of a TCP stream from src to dst. Both IPv4: the short form; otherwise both are
 * written as IPv6, IPv4 addresses mapped. Returns the number of bytes. */
size_t proxyproto_header(
	const struct endpoint *src, const struct endpoint *dst, uint8_t buf[PROXYPROTO_MAX]);

#endif

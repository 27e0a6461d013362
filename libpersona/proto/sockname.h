/* SPDX-License-Identifier: MIT */
/* Names of sockets: both overlay addresses of a stream live in the kernel's own socket names.
 *
 * Two kinds of AF_UNIX address are used:
 * - A listening socket is bound to a path below its portspace's directory. The file's name says
 *   protocol, address and port, so a client in the same portspace finds it without asking and
 *   getsockname(2) can be answered from the kernel's answer alone.
 * - The connecting end of a stream is bound to an abstract name that carries source and
 *   destination, with a MAC by the portspace's secret (SipHash-2-4 with 128 bits). The acceptor
 *   reads both addresses from the name that accept(2) returns. The kernel refuses a second socket
 *   of the same name, so a 4-tuple is never used twice. Without the secret nobody can make a name
 *   that is believed, nor squat one in advance.
 *
 * File names below the portspace's directory:
 *   tcp.0a4d0001.80      bound to 10.77.0.1, port 80
 *   tcp.00000000.80      the IPv4 wildcard
 *   tcp.any.80           the IPv6 wildcard, dual stack
 *   tcp.any6.80          the IPv6 wildcard with IPV6_V6ONLY
 *   tcp.<32 hex>.80      a specific IPv6 address
 *   tcp.any.80.3         member 3 of a SO_REUSEPORT group (never found by name, only by the broker)
 */
#ifndef PERSONA_PROTO_SOCKNAME_H
#define PERSONA_PROTO_SOCKNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "addr.h"

enum sockname_kind {
	SOCKNAME_LOCAL = 'L',  /* client of a server in the same portspace, no broker between */
	SOCKNAME_CLIENT = 'C', /* client of the broker */
	SOCKNAME_RELAY = 'R'   /* the broker's end towards a server */
};

enum {
	SOCKNAME_LEN =
		1 + 3 + 1 + 2 * 4 + 2 * ENDPOINT_WIRELEN + 16, /* abstract, leading NUL too */
	SOCKNAME_FILE_MAX = 52 /* longest file name with its terminator */
};

struct sockname {
	enum sockname_kind kind;
	uint32_t portspace; /* the portspace's id */
	uint32_t origin;    /* RELAY to an inherited server: the portspace that was called; else 0.
			       It keeps streams of portspaces with equal addresses apart. */
	struct endpoint src;
	struct endpoint dst;
};

/* Fills *sunp and returns its length for bind(2). */
socklen_t sockname_encode(
	const struct sockname *name, const uint8_t secret[16], struct sockaddr_un *sunp);
/* True when (sun, len) is an abstract name of the portspace that `secret` and `portspace` belong
 * to with a correct MAC; only then *namep is written. Any bytes may come in. */
bool sockname_decode(const struct sockaddr_un *sun, socklen_t len, uint32_t portspace,
	const uint8_t secret[16], struct sockname *namep);

/* The address a listening socket is bound to. */
struct sockname_listen {
	struct endpoint local; /* addr_any6 with v6only false is the dual-stack wildcard */
	bool v6only;
	int member; /* -1, or the number in a SO_REUSEPORT group */
};

/* Writes the file name (no directory) into buf[SOCKNAME_FILE_MAX]. Returns buf. */
char *sockname_file(const struct sockname_listen *l, char *buf);
/* Parses what sockname_file writes and nothing else. 0 or -EINVAL. */
int sockname_parse_file(const char *file, struct sockname_listen *lp);

#endif

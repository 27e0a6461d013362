/* SPDX-License-Identifier: MIT */
/* ICMP (RFC 792, 1122, 1812) and ICMPv6 (RFC 4443) messages. Pure: bytes in, bytes out. Which
 * family a message belongs to is told by `v6` or by the addresses. */
#ifndef PERSONA_BROKER_ICMP_H
#define PERSONA_BROKER_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "ip.h"

enum {
	ICMP_HEAD = 8,
	ICMP_ERROR_MAX = IP6_ERROR_PACKET - IP6_HEAD, /* the longest message of ours */
	/* types and codes that the stack itself uses */
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_EXPIRED = 11,
	ICMP4_PROBLEM = 12,
	ICMP4_NET = 0,
	ICMP4_HOST = 1,
	ICMP4_PROTOCOL = 2,
	ICMP4_PORT = 3,
	ICMP4_TOO_BIG = 4,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_EXPIRED = 3,
	ICMP6_PROBLEM = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_ANSWER = 129,
	ICMP6_NO_ROUTE = 0,
	ICMP6_SCOPE = 2,
	ICMP6_ADDRESS = 3,
	ICMP6_PORT = 4,
	ICMP6_BAD_NEXT = 1, /* of ICMP6_PROBLEM: unrecognized next header */
	ICMP6_BAD_OPTION = 2,
	ICMP_REASSEMBLY = 1 /* code of time exceeded, both families */
};

enum icmp_kind { ICMP_ERROR, ICMP_ECHO_REQUEST, ICMP_ECHO_ANSWER, ICMP_OTHER };

/* What a message is; its checksum is right for src and dst. Or -EPROTO. */
int icmp_open(const struct addr *src, const struct addr *dst, const uint8_t *msg, size_t len);

/* Fills in the checksum of a message between src and dst. */
void icmp_seal(const struct addr *src, const struct addr *dst, uint8_t *msg, size_t len);

/* Makes a request that icmp_open() accepted into its reply, to be sent between the same two
 * addresses. */
void icmp_echo_reply(bool v6, uint8_t *msg);

struct icmp_build {
	uint8_t type, code;
	uint32_t info; /* MTU of "too big", pointer of "parameter problem" */
	const struct addr *src, *dst;
	const uint8_t *packet; /* what it is about: quoted as far as RFC 1812 and 4443 allow */
	size_t len;
};
/* Writes an error message to out (ICMP_ERROR_MAX bytes); returns its length. */
size_t icmp_build_error(const struct icmp_build *b, uint8_t *out);

/* May a packet (h: ip_parse or ip_walk of it) be answered by an error of this type at all? RFC
 * 1122, section 3.2.2; RFC 4443, section 2.4 (e): never an error about an error or redirect, about
 * multicast (but for what path MTU discovery needs), about a source that is no one host, or about
 * an IPv4 fragment other than the first. */
bool icmp_may_answer(const struct ip_header *h, const uint8_t *packet, uint8_t type, uint8_t code);

struct icmp_error {
	uint8_t type, code;
	uint32_t info;		 /* as in struct icmp_build */
	struct ip_header quoted; /* ip_walk()ed */
	const uint8_t *payload;	 /* of the quoted packet, as far as it is there */
	size_t len;
};
/* Reads an error message that icmp_open() accepted. 0, or -EPROTO: no sense in it, too short (8
 * bytes of the quoted payload must be there), or a type that hosts ignore (source quench,
 * redirect). */
int icmp_parse_error(bool v6, const uint8_t *msg, size_t len, struct icmp_error *ep);
bool icmp_is_too_big(bool v6, uint8_t type, uint8_t code);
/* Positive errno of an error, and whether connected sockets hear of it anyway. */
int icmp_errno(bool v6, uint8_t type, uint8_t code, bool *hardp);

#endif

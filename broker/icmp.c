/* SPDX-License-Identifier: MIT */
/* ICMP and ICMPv6 messages. See icmp.h.
 *
 * References: RFC 792; RFC 1122, section 3.2.2; RFC 1191, section 4 (next-hop MTU); RFC 1812,
 * section 4.3; RFC 4443. The errno tables are what Linux's sockets report (icmp_err_convert[] in
 * net/ipv4/icmp.c with __udp4_lib_err(), tab_unreach[] in net/ipv6/icmp.c). */
#include "icmp.h"

#include <errno.h>

enum { ICMP4_QUENCH = 4, ICMP4_REDIRECT = 5, ICMP6_INFORMATIONAL = 128, ICMP6_REDIRECT = 137 };

static bool is_error4(uint8_t type)
{
	return type == ICMP4_UNREACHABLE || type == ICMP4_QUENCH || type == ICMP4_REDIRECT ||
	       type == ICMP4_EXPIRED || type == ICMP4_PROBLEM;
}

int icmp_open(const struct addr *src, const struct addr *dst, const uint8_t *msg, size_t len)
{
	const bool v6 = !ip_is_v4(src);
	uint64_t sum = v6 ? ip_sum_pseudo(src, dst, IP_PROTO_ICMPV6, len) : 0;

	if (len < ICMP_HEAD || ip_sum_finish(ip_sum(msg, len, sum)) != 0)
		return -EPROTO;
	if (v6 ? msg[0] < ICMP6_INFORMATIONAL : is_error4(msg[0]))
		return ICMP_ERROR;
	if (msg[0] == (v6 ? ICMP6_ECHO : ICMP4_ECHO))
		return ICMP_ECHO_REQUEST;
	return msg[0] == (v6 ? ICMP6_ECHO_ANSWER : ICMP4_ECHO_REPLY) ? ICMP_ECHO_ANSWER
								     : ICMP_OTHER;
}

void icmp_seal(const struct addr *src, const struct addr *dst, uint8_t *msg, size_t len)
{
	uint64_t sum = ip_is_v4(src) ? 0 : ip_sum_pseudo(src, dst, IP_PROTO_ICMPV6, len);

	ip_put16(msg + 2, 0);
	ip_put_sum(msg + 2, ip_sum_finish(ip_sum(msg, len, sum)));
}

void icmp_echo_reply(bool v6, uint8_t *msg)
{
	const uint8_t type = v6 ? ICMP6_ECHO_ANSWER : ICMP4_ECHO_REPLY;
	const uint16_t old = ip_get16(msg);
	uint64_t sum;

	/* RFC 1624 without its complement, so that the sum of a message of zeros becomes ffff and
	 * not 0. Swapped addresses add up to the same. */
	msg[0] = type;
	sum = (uint64_t)ip_get16(msg + 2) + old + (uint16_t)~ip_get16(msg);
	ip_put16(msg + 2, (uint16_t)~ip_sum_finish(sum));
}

size_t icmp_build_error(const struct icmp_build *b, uint8_t *out)
{
	const bool v6 = !ip_is_v4(b->dst);
	const size_t max = v6 ? IP6_ERROR_PACKET - IP6_HEAD : IP4_ERROR_PACKET - IP4_HEAD;
	const size_t quote = b->len < max - ICMP_HEAD ? b->len : max - ICMP_HEAD;
	const size_t len = ICMP_HEAD + quote;

	memset(out, 0, ICMP_HEAD);
	out[0] = b->type;
	out[1] = b->code;
	if (v6)
		ip_put32(out + 4, b->info);
	else if (b->type == ICMP4_PROBLEM)
		out[4] = (uint8_t)b->info;
	else if (icmp_is_too_big(false, b->type, b->code))
		ip_put16(out + 6, b->info > IP_LEN_MAX ? IP_LEN_MAX : (uint16_t)b->info);
	memcpy(out + ICMP_HEAD, b->packet, quote);
	icmp_seal(b->src, b->dst, out, len);
	return len;
}

/* Is the packet, or could it be, an ICMP error or a redirect? */
static bool is_error_packet(const struct ip_header *h, const uint8_t *packet)
{
	if (h->proto != (h->v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP))
		return false;
	if (h->offset || h->total <= h->head)
		return true;
	if (!h->v6)
		return is_error4(packet[h->head]);
	return packet[h->head] < ICMP6_INFORMATIONAL || packet[h->head] == ICMP6_REDIRECT;
}

bool icmp_may_answer(const struct ip_header *h, const uint8_t *packet, uint8_t type, uint8_t code)
{
	const enum ip_class src = ip_classify(&h->src);
	struct ip_header walked = *h;
	struct ip_problem problem;

	if (src == IP_UNUSABLE || src == IP_MULTICAST || (!h->v6 && h->offset))
		return false;
	if (ip_classify(&h->dst) == IP_MULTICAST &&
		!(h->v6 && (type == ICMP6_TOO_BIG ||
				   (type == ICMP6_PROBLEM && code == ICMP6_BAD_OPTION))))
		return false;
	/* What cannot be read to its end is no known error; `h` of a walk has the payload already.
	 */
	if (h->v6 && h->head == IP6_HEAD && ip_walk(packet, h->total, &walked, &problem) < 0)
		return true;
	return !is_error_packet(&walked, packet);
}

bool icmp_is_too_big(bool v6, uint8_t type, uint8_t code)
{
	return v6 ? type == ICMP6_TOO_BIG : type == ICMP4_UNREACHABLE && code == ICMP4_TOO_BIG;
}

int icmp_parse_error(bool v6, const uint8_t *msg, size_t len, struct icmp_error *ep)
{
	struct icmp_error e = {.type = msg[0], .code = msg[1]};
	const uint8_t *packet = msg + ICMP_HEAD;
	struct ip_problem problem;
	size_t there;

	if (!v6 && (e.type == ICMP4_QUENCH || e.type == ICMP4_REDIRECT))
		return -EPROTO;
	len -= ICMP_HEAD;
	if (ip_parse_quoted(packet, len, &e.quoted) < 0 || e.quoted.v6 != v6)
		return -EPROTO;
	there = len < e.quoted.total ? len : e.quoted.total;
	if (ip_walk(packet, there, &e.quoted, &problem) < 0 || there < e.quoted.head + 8)
		return -EPROTO;
	e.payload = packet + e.quoted.head;
	e.len = there - e.quoted.head;
	if (v6)
		e.info = ip_get32(msg + 4);
	else if (e.type == ICMP4_PROBLEM)
		e.info = msg[4];
	else if (icmp_is_too_big(false, e.type, e.code))
		e.info = ip_get16(msg + 6);
	*ep = e;
	return 0;
}

struct verdict {
	int err;
	bool hard;
};

static struct verdict unreachable4(uint8_t code)
{
	static const struct verdict table[] = {
		{ENETUNREACH, false},  /* 0: network */
		{EHOSTUNREACH, false}, /* 1: host */
		{ENOPROTOOPT, true},   /* 2: protocol */
		{ECONNREFUSED, true},  /* 3: port */
		{EMSGSIZE, true},      /* 4: fragmentation needed */
		{EOPNOTSUPP, false},   /* 5: source route failed */
		{ENETUNREACH, true},   /* 6: network unknown */
		{EHOSTDOWN, true},     /* 7: host unknown */
		{ENONET, true},	       /* 8: source isolated */
		{ENETUNREACH, true},   /* 9: network prohibited */
		{EHOSTUNREACH, true},  /* 10: host prohibited */
		{ENETUNREACH, false},  /* 11: network, for this type of service */
		{EHOSTUNREACH, false}, /* 12: host, for this type of service */
		{EHOSTUNREACH, true},  /* 13: communication prohibited */
		{EHOSTUNREACH, true},  /* 14: precedence violation */
		{EHOSTUNREACH, true},  /* 15: precedence cutoff */
	};

	return code < sizeof(table) / sizeof(table[0]) ? table[code]
						       : (struct verdict){EHOSTUNREACH, false};
}

static struct verdict unreachable6(uint8_t code)
{
	static const struct verdict table[] = {
		{ENETUNREACH, false},  /* 0: no route */
		{EACCES, true},	       /* 1: administratively prohibited */
		{EHOSTUNREACH, false}, /* 2: beyond the scope of the source */
		{EHOSTUNREACH, false}, /* 3: address */
		{ECONNREFUSED, true},  /* 4: port */
		{EACCES, true},	       /* 5: source address failed policy */
		{EACCES, true},	       /* 6: reject route */
	};

	return code < sizeof(table) / sizeof(table[0]) ? table[code]
						       : (struct verdict){EPROTO, true};
}

static struct verdict judge(bool v6, uint8_t type, uint8_t code)
{
	if (icmp_is_too_big(v6, type, code))
		return (struct verdict){EMSGSIZE, true};
	if (type == (v6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE))
		return v6 ? unreachable6(code) : unreachable4(code);
	if (type == (v6 ? ICMP6_PROBLEM : ICMP4_PROBLEM))
		return (struct verdict){EPROTO, true};
	if (v6 && type != ICMP6_EXPIRED)
		return (struct verdict){EPROTO, false};
	return (struct verdict){EHOSTUNREACH, false};
}

int icmp_errno(bool v6, uint8_t type, uint8_t code, bool *hardp)
{
	struct verdict v = judge(v6, type, code);

	*hardp = v.hard;
	return v.err;
}

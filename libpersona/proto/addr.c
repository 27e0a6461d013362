/* SPDX-License-Identifier: MIT */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

const struct addr addr_any4 = {{[10] = 0xff, [11] = 0xff}};
const struct addr addr_any6 = {{0}};
const struct addr addr_loopback4 = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
const struct addr addr_loopback6 = {{[15] = 1}};

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

bool addr_is_any(const struct addr *a)
{
	return addr_equal(a, &addr_any4) || addr_equal(a, &addr_any6);
}

bool addr_is_loopback(const struct addr *a)
{
	return addr_is_v4(a) ? a->b[12] == 127 : addr_equal(a, &addr_loopback6);
}

bool addr_is_multicast(const struct addr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (addr_is_v4(a))
		return (a->b[12] & 0xf0) == 0xe0 || memcmp(a->b + 12, broadcast, 4) == 0;
	return a->b[0] == 0xff;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

int addr_parse(const char *s, struct addr *ap)
{
	struct addr a = addr_any4;

	if (inet_pton(AF_INET, s, a.b + 12) != 1 && inet_pton(AF_INET6, s, a.b) != 1)
		return -EINVAL;
	*ap = a;
	return 0;
}

char *addr_format(const struct addr *a, char *buf)
{
	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, buf, ADDR_STRLEN);
	else
		inet_ntop(AF_INET6, a->b, buf, ADDR_STRLEN);
	return buf;
}

/* Reads a decimal number without sign or leading junk, at most `max`; -1 on anything else. */
static long parse_number(const char *s, long max)
{
	long v = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (*s - '0');
		if (v > max)
			return -1;
	}
	return v;
}

int prefix_parse(const char *s, struct prefix *pp)
{
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	struct prefix p;
	char text[ADDR_STRLEN];
	long len = 0;
	bool v4;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	if (addr_parse(text, &p.addr) < 0)
		return -EINVAL;
	v4 = addr_is_v4(&p.addr) && !strchr(text, ':');
	len = slash ? parse_number(slash + 1, v4 ? 32 : 128) : (v4 ? 32 : 128);
	if (len < 0)
		return -EINVAL;
	p.len = (uint8_t)(v4 ? len + 96 : len);
	*pp = p;
	return 0;
}

char *prefix_format(const struct prefix *p, char *buf)
{
	bool v4 = addr_is_v4(&p->addr) && p->len >= 96;
	size_t n;

	/* A mapped address with a shorter prefix has no dotted form that reads back. */
	if (v4)
		addr_format(&p->addr, buf);
	else
		inet_ntop(AF_INET6, p->addr.b, buf, ADDR_STRLEN);
	n = strlen(buf);
	snprintf(buf + n, PREFIX_STRLEN - n, "/%d", v4 ? p->len - 96 : p->len);
	return buf;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	size_t whole = p->len / 8;
	uint8_t mask = (uint8_t)(0xff00 >> p->len % 8);

	if (memcmp(p->addr.b, a->b, whole) != 0)
		return false;
	return p->len % 8 == 0 || ((p->addr.b[whole] ^ a->b[whole]) & mask) == 0;
}

void prefix_mask(struct prefix *p)
{
	for (size_t i = 0; i < 16; i++) {
		int keep = p->len - (int)(8 * i);

		if (keep < 8)
			p->addr.b[i] &= keep <= 0 ? 0 : (uint8_t)(0xff00 >> keep);
	}
}

int endpoint_parse(const char *s, struct endpoint *ep)
{
	const char *colon = strrchr(s, ':');
	bool bracket = s[0] == '[';
	struct endpoint e;
	char text[ADDR_STRLEN];
	size_t n;
	long port;

	if (!colon || (bracket && (colon == s || colon[-1] != ']')))
		return -EINVAL;
	n = (size_t)(colon - s) - (bracket ? 2 : 0);
	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s + bracket, n);
	text[n] = '\0';
	port = parse_number(colon + 1, UINT16_MAX);
	if (port < 0 || (strchr(text, ':') != NULL) != bracket || addr_parse(text, &e.addr) < 0)
		return -EINVAL;
	e.port = (uint16_t)port;
	*ep = e;
	return 0;
}

char *endpoint_format(const struct endpoint *e, char *buf)
{
	char text[ADDR_STRLEN];

	addr_format(&e->addr, text);
	snprintf(buf, ENDPOINT_STRLEN, addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u", text, e->port);
	return buf;
}

int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ep)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;
	sa_family_t family;

	if (!sa || len < (socklen_t)sizeof(family))
		return -EINVAL;
	memcpy(&family, &sa->sa_family, sizeof(family));
	switch (family) {
	case AF_INET:
		if (len < (socklen_t)sizeof(sin))
			return -EINVAL;
		memcpy(&sin, sa, sizeof(sin));
		ep->addr = addr_any4;
		memcpy(ep->addr.b + 12, &sin.sin_addr, 4);
		ep->port = ntohs(sin.sin_port);
		return 0;
	case AF_INET6:
		/* Linux takes sockaddrs without sin6_scope_id (RFC 2133 form) as well. */
		if (len < (socklen_t)offsetof(struct sockaddr_in6, sin6_scope_id))
			return -EINVAL;
		memcpy(&sin6, sa, offsetof(struct sockaddr_in6, sin6_scope_id));
		memcpy(ep->addr.b, &sin6.sin6_addr, 16);
		ep->port = ntohs(sin6.sin6_port);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, int family, struct sockaddr_storage *ssp)
{
	if (family == AF_INET) {
		struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(e->port)};

		if (!addr_is_v4(&e->addr))
			return 0;
		memcpy(&sin.sin_addr, e->addr.b + 12, 4);
		memcpy(ssp, &sin, sizeof(sin));
		return sizeof(sin);
	}
	if (family == AF_INET6) {
		struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};

		memcpy(&sin6.sin6_addr, e->addr.b, 16);
		memcpy(ssp, &sin6, sizeof(sin6));
		return sizeof(sin6);
	}
	return 0;
}

void buf_put_endpoint(struct buf_wr *wr, const struct endpoint *e)
{
	buf_put_bytes(wr, e->addr.b, sizeof(e->addr.b));
	buf_put_u16(wr, e->port);
}

void buf_get_endpoint(struct buf_rd *rd, struct endpoint *ep)
{
	buf_get_bytes(rd, ep->addr.b, sizeof(ep->addr.b));
	ep->port = buf_get_u16(rd);
}

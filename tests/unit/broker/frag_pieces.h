/* SPDX-License-Identifier: MIT */
/* Fragments of patterned payloads, and what is made of them again. Included by one file of a test
 * program. */
#ifndef PERSONA_TEST_FRAG_PIECES_H
#define PERSONA_TEST_FRAG_PIECES_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "ip_frag.h"

enum { PIECES = 1024 };

static const uint64_t second_ns = UINT64_C(1000000000);

/* Fragments, each in memory of exactly its size. */
struct pieces {
	uint8_t *p[PIECES];
	size_t len[PIECES];
	unsigned n;
};

static inline int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static inline struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* Keeps a copy, and spoils what a link may spoil. */
static inline void keep(void *arg, uint8_t *packet, size_t len)
{
	struct pieces *pieces = arg;

	assert_true(pieces->n < PIECES);
	pieces->p[pieces->n] = malloc(len);
	assert_non_null(pieces->p[pieces->n]);
	memcpy(pieces->p[pieces->n], packet, len);
	pieces->len[pieces->n++] = len;
	memset(packet - 16, 0xee, 16 + len + IP_FRAG_TAILROOM);
}

static inline void forget(struct pieces *pieces)
{
	for (unsigned i = 0; i < pieces->n; i++)
		free(pieces->p[i]);
	pieces->n = 0;
}

static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 256 * 7);
}

struct flow {
	const char *src, *dst;
	uint16_t id;
	uint8_t proto;
};

static const struct flow flow4 = {"10.0.0.1", "10.0.0.2", 77, IP_PROTO_UDP};
static const struct flow flow6 = {"fd00::1", "fd00::2", 77, IP_PROTO_UDP};

/* Cuts a payload of the pattern. */
static inline int cut(const struct flow *flow, size_t len, uint32_t mtu, struct pieces *pieces)
{
	const struct addr src = addr(flow->src), dst = addr(flow->dst);
	const struct ip_build b = {
		.proto = flow->proto, .ttl = 9, .tos = 2, .id = flow->id, .src = &src, .dst = &dst};
	uint8_t *buf = malloc(IP_FRAG_HEADROOM + len + IP_FRAG_TAILROOM), *packet;
	int r;

	assert_non_null(buf);
	for (size_t i = 0; i < len; i++)
		buf[IP_FRAG_HEADROOM + i] = pattern(i);
	packet = ip_push(buf + IP_FRAG_HEADROOM, len, &b);
	r = ip_fragment(packet, ip_head_len(&src) + len, mtu, flow->id, keep, pieces);
	free(buf);
	return r;
}

static inline int add_from(struct ip_reass *r, void *link, uint64_t now_ns, const uint8_t *p,
	size_t len, struct ip_whole *wholep)
{
	struct ip_header h;
	struct ip_problem problem;
	int ret;

	assert_int_equal(ip_parse(p, len, &h), 0);
	assert_int_equal(ip_walk(p, len, &h, &problem), 0);
	assert_true(ip_is_fragment(&h));
	ret = ip_reass_add(r, link, now_ns, p, &h, &problem, wholep);
	return ret;
}

static inline int add(
	struct ip_reass *r, const struct pieces *pieces, unsigned i, struct ip_whole *wholep)
{
	return add_from(r, NULL, 0, pieces->p[i], pieces->len[i], wholep);
}

/* What came out is the packet that went in. */
static inline void check_whole(const struct flow *flow, size_t len, struct ip_whole *w)
{
	const struct addr src = addr(flow->src);
	struct ip_header h;

	assert_int_equal(w->len, ip_head_len(&src) + len);
	assert_int_equal(ip_parse(w->packet, w->len, &h), 0);
	assert_false(ip_is_fragment(&h));
	assert_int_equal(h.proto, flow->proto);
	assert_int_equal(h.ttl, 9);
	assert_int_equal(h.tos, 2);
	assert_true(addr_equal(&h.src, &src));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(w->packet[h.head + i], pattern(i));
	/* the room around is there */
	memset(w->packet - IP_FRAG_HEADROOM, 0, IP_FRAG_HEADROOM + w->len + IP_FRAG_TAILROOM);
	free(w->memory);
}

static inline struct ip_reass *make(size_t total, size_t link, size_t source)
{
	struct ip_reass_limits limits = {total, link, source};
	struct ip_reass *r = NULL;

	assert_int_equal(ip_reass_new(total ? &limits : NULL, &r), 0);
	return r;
}

/* Moves an IPv4 fragment to another offset, or sets its "more" bit. */
static inline void patch4(uint8_t *p, size_t offset, bool more)
{
	ip_put16(p + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	ip_put16(p + 10, 0);
	ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, 20, 0)));
}

#endif

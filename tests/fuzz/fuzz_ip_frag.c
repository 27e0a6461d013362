/* SPDX-License-Identifier: MIT */
/* Reassembly against a model that keeps a flag for each byte. The input is a sequence of fragments:
 * a byte that chooses the datagram (and a step of time), offset / 8 with the "more" bit, length,
 * and the seed of the payload. What comes out whole is cut again and put together in reverse. */
#include <errno.h>
#include <sodium.h>

#include "buf.h"
#include "fuzz.h"
#include "ip_frag.h"

enum { FLOWS = 4, PROTO = 99, SIZE = 65536 + 4096 };

struct model {
	bool used, dead;
	uint32_t have, highest, end;
	bool first;
	uint8_t there[SIZE], bytes[SIZE];
};

static struct model models[FLOWS];

/* What ip_reass_add() is to return. */
static int model_add(
	struct model *m, bool v6, uint32_t offset, bool more, const uint8_t *data, uint32_t len)
{
	uint32_t stop = offset + len, known = 0, same = 0;

	if (len == 0 || (more && len % 8) || stop + (v6 ? 0 : IP4_HEAD) > IP_LEN_MAX)
		return -EPROTO;
	m->used = true;
	if (m->dead)
		return 0;
	for (uint32_t i = 0; i < len; i++) {
		known += m->there[offset + i];
		same += m->there[offset + i] && m->bytes[offset + i] == data[i];
	}
	if ((more && m->end && stop >= m->end) ||
		(!more && ((m->end && m->end != stop) || m->highest > stop)) ||
		(known && same != len)) {
		m->dead = true;
		return -EBADMSG;
	}
	if (known)
		return 0;
	memset(m->there + offset, 1, len);
	memcpy(m->bytes + offset, data, len);
	m->have += len;
	m->first |= offset == 0;
	if (!more)
		m->end = stop;
	if (stop > m->highest)
		m->highest = stop;
	return m->end && m->have == m->end && m->first;
}

struct again {
	struct ip_reass *r;
	uint8_t *p[128];
	size_t len[128];
	int n;
};

static void keep(void *arg, uint8_t *packet, size_t len)
{
	struct again *a = arg;

	FUZZ_CHECK(a->n < 128 && len <= 1280);
	a->p[a->n] = malloc(len);
	FUZZ_CHECK(a->p[a->n]);
	memcpy(a->p[a->n], packet, len);
	a->len[a->n++] = len;
}

static int feed(struct ip_reass *r, const uint8_t *packet, size_t len, struct ip_whole *wholep)
{
	struct ip_problem problem;
	struct ip_header h;

	FUZZ_CHECK(ip_parse(packet, len, &h) == 0);
	FUZZ_CHECK(ip_walk(packet, len, &h, &problem) == 0);
	if (!ip_is_fragment(&h)) /* offset 0 and the last one: an atomic fragment, or none */
		return 2;
	return ip_reass_add(r, NULL, 0, packet, &h, &problem, wholep);
}

/* Cuts a whole packet and puts it together again. */
static void check_again(struct ip_whole *w)
{
	struct again a = {.n = 0};
	uint8_t *copy = malloc(w->len);
	struct ip_whole second;

	FUZZ_CHECK(copy && ip_reass_new(NULL, &a.r) == 0);
	memcpy(copy, w->packet, w->len);
	FUZZ_CHECK(ip_fragment(w->packet, w->len, 1280, 5, keep, &a) == a.n);
	for (int i = a.n - 1; i >= 0 && a.n > 1; i--)
		FUZZ_CHECK(feed(a.r, a.p[i], a.len[i], &second) == (i == 0));
	if (a.n > 1) {
		FUZZ_CHECK(second.len == w->len && !memcmp(second.packet, copy, w->len));
		free(second.memory);
	}
	for (int i = 0; i < a.n; i++)
		free(a.p[i]);
	free(copy);
	ip_reass_free(a.r);
}

static void check_whole(struct model *m, bool v6, struct ip_whole *w)
{
	struct ip_header h;

	FUZZ_CHECK(ip_parse(w->packet, w->len, &h) == 0);
	FUZZ_CHECK(h.v6 == v6 && h.total == w->len && !ip_is_fragment(&h) && h.proto == PROTO);
	FUZZ_CHECK(w->len - h.head == m->end);
	FUZZ_CHECK(memcmp(w->packet + h.head, m->bytes, m->end) == 0);
	memset(w->packet - IP_FRAG_HEADROOM, 0, IP_FRAG_HEADROOM);
	memset(w->packet + w->len, 0, IP_FRAG_TAILROOM);
}

/* The fragment as a packet of exactly its size. */
static uint8_t *build(unsigned flow, uint16_t frag, const uint8_t *data, size_t len, size_t *lenp)
{
	const bool v6 = flow % 2;
	const size_t head = v6 ? IP6_HEAD + IP6_FRAG_HEAD : IP4_HEAD;
	struct addr src, dst;
	struct ip_build b = {.proto = v6 ? IP_PROTO_FRAGMENT : PROTO,
		.ttl = 9,
		.id = (uint16_t)flow,
		.src = &src,
		.dst = &dst};
	uint8_t *p = malloc(head + len);

	FUZZ_CHECK(p && addr_parse(v6 ? "fd00::1" : "10.0.0.1", &src) == 0);
	FUZZ_CHECK(addr_parse(v6 ? "fd00::2" : "10.0.0.2", &dst) == 0);
	if (len)
		memcpy(p + head, data, len);
	*lenp = head + len;
	if (v6) {
		memset(p + IP6_HEAD, 0, IP6_FRAG_HEAD);
		p[IP6_HEAD] = PROTO;
		ip_put16(p + IP6_HEAD + 2, (uint16_t)(frag >> 1 << 3 | (frag & 1)));
		p[IP6_HEAD + 7] = (uint8_t)flow;
		ip_push(p + IP6_HEAD, IP6_FRAG_HEAD + len, &b);
		return p;
	}
	ip_push(p + IP4_HEAD, len, &b);
	ip_put16(p + 6, (uint16_t)(frag >> 1 | (frag & 1) << 13));
	ip_put16(p + 10, 0);
	ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, IP4_HEAD, 0)));
	return p;
}

static void first_fragment(void *arg, void *link, const uint8_t *packet, size_t len)
{
	struct ip_header h;

	(void)arg;
	(void)link;
	FUZZ_CHECK(ip_parse(packet, len, &h) == 0 && h.total == len);
}

static void one_fragment(struct ip_reass *r, struct buf_rd *rd)
{
	static uint8_t data[4096];
	uint8_t what = buf_get_u8(rd);
	unsigned flow = what % FLOWS;
	uint16_t frag = buf_get_u16(rd), len = buf_get_u16(rd) % sizeof(data);
	uint8_t seed = buf_get_u8(rd), *p;
	uint32_t offset = (uint32_t)(frag >> 1 & 0x1fff) * 8;
	struct ip_whole w;
	size_t total;
	int got;

	if (rd->bad)
		return;
	frag &= 0x3fff;
	if (what >= 0xf0) {
		ip_reass_expire(r, UINT64_C(61000000000), first_fragment, NULL);
		FUZZ_CHECK(ip_reass_count(r) == 0 && ip_reass_memory(r) == 0);
		memset(models, 0, sizeof(models));
		return;
	}
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)((offset + i) * 13 + (offset + i) / 256 + seed / 200);
	p = build(flow, frag, data, len, &total);
	got = feed(r, p, total, &w);
	free(p);
	if (got == 2)
		return;
	FUZZ_CHECK(got == model_add(&models[flow], flow % 2, offset, frag & 1, data, len));
	if (got != 1)
		return;
	check_whole(&models[flow], flow % 2, &w);
	check_again(&w);
	free(w.memory);
	memset(&models[flow], 0, sizeof(models[flow]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_reass *r;
	struct buf_rd rd;
	size_t waiting = 0;

	FUZZ_CHECK(sodium_init() >= 0 && ip_reass_new(NULL, &r) == 0);
	memset(models, 0, sizeof(models));
	buf_rd_init(&rd, data, size);
	while (rd.left > 0 && !rd.bad)
		one_fragment(r, &rd);
	for (int i = 0; i < FLOWS; i++)
		waiting += models[i].used;
	FUZZ_CHECK(ip_reass_count(r) == waiting);
	ip_reass_expire(r, UINT64_C(61000000000), first_fragment, NULL);
	FUZZ_CHECK(ip_reass_count(r) == 0 && ip_reass_memory(r) == 0);
	ip_reass_free(r);
	return 0;
}

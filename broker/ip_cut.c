/* SPDX-License-Identifier: MIT */
/* Fragmentation. See ip_frag.h.
 *
 * Each fragment's header is written right before its payload, over the end of the payload that went
 * before. What an emitted fragment may spoil behind it (the link seals in place) is saved and put
 * back, so there is no copy of the payload. */
#include "ip_frag.h"

#include <errno.h>

enum { FRAG_MORE4 = 0x2000, OPT4_END = 0, OPT4_NOP = 1, OPT4_COPIED = 0x80 };

struct cut {
	uint8_t head[IP4_HEAD_MAX]; /* of fragments after the first */
	size_t head_len;
	const struct ip_header *h;
	uint8_t *data;
	size_t left;
	uint32_t offset;
};

/* Makes the header of later fragments: options without the "copied" bit are for the first one only
 * (RFC 791, section 3.1). */
static void shrink_options(struct cut *c)
{
	size_t from = IP4_HEAD, to = IP4_HEAD, len;

	while (from < c->head_len && c->head[from] != OPT4_END) {
		len = c->head[from] == OPT4_NOP ? 1 : 2;
		if (len == 2 && from + 1 < c->head_len && c->head[from + 1] > 2)
			len = c->head[from + 1];
		if (len > c->head_len - from)
			break;
		if (c->head[from] & OPT4_COPIED) {
			memmove(c->head + to, c->head + from, len);
			to += len;
		}
		from += len;
	}
	while (to % 4)
		c->head[to++] = OPT4_END;
	c->head[0] = (uint8_t)(0x40 | to / 4);
	c->head_len = to;
}

static void fill4(uint8_t *p, size_t head_len, size_t len, uint32_t offset, bool more)
{
	ip_put16(p + 2, (uint16_t)(head_len + len));
	ip_put16(p + 6, (uint16_t)(offset / 8 | (more ? FRAG_MORE4 : 0)));
	ip_put16(p + 10, 0);
	ip_put_sum(p + 10, ip_sum_finish(ip_sum(p, head_len, 0)));
}

static void fill6(uint8_t *p, size_t len, uint32_t offset, bool more)
{
	ip_put16(p + 4, (uint16_t)(IP6_FRAG_HEAD + len));
	ip_put16(p + IP6_HEAD + 2, (uint16_t)(offset | more));
}

/* Emits the next fragment, at most mtu bytes with a header of head_len bytes. */
static void cut_one(struct cut *c, size_t head_len, uint32_t mtu, ip_frag_emit *emit, void *arg)
{
	uint8_t *p = c->data - head_len, saved[IP_FRAG_TAILROOM];
	size_t len = c->left, keep;
	bool more = c->h->more;

	if (len > mtu - head_len) {
		len = (mtu - head_len) & ~(size_t)7;
		more = true;
	}
	if (c->h->v6)
		fill6(p, len, c->offset, more);
	else
		fill4(p, head_len, len, c->offset, more);
	c->data += len;
	c->left -= len;
	c->offset += (uint32_t)len;
	keep = c->left < sizeof(saved) ? c->left : sizeof(saved);
	memcpy(saved, c->data, keep);
	emit(arg, p, head_len + len);
	memcpy(c->data, saved, keep);
}

static void make_head6(struct cut *c, const uint8_t *packet, uint32_t id)
{
	memcpy(c->head, packet, IP6_HEAD);
	c->head[6] = IP_PROTO_FRAGMENT;
	c->head[IP6_HEAD] = c->h->proto;
	c->head[IP6_HEAD + 1] = 0;
	ip_put32(c->head + IP6_HEAD + 4, id);
	c->head_len = IP6_HEAD + IP6_FRAG_HEAD;
}

int ip_fragment(
	uint8_t *packet, size_t len, uint32_t mtu, uint32_t id, ip_frag_emit *emit, void *arg)
{
	struct ip_header h;
	struct cut c = {.h = &h};
	size_t first;
	int n = 1;

	if (ip_parse_quoted(packet, len, &h) < 0 || h.total > len)
		return -EPROTO;
	c.data = packet + h.head;
	c.left = h.total - h.head;
	c.offset = h.offset;
	if ((h.more && c.left % 8) || c.offset + c.left > IP_LEN_MAX)
		return -EPROTO;
	first = h.v6 ? IP6_HEAD + IP6_FRAG_HEAD : h.head;
	if (mtu < first + 8)
		return -EMSGSIZE;
	if (h.v6) {
		make_head6(&c, packet, id);
		memcpy(c.data - first, c.head, first);
	} else {
		memcpy(c.head, packet, h.head);
		c.head_len = h.head;
		shrink_options(&c);
	}
	cut_one(&c, first, mtu, emit, arg);
	for (; c.left > 0; n++) {
		memcpy(c.data - c.head_len, c.head, c.head_len);
		cut_one(&c, c.head_len, mtu, emit, arg);
	}
	return n;
}

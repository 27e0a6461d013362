/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <string.h>

void buf_rd_init(struct buf_rd *rd, const void *p, size_t len)
{
	*rd = (struct buf_rd){.p = p, .left = len};
}

const uint8_t *buf_get_ptr(struct buf_rd *rd, size_t len)
{
	const uint8_t *p = rd->p;

	if (rd->bad || len > rd->left) {
		rd->bad = true;
		return NULL;
	}
	rd->p += len;
	rd->left -= len;
	return p;
}

static uint64_t get_be(struct buf_rd *rd, size_t len)
{
	const uint8_t *p = buf_get_ptr(rd, len);
	uint64_t v = 0;

	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t buf_get_u8(struct buf_rd *rd)
{
	return (uint8_t)get_be(rd, 1);
}

uint16_t buf_get_u16(struct buf_rd *rd)
{
	return (uint16_t)get_be(rd, 2);
}

uint32_t buf_get_u32(struct buf_rd *rd)
{
	return (uint32_t)get_be(rd, 4);
}

uint64_t buf_get_u64(struct buf_rd *rd)
{
	return get_be(rd, 8);
}

void buf_get_bytes(struct buf_rd *rd, void *dst, size_t len)
{
	const uint8_t *p = buf_get_ptr(rd, len);

	if (p)
		memcpy(dst, p, len);
	else
		memset(dst, 0, len);
}

void buf_get_str(struct buf_rd *rd, char *dst, size_t cap)
{
	size_t len = buf_get_u16(rd);
	const uint8_t *p = buf_get_ptr(rd, len);

	dst[0] = '\0';
	if (!p || len >= cap || memchr(p, 0, len)) {
		rd->bad = true;
		return;
	}
	memcpy(dst, p, len);
	dst[len] = '\0';
}

bool buf_rd_done(const struct buf_rd *rd)
{
	return !rd->bad && rd->left == 0;
}

void buf_wr_init(struct buf_wr *wr, void *p, size_t cap)
{
	*wr = (struct buf_wr){.p = p, .cap = cap};
}

void buf_put_bytes(struct buf_wr *wr, const void *src, size_t len)
{
	if (wr->bad || len > wr->cap - wr->len) {
		wr->bad = true;
		return;
	}
	if (len)
		memcpy(wr->p + wr->len, src, len);
	wr->len += len;
}

static void put_be(struct buf_wr *wr, uint64_t v, size_t len)
{
	uint8_t b[8];

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(v >> 8 * (len - 1 - i));
	buf_put_bytes(wr, b, len);
}

void buf_put_u8(struct buf_wr *wr, uint8_t v)
{
	put_be(wr, v, 1);
}

void buf_put_u16(struct buf_wr *wr, uint16_t v)
{
	put_be(wr, v, 2);
}

void buf_put_u32(struct buf_wr *wr, uint32_t v)
{
	put_be(wr, v, 4);
}

void buf_put_u64(struct buf_wr *wr, uint64_t v)
{
	put_be(wr, v, 8);
}

void buf_put_zero(struct buf_wr *wr, size_t len)
{
	if (wr->bad || len > wr->cap - wr->len) {
		wr->bad = true;
		return;
	}
	memset(wr->p + wr->len, 0, len);
	wr->len += len;
}

void buf_put_str(struct buf_wr *wr, const char *str)
{
	size_t len = strlen(str);

	if (len > UINT16_MAX) {
		wr->bad = true;
		return;
	}
	buf_put_u16(wr, (uint16_t)len);
	buf_put_bytes(wr, str, len);
}

/* SPDX-License-Identifier: MIT */
/* Layout of the head: kind 1, flags 1, ttl 1, tos 1, ifindex 4, src 18, dst 18, err 2, icmp type 1,
 * icmp code 1, info 4, offender 16, zero 4. What only DGRAM_ERROR has is zero in DGRAM_DATA. */
#include "dgram.h"

#include <errno.h>

#include "buf.h"

enum { ALL_FLAGS = 31, ERRNO_MAX = 4095 };

void dgram_head_encode(const struct dgram_head *head, uint8_t buf[DGRAM_HEAD])
{
	struct buf_wr wr;

	buf_wr_init(&wr, buf, DGRAM_HEAD);
	buf_put_u8(&wr, (uint8_t)head->kind);
	buf_put_u8(&wr, head->flags);
	buf_put_u8(&wr, head->ttl);
	buf_put_u8(&wr, head->tos);
	buf_put_u32(&wr, head->ifindex);
	buf_put_endpoint(&wr, &head->src);
	buf_put_endpoint(&wr, &head->dst);
	if (head->kind == DGRAM_ERROR) {
		buf_put_u16(&wr, head->err);
		buf_put_u8(&wr, head->icmp_type);
		buf_put_u8(&wr, head->icmp_code);
		buf_put_u32(&wr, head->info);
		buf_put_bytes(&wr, head->offender.b, sizeof(head->offender.b));
	}
	buf_put_zero(&wr, wr.cap - wr.len);
}

/* Reads the rest of the cursor; anything but zeros makes it bad. */
static void get_zeros(struct buf_rd *rd)
{
	while (!rd->bad && rd->left > 0)
		if (buf_get_u8(rd))
			rd->bad = true;
}

static void get_error(struct buf_rd *rd, struct dgram_head *headp)
{
	headp->err = buf_get_u16(rd);
	headp->icmp_type = buf_get_u8(rd);
	headp->icmp_code = buf_get_u8(rd);
	headp->info = buf_get_u32(rd);
	buf_get_bytes(rd, headp->offender.b, sizeof(headp->offender.b));
	if (headp->err == 0 || headp->err > ERRNO_MAX)
		rd->bad = true;
}

int dgram_head_decode(const void *buf, size_t len, struct dgram_head *headp)
{
	struct dgram_head head = {0};
	size_t max = DGRAM_PAYLOAD_MAX;
	struct buf_rd rd;

	if (len < DGRAM_HEAD)
		return -EPROTO;
	buf_rd_init(&rd, buf, DGRAM_HEAD);
	head.kind = buf_get_u8(&rd);
	head.flags = buf_get_u8(&rd);
	head.ttl = buf_get_u8(&rd);
	head.tos = buf_get_u8(&rd);
	head.ifindex = buf_get_u32(&rd);
	buf_get_endpoint(&rd, &head.src);
	buf_get_endpoint(&rd, &head.dst);
	if (head.kind == DGRAM_ERROR) {
		max = DGRAM_QUOTE_MAX;
		get_error(&rd, &head);
	} else if (head.kind != DGRAM_DATA || head.flags & DGRAM_EOR_ERR) {
		return -EPROTO;
	}
	get_zeros(&rd);
	if (rd.bad || head.flags > ALL_FLAGS || len - DGRAM_HEAD > max)
		return -EPROTO;
	*headp = head;
	return 0;
}

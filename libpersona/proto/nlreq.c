/* SPDX-License-Identifier: MIT */
#include "nlreq.h"

#include <errno.h>

#include "buf.h"

/* As the length of a netlink message, in either byte order, this would be far too large. */
#define NLREQ_MAGIC 0xfe6e6cfeU

void nlreq_encode(const struct nlreq *req, uint8_t buf[NLREQ_HEAD])
{
	struct buf_wr wr;

	buf_wr_init(&wr, buf, NLREQ_HEAD);
	buf_put_u32(&wr, NLREQ_MAGIC);
	buf_put_u32(&wr, req->flags);
	buf_put_u32(&wr, req->portid);
	buf_put_u32(&wr, req->groups);
}

int nlreq_decode(const void *buf, size_t len, struct nlreq *reqp, const void **bodyp, size_t *lenp)
{
	struct nlreq req;
	struct buf_rd rd;

	buf_rd_init(&rd, buf, len);
	if (buf_get_u32(&rd) != NLREQ_MAGIC)
		return -ENOENT;
	req.flags = buf_get_u32(&rd);
	req.portid = buf_get_u32(&rd);
	req.groups = buf_get_u32(&rd);
	if (rd.bad)
		return -ENOENT;
	*reqp = req;
	*bodyp = rd.p;
	*lenp = rd.left;
	return 0;
}

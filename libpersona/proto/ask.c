/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "buf.h"

static bool has_bind(enum ask_op op)
{
	return op == ASK_BIND || op == ASK_LISTEN;
}

static bool has_local(enum ask_op op)
{
	return op == ASK_DGRAM_BIND || op == ASK_DGRAM_CONNECT || op == ASK_DGRAM_NAME;
}

static int written(const struct buf_wr *wr)
{
	return wr->bad ? -EMSGSIZE : (int)wr->len;
}

int ask_encode_request(const struct ask_request *req, void *buf, size_t cap)
{
	struct buf_wr wr;

	buf_wr_init(&wr, buf, cap < ASK_MAX ? cap : ASK_MAX);
	buf_put_u8(&wr, ASK_VERSION);
	buf_put_u8(&wr, (uint8_t)req->op);
	switch (req->op) {
	case ASK_BIND:
	case ASK_LISTEN:
	case ASK_DGRAM_BIND:
	case ASK_DGRAM_CONNECT:
		buf_put_u8(&wr, req->proto);
		buf_put_u8(&wr, req->flags);
		buf_put_endpoint(&wr, &req->local);
		buf_put_u64(&wr, req->inode);
		break;
	case ASK_LEASE:
		buf_put_u8(&wr, req->proto);
		break;
	case ASK_LOCAL:
		buf_put_u8(&wr, req->proto);
		buf_put_endpoint(&wr, &req->local);
		break;
	case ASK_NAME:
		buf_put_u8(&wr, req->flags);
		buf_put_str(&wr, req->name);
		break;
	case ASK_ADDR:
		buf_put_endpoint(&wr, &req->local);
		break;
	case ASK_IFS:
		buf_put_u16(&wr, req->first);
		break;
	case ASK_DGRAM_NAME:
		buf_put_u8(&wr, req->proto);
		buf_put_u64(&wr, req->inode);
		break;
	case ASK_DGRAM_OPTION:
		buf_put_u8(&wr, req->proto);
		buf_put_u8(&wr, req->option);
		buf_put_u32(&wr, req->value);
		buf_put_endpoint(&wr, &req->local);
		buf_put_u64(&wr, req->inode);
		break;
	case ASK_DNS:
		if (req->nquery > sizeof(req->query))
			return -EMSGSIZE;
		buf_put_u16(&wr, req->nquery);
		buf_put_bytes(&wr, req->query, req->nquery);
		break;
	}
	return written(&wr);
}

/* Are the values ones that the operation has? */
static bool request_valid(const struct ask_request *req)
{
	if (req->flags >= 2 * ASK_V6)
		return false;
	if (req->op == ASK_NAME)
		return req->flags > 0 && req->flags <= (ASK_NAME_V4 | ASK_NAME_V6);
	if (req->op <= ASK_LOCAL)
		return req->proto == IPPROTO_TCP || req->proto == IPPROTO_UDP;
	if (req->op < ASK_DGRAM_BIND || req->op == ASK_DNS)
		return true;
	if (req->op == ASK_DGRAM_OPTION &&
		(req->option < ASK_OPT_RCVBUF || req->option > ASK_OPT_SHUTDOWN))
		return false;
	return req->proto == IPPROTO_UDP || req->proto == IPPROTO_ICMP ||
	       req->proto == IPPROTO_ICMPV6;
}

int ask_decode_request(const void *buf, size_t len, struct ask_request *reqp)
{
	struct ask_request req = {0};
	struct buf_rd rd;

	buf_rd_init(&rd, buf, len);
	if (len > ASK_MAX || buf_get_u8(&rd) != ASK_VERSION)
		return -EPROTO;
	req.op = buf_get_u8(&rd);
	switch (req.op) {
	case ASK_BIND:
	case ASK_LISTEN:
	case ASK_DGRAM_BIND:
	case ASK_DGRAM_CONNECT:
		req.proto = buf_get_u8(&rd);
		req.flags = buf_get_u8(&rd);
		buf_get_endpoint(&rd, &req.local);
		req.inode = buf_get_u64(&rd);
		break;
	case ASK_LEASE:
		req.proto = buf_get_u8(&rd);
		break;
	case ASK_LOCAL:
		req.proto = buf_get_u8(&rd);
		buf_get_endpoint(&rd, &req.local);
		break;
	case ASK_NAME:
		req.flags = buf_get_u8(&rd);
		buf_get_str(&rd, req.name, sizeof(req.name));
		break;
	case ASK_ADDR:
		buf_get_endpoint(&rd, &req.local);
		break;
	case ASK_IFS:
		req.first = buf_get_u16(&rd);
		break;
	case ASK_DGRAM_NAME:
		req.proto = buf_get_u8(&rd);
		req.inode = buf_get_u64(&rd);
		break;
	case ASK_DGRAM_OPTION:
		req.proto = buf_get_u8(&rd);
		req.option = buf_get_u8(&rd);
		req.value = buf_get_u32(&rd);
		buf_get_endpoint(&rd, &req.local);
		req.inode = buf_get_u64(&rd);
		break;
	case ASK_DNS:
		req.nquery = buf_get_u16(&rd);
		if (req.nquery > sizeof(req.query))
			return -EPROTO;
		buf_get_bytes(&rd, req.query, req.nquery);
		break;
	default:
		return -EPROTO;
	}
	if (!buf_rd_done(&rd) || !request_valid(&req))
		return -EPROTO;
	*reqp = req;
	return 0;
}

static void put_if(struct buf_wr *wr, const struct ask_if *i)
{
	buf_put_bytes(wr, i->name, sizeof(i->name));
	buf_put_u32(wr, i->index);
	buf_put_u32(wr, i->flags);
	buf_put_u32(wr, i->mtu);
}

static void get_if(struct buf_rd *rd, struct ask_if *ip)
{
	buf_get_bytes(rd, ip->name, sizeof(ip->name));
	ip->index = buf_get_u32(rd);
	ip->flags = buf_get_u32(rd);
	ip->mtu = buf_get_u32(rd);
	if (ip->name[sizeof(ip->name) - 1])
		rd->bad = true;
}

int ask_encode_reply(const struct ask_reply *rep, void *buf, size_t cap)
{
	struct buf_wr wr;

	size_t most = rep->op == ASK_DNS ? ASK_DNS_HEAD + ASK_DNS_MAX : ASK_REPLY_MAX;

	buf_wr_init(&wr, buf, cap < most ? cap : most);
	buf_put_u8(&wr, ASK_VERSION);
	buf_put_u8(&wr, (uint8_t)rep->op);
	buf_put_u32(&wr, (uint32_t)rep->err);
	if (rep->err)
		return written(&wr);
	if (has_bind(rep->op) || rep->op == ASK_LEASE)
		buf_put_u16(&wr, rep->port);
	if (rep->op == ASK_LEASE || rep->op == ASK_IFS)
		buf_put_u16(&wr, rep->count);
	if (rep->op == ASK_LISTEN || rep->op == ASK_LOCAL)
		buf_put_str(&wr, rep->path);
	if (rep->op == ASK_NAME || rep->op == ASK_ADDR)
		buf_put_str(&wr, rep->name);
	if (rep->op == ASK_NAME) {
		buf_put_u16(&wr, rep->naddr);
		for (size_t i = 0; i < rep->naddr; i++)
			buf_put_bytes(&wr, rep->addr[i].b, sizeof(rep->addr[i].b));
	}
	if (rep->op == ASK_IFS) {
		buf_put_u16(&wr, rep->nif);
		for (size_t i = 0; i < rep->nif; i++)
			put_if(&wr, &rep->ifs[i]);
	}
	if (has_local(rep->op))
		buf_put_endpoint(&wr, &rep->local);
	if (rep->op == ASK_DGRAM_NAME)
		buf_put_endpoint(&wr, &rep->peer);
	if (rep->op == ASK_DNS) {
		buf_put_u16(&wr, rep->nanswer);
		buf_put_bytes(&wr, rep->answer, rep->nanswer);
	}
	return written(&wr);
}

static int decode_reply(const void *buf, size_t len, struct ask_reply *repp)
{
	struct buf_rd rd;
	uint32_t err;

	buf_rd_init(&rd, buf, len);
	if (buf_get_u8(&rd) != ASK_VERSION)
		return -EPROTO;
	repp->op = buf_get_u8(&rd);
	err = buf_get_u32(&rd);
	if (rd.bad || repp->op < ASK_BIND || repp->op > ASK_DNS || err > 4095)
		return -EPROTO;
	repp->err = (int)err;
	if (repp->err)
		return buf_rd_done(&rd) ? 0 : -EPROTO;
	if (has_bind(repp->op) || repp->op == ASK_LEASE)
		repp->port = buf_get_u16(&rd);
	if (repp->op == ASK_LEASE || repp->op == ASK_IFS)
		repp->count = buf_get_u16(&rd);
	if (repp->op == ASK_LISTEN || repp->op == ASK_LOCAL)
		buf_get_str(&rd, repp->path, sizeof(repp->path));
	if (repp->op == ASK_NAME || repp->op == ASK_ADDR)
		buf_get_str(&rd, repp->name, sizeof(repp->name));
	if (repp->op == ASK_NAME) {
		repp->naddr = buf_get_u16(&rd);
		if (repp->naddr > ASK_ADDRS_MAX)
			return -EPROTO;
		for (size_t i = 0; i < repp->naddr; i++)
			buf_get_bytes(&rd, repp->addr[i].b, sizeof(repp->addr[i].b));
	}
	if (repp->op == ASK_IFS) {
		repp->nif = buf_get_u16(&rd);
		if (repp->nif > ASK_IFS_MAX)
			return -EPROTO;
		for (size_t i = 0; i < repp->nif; i++)
			get_if(&rd, &repp->ifs[i]);
	}
	if (has_local(repp->op))
		buf_get_endpoint(&rd, &repp->local);
	if (repp->op == ASK_DGRAM_NAME)
		buf_get_endpoint(&rd, &repp->peer);
	if (repp->op == ASK_DNS) {
		repp->nanswer = buf_get_u16(&rd);
		repp->answer = buf_get_ptr(&rd, repp->nanswer);
	}
	return buf_rd_done(&rd) ? 0 : -EPROTO;
}

int ask_decode_reply(const void *buf, size_t len, struct ask_reply *repp)
{
	int r;

	/* Decoded in place, because the struct is large; nothing of a refused message stays in it.
	 */
	memset(repp, 0, sizeof(*repp));
	r = decode_reply(buf, len, repp);
	if (r < 0)
		memset(repp, 0, sizeof(*repp));
	return r;
}

#define CONNREQ_OP 1

void connreq_encode(const struct connreq *req, uint8_t buf[CONNREQ_LEN + CONNREQ_PAD])
{
	struct buf_wr wr;

	buf_wr_init(&wr, buf, CONNREQ_LEN + CONNREQ_PAD);
	buf_put_u8(&wr, ASK_VERSION);
	buf_put_u8(&wr, CONNREQ_OP);
	buf_put_u8(&wr, req->proto);
	buf_put_u8(&wr, req->abort);
	buf_put_u32(&wr, req->sndbuf);
	buf_put_endpoint(&wr, &req->src);
	buf_put_endpoint(&wr, &req->dst);
	buf_put_zero(&wr, wr.cap - wr.len);
}

int connreq_decode(const uint8_t buf[CONNREQ_LEN], struct connreq *reqp)
{
	struct connreq req;
	struct buf_rd rd;
	uint8_t flags;

	buf_rd_init(&rd, buf, CONNREQ_LEN);
	if (buf_get_u8(&rd) != ASK_VERSION || buf_get_u8(&rd) != CONNREQ_OP)
		return -EPROTO;
	req.proto = buf_get_u8(&rd);
	flags = buf_get_u8(&rd);
	if (flags > 1 || req.proto != IPPROTO_TCP)
		return -EPROTO;
	req.abort = flags;
	req.sndbuf = buf_get_u32(&rd);
	buf_get_endpoint(&rd, &req.src);
	buf_get_endpoint(&rd, &req.dst);
	while (rd.left > 0)
		if (buf_get_u8(&rd) != 0)
			return -EPROTO;
	*reqp = req;
	return 0;
}

int info_encode(const struct info *info, void *buf, size_t cap)
{
	struct buf_wr wr;

	buf_wr_init(&wr, buf, cap < INFO_MAX ? cap : INFO_MAX);
	buf_put_u8(&wr, ASK_VERSION);
	buf_put_u8(&wr, info->nworkers);
	buf_put_u32(&wr, info->portspace);
	buf_put_bytes(&wr, info->secret, sizeof(info->secret));
	buf_put_u16(&wr, info->mtu);
	buf_put_str(&wr, info->name);
	buf_put_str(&wr, info->hostname);
	buf_put_u8(&wr, info->naddr);
	for (size_t i = 0; i < info->naddr; i++) {
		buf_put_bytes(&wr, info->addr[i].addr.b, sizeof(info->addr[i].addr.b));
		buf_put_u8(&wr, info->addr[i].len);
	}
	return written(&wr);
}

int info_decode(const void *buf, size_t len, struct info *infop)
{
	struct info info = {0};
	struct buf_rd rd;

	buf_rd_init(&rd, buf, len);
	if (buf_get_u8(&rd) != ASK_VERSION)
		return -EPROTO;
	info.nworkers = buf_get_u8(&rd);
	info.portspace = buf_get_u32(&rd);
	buf_get_bytes(&rd, info.secret, sizeof(info.secret));
	info.mtu = buf_get_u16(&rd);
	buf_get_str(&rd, info.name, sizeof(info.name));
	buf_get_str(&rd, info.hostname, sizeof(info.hostname));
	info.naddr = buf_get_u8(&rd);
	if (info.naddr > INFO_ADDRS_MAX || info.nworkers == 0)
		return -EPROTO;
	for (size_t i = 0; i < info.naddr; i++) {
		buf_get_bytes(&rd, info.addr[i].addr.b, sizeof(info.addr[i].addr.b));
		info.addr[i].len = buf_get_u8(&rd);
		if (info.addr[i].len > 128)
			return -EPROTO;
	}
	if (!buf_rd_done(&rd))
		return -EPROTO;
	*infop = info;
	return 0;
}

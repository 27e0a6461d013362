/* SPDX-License-Identifier: MIT */
/* Deliveries to applications: collected during a turn, then handed over with one system call for
 * each socket (dgram_priv.h).
 *
 * Payloads are copied: what they point into is worked on again before the turn ends, and the copy
 * costs a hundredth of what opening the packet did. Messages of one socket stay in order. */
#include "dgram_priv.h"

#include <errno.h>
#include <string.h>

static void deliver(struct dgram_server *server, struct dgram *d)
{
	struct mmsghdr msgs[DGRAM_QUEUE_MAX];
	struct iovec iov[DGRAM_QUEUE_MAX][2];
	unsigned n = 0;
	int sent;

	for (int i = d->first; i >= 0; i = server->queue[i].next) {
		struct dgram_delivery *q = &server->queue[i];

		iov[n][0] = (struct iovec){q->head, DGRAM_HEAD};
		iov[n][1] = (struct iovec){server->queue_data + q->offset, q->len};
		msgs[n] = (struct mmsghdr){
			.msg_hdr.msg_iov = iov[n], .msg_hdr.msg_iovlen = q->len ? 2 : 1};
		n++;
	}
	d->first = d->last = -1;
	sent = n ? sendmmsg(d->watch.fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (sent < 0)
		sent = 0;
	if ((unsigned)sent < n)
		atomic_fetch_add_explicit(&d->owner->pps->ps->dgrams_dropped, n - (unsigned)sent,
			memory_order_relaxed);
}

void dgram_server_flush(struct dgram_server *server)
{
	while (server->queued) {
		struct dgram *d = server->queued;

		server->queued = d->next_queued;
		d->next_queued = NULL;
		deliver(server, d);
	}
	server->nqueue = 0;
	server->queue_len = 0;
}

/* Where the payload is; `same`: it is that of the delivery before. */
static uint32_t put_payload(
	struct dgram_server *server, const uint8_t *payload, size_t len, bool same)
{
	uint32_t offset = (uint32_t)server->queue_len;

	if (same && server->nqueue > 0)
		return server->queue[server->nqueue - 1].offset;
	memcpy(server->queue_data + offset, payload, len);
	server->queue_len += len;
	return offset;
}

static void add(struct dgram *d, const struct dgram_head *head, const uint8_t *payload, size_t len,
	bool same)
{
	struct dgram_server *server = d->server;
	struct dgram_delivery *q;

	if (server->nqueue == DGRAM_QUEUE_MAX ||
		(!same && server->queue_len + len > DGRAM_QUEUE_BYTES))
		dgram_server_flush(server);
	q = &server->queue[server->nqueue];
	dgram_head_encode(head, q->head);
	q->offset = put_payload(server, payload, len, same);
	q->len = (uint32_t)len;
	q->next = -1;
	if (d->first < 0) {
		d->first = (int)server->nqueue;
		d->next_queued = server->queued;
		server->queued = d;
	} else {
		server->queue[d->last].next = (int)server->nqueue;
	}
	d->last = (int)server->nqueue++;
}

void dgram_queue(struct dgram *d, const struct dgram_head *head, const uint8_t *payload, size_t len)
{
	if (!d->shut_rd)
		add(d, head, payload, len, false);
}

void dgram_queue_many(struct dgram *d, const struct dgram_head *head, const uint8_t *payload,
	size_t len, bool *startedp)
{
	d->server->fanout++;
	if (d->shut_rd)
		return;
	add(d, head, payload, len, *startedp);
	*startedp = true;
}

void dgram_queue_forget(struct dgram *d)
{
	if (d->first >= 0)
		dgram_server_flush(d->server);
}

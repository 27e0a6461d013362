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

void dgram_queue(struct dgram *d, const struct dgram_head *head, const uint8_t *payload, size_t len)
{
	struct dgram_server *server = d->server;
	struct dgram_delivery *q;

	if (d->shut_rd)
		return;
	if (server->nqueue == DGRAM_QUEUE_MAX || server->queue_len + len > DGRAM_QUEUE_BYTES)
		dgram_server_flush(server);
	q = &server->queue[server->nqueue];
	dgram_head_encode(head, q->head);
	q->offset = (uint32_t)server->queue_len;
	q->len = (uint32_t)len;
	q->next = -1;
	memcpy(server->queue_data + server->queue_len, payload, len);
	server->queue_len += len;
	if (d->first < 0) {
		d->first = (int)server->nqueue;
		d->next_queued = server->queued;
		server->queued = d;
	} else {
		server->queue[d->last].next = (int)server->nqueue;
	}
	d->last = (int)server->nqueue++;
}

void dgram_queue_forget(struct dgram *d)
{
	if (d->first >= 0)
		dgram_server_flush(d->server);
}

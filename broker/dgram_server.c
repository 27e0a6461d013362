/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "dgram"
#include "dgram_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdmsg.h"
#include "log.h"
#include "strayfd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

enum {
	BACKLOG = 4096,
	ACCEPT_BATCH = 64,
	REST_NS = 100000000 /* without descriptors or memory */
};

/* ---- a connection's input ---- */

static int receive(struct dgram_server *server, int fd, unsigned most)
{
	int n;

	for (unsigned i = 0; server->control && i < most; i++) {
		server->in[i].msg_hdr.msg_control = server->control + i * STRAYFD_CONTROL;
		server->in[i].msg_hdr.msg_controllen = STRAYFD_CONTROL;
	}
	n = recvmmsg(fd, server->in, most, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	if (n < 0)
		return -errno;
	for (int i = 0; server->control && i < n; i++)
		strayfd_drop(&server->in[i].msg_hdr);
	return n;
}

/* A connected socket may send without a head: what stdio writes inside libc has none. The payload
 * begins in the head's place; it is put together at `payload`. */
static int send_headless(struct dgram *d, const uint8_t *begin, uint8_t *payload, size_t len)
{
	const struct dgram_head head = {.kind = DGRAM_DATA};
	const size_t first = len < DGRAM_HEAD ? len : DGRAM_HEAD;

	if (!d->connected)
		return -EPROTO;
	if (len > DGRAM_PAYLOAD_MAX)
		return 0; /* EMSGSIZE, and nobody to be told */
	memmove(payload + first, payload, len - first);
	memcpy(payload, begin, first);
	dgram_send(d, &head, payload, len);
	return 0;
}

int dgram_read(struct dgram *d)
{
	struct dgram_server *server = d->server;
	const uint64_t before = server->fanout;
	int n = receive(server, d->watch.fd, d->fans_out ? 1 : PLANE_BATCH);

	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : n;
	for (int i = 0; i < n; i++) {
		uint8_t *payload = server->slots + (size_t)i * DGRAM_SLOT + PLANE_HEADROOM;
		const size_t len = server->in[i].msg_len;
		struct dgram_head head;

		if (len == 0) /* the end: no message is that short */
			return -EPIPE;
		if (dgram_head_decode(server->heads[i], len, &head) < 0) {
			if (send_headless(d, server->heads[i], payload, len) < 0)
				return -EPROTO;
			continue;
		}
		if (head.kind != DGRAM_DATA)
			return -EPROTO;
		dgram_send(d, &head, payload, len - DGRAM_HEAD);
	}
	d->fans_out = server->fanout - before > DGRAM_FANOUT;
	return n;
}

/* One question, one answer, the end. */
static void serve(struct dgram *d)
{
	uint8_t in[ASK_MAX], out[ASK_REPLY_MAX];
	struct ask_request req;
	struct ask_reply rep;
	ssize_t len = strayfd_recv(d->watch.fd, in, sizeof(in));
	int n;

	if (len == -EAGAIN || len == -EINTR)
		return;
	if (len > 0 && ask_decode_request(in, (size_t)len, &req) == 0 && req.op >= ASK_DGRAM_BIND &&
		req.op <= ASK_DGRAM_OPTION) {
		d->asking = true;
		dgram_answer(d->owner, &req, &rep);
		if (!d->owner) /* closed: its inode belongs to another socket by now */
			return;
		/* who has the answer has what came of the datagrams before it, too */
		dgram_server_flush(d->server);
		n = ask_encode_reply(&rep, out, sizeof(out));
		if (n > 0)
			(void)fdmsg_send(d->watch.fd, out, (size_t)n, -1);
	} else if (len > 0) {
		log_debug("process %d sent no valid question", (int)d->pid);
	}
	dgram_close(d);
}

/* The first message says what the connection is. */
static void first_message(struct dgram *d)
{
	uint8_t byte;
	ssize_t n = recv(d->watch.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && byte == ASK_VERSION)
		serve(d);
	else if (n == 1 && byte == DGRAM_DATA)
		d->data = true;
	else
		dgram_close(d);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct dgram *d = (struct dgram *)watch;

	(void)events;
	plane_turn_time(d->server->plane);
	if (!d->data)
		first_message(d);
	if (d->owner && d->data && dgram_read(d) < 0)
		dgram_close(d);
}

/* ---- connections ---- */

static void destroy(struct watch *watch)
{
	free(watch);
}

void dgram_close(struct dgram *d)
{
	int fd = d->watch.fd;

	dgram_queue_forget(d);
	dgram_delist(d);
	watch_discard(&d->server->plane->poller, &d->watch, destroy);
	close(fd);
}

int dgram_adopt(
	struct dgram_server *server, struct portspace *ps, pid_t pid, int fd, struct dgram **dp)
{
	struct plane *plane = server->plane;
	const int buffer = DGRAM_BUFFER;
	struct plane_ps *pps = plane_ps_get(plane, ps);
	struct dgram *d = pps ? calloc(1, sizeof(*d)) : NULL;
	int r;

	if (!d)
		return -ENOMEM;
	d->server = server;
	d->pid = pid;
	d->proto = IPPROTO_UDP;
	d->first = d->last = -1;
	watch_init(&d->watch, fd, on_ready);
	r = watch_set(&plane->poller, &d->watch, EPOLLIN);
	if (r == 0)
		r = dgram_enlist(pps->dgrams, d);
	if (r < 0) {
		(void)watch_set(&plane->poller, &d->watch, 0);
		free(d);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	*dp = d;
	return 0;
}

static int accepted(struct dgram_server *server, int fd)
{
	pid_t pid;
	struct portspace *ps = core_member(server->plane->core, fd, &pid);
	struct dgram *d;
	int r;

	if (!ps) {
		log_debug("a process that is in no portspace was refused");
		return -EPERM;
	}
	r = dgram_adopt(server, ps, pid, fd, &d);
	portspace_unref(ps);
	if (r == 0)
		on_ready(&d->watch, EPOLLIN); /* a question is mostly there already */
	return r;
}

static void wake_up(struct plane_timer *timer, uint64_t now_ns)
{
	struct dgram_server *server =
		(struct dgram_server *)((char *)timer - offsetof(struct dgram_server, resting));

	(void)now_ns;
	(void)watch_set(&server->plane->poller, &server->watch, EPOLLIN);
}

static void on_connect(struct watch *watch, uint32_t events)
{
	struct dgram_server *server = (struct dgram_server *)watch;
	struct plane *plane = server->plane;

	(void)events;
	plane_turn_time(plane);
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			if (accepted(server, fd) < 0)
				close(fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_warning("cannot accept: %s; trying again soon", strerror(errno));
			(void)watch_set(&plane->poller, watch, 0);
			plane_timer_set(plane, &server->resting, plane->now_ns + REST_NS);
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- life ---- */

static int make_buffers(struct dgram_server *server)
{
	server->slots = malloc((size_t)PLANE_BATCH * DGRAM_SLOT);
	server->copy = malloc(DGRAM_SLOT);
	server->heads = malloc(PLANE_BATCH * sizeof(*server->heads));
	server->queue_data = malloc(DGRAM_QUEUE_BYTES);
	if (!server->slots || !server->copy || !server->heads || !server->queue_data)
		return -ENOMEM;
	for (unsigned i = 0; i < PLANE_BATCH; i++) {
		server->in_iov[i][0] = (struct iovec){server->heads[i], DGRAM_HEAD};
		/* One byte more than is allowed, so that too much is seen and not cut. */
		server->in_iov[i][1] =
			(struct iovec){server->slots + (size_t)i * DGRAM_SLOT + PLANE_HEADROOM,
				DGRAM_PAYLOAD_MAX + 1};
		server->in[i].msg_hdr.msg_iov = server->in_iov[i];
		server->in[i].msg_hdr.msg_iovlen = 2;
	}
	return 0;
}

static int start_listening(struct dgram_server *server)
{
	int fd, r = fdmsg_listen(server->path, SOCK_SEQPACKET, BACKLOG, &fd);

	if (r < 0)
		return r;
	watch_init(&server->watch, fd, on_connect);
	/* Nobody can pass a descriptor in, where the kernel lets us refuse: the last close of one
	 * may block, and that would be ours. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int)) < 0) {
		server->control = malloc((size_t)PLANE_BATCH * STRAYFD_CONTROL);
		if (!server->control)
			return -ENOMEM;
	}
	return watch_set(&server->plane->poller, &server->watch, EPOLLIN);
}

int dgram_server_new(struct plane *plane, const char *runtime_dir, struct dgram_server **serverp)
{
	struct dgram_server *server = calloc(1, sizeof(*server));
	int r = -ENOMEM;

	if (!server)
		return r;
	server->plane = plane;
	server->watch.fd = -1;
	server->resting.fn = wake_up;
	randombytes_buf(server->hash_key, sizeof(server->hash_key));
	if (asprintf(&server->path, "%s/dgram", runtime_dir) < 0)
		server->path = NULL;
	else
		r = make_buffers(server);
	if (r == 0)
		r = start_listening(server);
	if (r < 0) {
		dgram_server_free(server);
		return r;
	}
	*serverp = server;
	return 0;
}

void dgram_server_free(struct dgram_server *server)
{
	if (!server)
		return;
	plane_timer_set(server->plane, &server->resting, UINT64_MAX);
	if (server->watch.fd >= 0) {
		(void)watch_set(&server->plane->poller, &server->watch, 0);
		close(server->watch.fd);
		unlink(server->path);
	}
	free(server->path);
	free(server->slots);
	free(server->copy);
	free(server->heads);
	free(server->control);
	free(server->queue_data);
	free(server);
}

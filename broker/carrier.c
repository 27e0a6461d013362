/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "carrier"
#include "carrier.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "carrier_hello.h"
#include "log.h"
#include "worker_priv.h"

enum {
	KEEPALIVE_S = 10,	  /* idle seconds before probing, without Keepalive in the link */
	KEEPALIVE_INTERVAL_S = 5, /* between probes */
	KEEPALIVE_PROBES = 3,
	USER_TIMEOUT_MS = 20000 /* unacknowledged data for so long: the path is dead */
};

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_closed(uv_handle_t *handle);
static void parse(struct carrier *c);

/* ---- the poll handle ---- */

static void update_poll(struct carrier *c)
{
	int want = 0;

	if (c->dead)
		return;
	if (c->state == CARRIER_DIALING || c->wbuf)
		want |= UV_WRITABLE;
	if (c->state != CARRIER_DIALING && !c->paused)
		want |= UV_READABLE;
	if (want == c->mask)
		return;
	c->mask = (uint8_t)want;
	if (want)
		uv_poll_start(&c->poll, want, on_poll);
	else
		uv_poll_stop(&c->poll);
}

static void tune(int fd, const struct link *link)
{
	int on = 1, idle = KEEPALIVE_S, interval = KEEPALIVE_INTERVAL_S;
	int probes = KEEPALIVE_PROBES, timeout = USER_TIMEOUT_MS;

	if (link && link->keepalive_s)
		idle = link->keepalive_s < 3600 ? link->keepalive_s : 3600;
	/* All of these only make things better; a kernel that refuses one is still usable. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

/* Takes over fd: on failure it is closed. */
static struct carrier *carrier_new(struct worker *w, int fd, struct link *link)
{
	struct carrier *c = calloc(1, sizeof(*c));

	if (!c || uv_poll_init(&w->loop, &c->poll, fd) != 0) {
		free(c);
		close(fd);
		return NULL;
	}
	c->poll.data = c;
	c->worker = w;
	c->fd = fd;
	c->link = link ? link_ref(link) : NULL;
	c->born_ms = worker_now_ms(w);
	tune(fd, link);
	return c;
}

static bool is_keyed(const struct carrier *c)
{
	return c->state >= CARRIER_IDLE;
}

static void set_state(struct carrier *c, enum carrier_state state)
{
	if (c->link) {
		struct link_stats *stats = &c->link->stats;

		if (!is_keyed(c) && state >= CARRIER_IDLE)
			atomic_fetch_add(&stats->carriers, 1);
		if (c->state != CARRIER_IDLE && state == CARRIER_IDLE)
			atomic_fetch_add(&stats->carriers_idle, 1);
		if (c->state == CARRIER_IDLE && state != CARRIER_IDLE)
			atomic_fetch_sub(&stats->carriers_idle, 1);
	}
	if (c->state == CARRIER_DRAIN)
		DL_DELETE(c->worker->draining, c);
	c->state = (uint8_t)state;
	if (state == CARRIER_DRAIN)
		DL_APPEND(c->worker->draining, c);
	if (state == CARRIER_IDLE) {
		c->user = NULL;
		c->fin_sent = false;
		c->paused = false;
	}
}

static void forget_counts(struct carrier *c)
{
	if (!c->link || !is_keyed(c))
		return;
	if (c->state == CARRIER_IDLE)
		atomic_fetch_sub(&c->link->stats.carriers_idle, 1);
	atomic_fetch_sub(&c->link->stats.carriers, 1);
}

static void on_closed(uv_handle_t *handle)
{
	struct carrier *c = handle->data;

	link_unref(c->link);
	aead_key_wipe(&c->tx);
	aead_key_wipe(&c->rx);
	free(c);
}

static void detach(struct carrier *c)
{
	c->dead = true;
	if (c->state == CARRIER_DRAIN)
		DL_DELETE(c->worker->draining, c);
	forget_counts(c);
	carrier_hello_free(c->hello);
	c->hello = NULL;
	chunk_put(&c->worker->chunks, c->rbuf);
	chunk_put(&c->worker->chunks, c->wbuf);
	c->rbuf = c->wbuf = NULL;
	uv_close((uv_handle_t *)&c->poll, on_closed);
}

void carrier_close(struct carrier *c)
{
	if (c->dead)
		return;
	detach(c);
	close(c->fd);
}

static void lose(struct carrier *c, int err)
{
	if (c->dead)
		return;
	c->worker->events->lost(c, err);
	carrier_close(c);
}

/* ---- output ---- */

/* Sends raw bytes behind what is waiting already. */
static int put_raw(struct carrier *c, const uint8_t *p, size_t len)
{
	ssize_t n = 0;

	if (!c->wbuf) {
		do
			n = send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n < 0)
			n = 0;
		if ((size_t)n == len)
			return 0;
		c->wbuf = chunk_get(&c->worker->chunks);
		if (!c->wbuf)
			return -ENOMEM;
	}
	p += n;
	len -= (size_t)n;
	if (c->wbuf->off + c->wbuf->len + len > CHUNK_SIZE) {
		memmove(c->wbuf->data, c->wbuf->data + c->wbuf->off, c->wbuf->len);
		c->wbuf->off = 0;
	}
	if (c->wbuf->len + len > CHUNK_SIZE)
		return -ENOBUFS; /* only control records queue up: the peer does not read any */
	memcpy(c->wbuf->data + c->wbuf->off + c->wbuf->len, p, len);
	c->wbuf->len += len;
	update_poll(c);
	return 0;
}

static int put_record(struct carrier *c, enum record_type type, const void *body, size_t len)
{
	uint8_t rec[RECORD_OVERHEAD + RECORD_OPEN_LEN];
	int n;

	assert(len <= RECORD_OPEN_LEN);
	if (len)
		memcpy(rec + RECORD_HEAD, body, len);
	n = record_seal(c->worker->aead, &c->tx, type, rec, len);
	return n < 0 ? n : put_raw(c, rec, (size_t)n);
}

/* Ratchets the sending key when it has done enough. */
static int rekey_if_due(struct carrier *c, size_t more)
{
	uint64_t now = worker_now_ms(c->worker);
	int r;

	c->tx_bytes += more;
	if (c->tx_bytes < record_limits_default.rekey_bytes &&
		now - c->tx_rekey_ms < record_limits_default.rekey_ms)
		return 0;
	r = put_record(c, RECORD_REKEY, NULL, 0);
	if (r == 0)
		r = aead_rekey(c->worker->aead, &c->tx);
	c->tx_bytes = 0;
	c->tx_rekey_ms = now;
	return r;
}

static int fail(struct carrier *c, int r)
{
	if (r < 0) {
		log_debug("write to %s failed: %s", c->link ? c->link->name : "?", strerror(-r));
		/* The read side will report the loss; shutdown makes sure that it does. */
		shutdown(c->fd, SHUT_RDWR);
		carrier_resume(c);
	}
	return r;
}

bool carrier_blocked(const struct carrier *c)
{
	return c->wbuf != NULL;
}

int carrier_send_chunk(struct carrier *c, struct chunk **chunkp, size_t body_len)
{
	struct chunk *chunk = *chunkp;
	size_t total = 0;
	ssize_t n;
	int r;

	assert(!c->wbuf);
	r = rekey_if_due(c, body_len);
	if (r < 0)
		return fail(c, r);
	atomic_fetch_add_explicit(&c->link->stats.tx_bytes, body_len, memory_order_relaxed);
	for (size_t i = 0; body_len > 0; i++) {
		size_t len = body_len < RECORD_BODY_MAX ? body_len : RECORD_BODY_MAX;

		r = record_seal(c->worker->aead, &c->tx, RECORD_DATA, chunk->data + total, len);
		if (r < 0)
			return fail(c, r);
		total += (size_t)r;
		body_len -= len;
	}
	if (c->wbuf) /* the rekey record did not fit */
		return fail(c, put_raw(c, chunk->data, total));
	do
		n = send(c->fd, chunk->data, total, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return fail(c, -errno);
	if (n < 0)
		n = 0;
	if ((size_t)n < total) {
		chunk->off = (size_t)n;
		chunk->len = total - (size_t)n;
		c->wbuf = chunk;
		*chunkp = NULL;
		update_poll(c);
	}
	return 0;
}

int carrier_send_bodies(struct carrier *c, struct carrier_body *bodies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = rekey_if_due(c, bodies[i].len);

		if (r == 0)
			r = record_seal(
				c->worker->aead, &c->tx, RECORD_DATA, bodies[i].rec, bodies[i].len);
		if (r > 0)
			r = put_raw(c, bodies[i].rec, (size_t)r);
		if (r < 0)
			return fail(c, r);
		atomic_fetch_add_explicit(
			&c->link->stats.tx_bytes, bodies[i].len, memory_order_relaxed);
	}
	return 0;
}

int carrier_send_fin(struct carrier *c)
{
	c->fin_sent = true;
	return fail(c, put_record(c, RECORD_FIN, NULL, 0));
}

static int put_rst(struct carrier *c)
{
	uint8_t body[RECORD_RST_LEN];
	struct buf_wr wr;

	buf_wr_init(&wr, body, sizeof(body));
	buf_put_u32(&wr, c->stream_no);
	return put_record(c, RECORD_RST, body, sizeof(body));
}

void carrier_send_rst(struct carrier *c)
{
	if (c->dead || c->state != CARRIER_BUSY)
		return;
	c->user = NULL;
	set_state(c, CARRIER_DRAIN);
	c->born_ms = worker_now_ms(c->worker); /* the drain's deadline counts from here */
	fail(c, put_rst(c));
	carrier_resume(c);
}

int carrier_send_want(struct carrier *c, uint16_t tag, uint16_t count)
{
	uint8_t body[RECORD_WANT_LEN];
	struct buf_wr wr;

	buf_wr_init(&wr, body, sizeof(body));
	buf_put_u16(&wr, tag);
	buf_put_u16(&wr, count);
	return fail(c, put_record(c, RECORD_WANT, body, sizeof(body)));
}

int carrier_open(struct carrier *c, const struct record_open_msg *msg, void *user)
{
	uint8_t body[RECORD_OPEN_LEN];

	assert(c->state == CARRIER_IDLE && c->opener);
	set_state(c, CARRIER_BUSY);
	c->stream_no++;
	c->user = user;
	record_put_open(body, msg);
	return fail(c, put_record(c, RECORD_OPEN, body, sizeof(body)));
}

int carrier_answer(struct carrier *c, int err)
{
	uint8_t code = (uint8_t)record_code_of(err);

	if (err)
		set_state(c, CARRIER_IDLE);
	return fail(c, put_record(c, RECORD_OPENED, &code, 1));
}

void carrier_release(struct carrier *c)
{
	set_state(c, CARRIER_IDLE);
	update_poll(c);
}

static void flush(struct carrier *c)
{
	while (c->wbuf) {
		ssize_t n = send(c->fd, c->wbuf->data + c->wbuf->off, c->wbuf->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			lose(c, errno);
			return;
		}
		c->wbuf->off += (size_t)n;
		c->wbuf->len -= (size_t)n;
		if (c->wbuf->len > 0)
			return;
		chunk_put(&c->worker->chunks, c->wbuf);
		c->wbuf = NULL;
	}
	c->worker->events->drained(c);
}

/* ---- input ---- */

static void keyed(struct carrier *c)
{
	struct timespec ts;

	carrier_hello_free(c->hello);
	c->hello = NULL;
	clock_gettime(CLOCK_REALTIME, &ts);
	atomic_store(&c->link->stats.handshake_ms,
		(uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	set_state(c, CARRIER_IDLE);
	c->born_ms = c->tx_rekey_ms = worker_now_ms(c->worker);
	c->worker->events->keyed(c);
}

/* The stream is over on both sides. */
static void drained(struct carrier *c)
{
	set_state(c, CARRIER_IDLE);
	update_poll(c);
	c->worker->events->idle(c);
}

static int handle_rst(struct carrier *c, uint32_t stream_no)
{
	int r;

	/* Late: the peer reset a stream that both sides had finished meanwhile. */
	if (stream_no != c->stream_no || c->state == CARRIER_IDLE)
		return stream_no > c->stream_no ? -EPROTO : 0;
	if (c->state == CARRIER_DRAIN) {
		drained(c);
		return 0;
	}
	c->worker->events->rst(c);
	if (c->dead)
		return 0;
	c->user = NULL; /* the stream is gone, also if the answer fails */
	r = put_rst(c);
	if (r == 0)
		drained(c);
	return r;
}

/* FIN or OPENED for a stream that we reset. The peer goes idle by itself when it has had our FIN
 * and sent its own, or has refused: it takes our RST as late then and will not answer. */
static int handle_in_drain(struct carrier *c, enum record_type type, int err)
{
	if (type == RECORD_FIN ? c->fin_sent : err != 0)
		drained(c);
	return 0;
}

/* One record other than DATA. Returns 0 or a negative errno that ends the carrier. */
static int handle(struct carrier *c, enum record_type type, const uint8_t *body, size_t len)
{
	const struct carrier_events *events = c->worker->events;
	struct record_open_msg msg;
	struct buf_rd rd;
	uint16_t tag;
	int err;

	buf_rd_init(&rd, body, len);
	switch (type) {
	case RECORD_REKEY:
		return 0;
	case RECORD_WANT:
		tag = buf_get_u16(&rd);
		events->want(c, tag, buf_get_u16(&rd));
		return 0;
	case RECORD_RST:
		return handle_rst(c, buf_get_u32(&rd));
	case RECORD_CLOSE:
		if (c->state == CARRIER_IDLE)
			events->closing(c);
		return 0;
	case RECORD_OPEN:
		if (c->state != CARRIER_IDLE || c->opener || record_get_open(body, len, &msg) < 0)
			return -EPROTO;
		set_state(c, CARRIER_BUSY);
		c->stream_no++;
		events->open(c, &msg);
		return 0;
	case RECORD_OPENED:
		if (c->state < CARRIER_BUSY || !c->opener)
			return -EPROTO;
		err = record_errno_of(buf_get_u8(&rd));
		if (c->state == CARRIER_DRAIN)
			return handle_in_drain(c, type, err);
		events->opened(c, err);
		return 0;
	case RECORD_FIN:
		if (c->state == CARRIER_IDLE)
			return -EPROTO;
		if (c->state == CARRIER_DRAIN)
			return handle_in_drain(c, type, 0);
		events->fin(c);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Opens as many DATA records in a row as are whole and hands them over; stops behind the first
 * record of another type, which is handled. Returns 0 when there is no whole record, 1 to go on,
 * or a negative errno. */
static int parse_some(struct carrier *c)
{
	struct carrier_body bodies[CARRIER_BODIES];
	struct chunk *in = c->rbuf;
	enum record_type type = RECORD_DATA;
	uint8_t *body = NULL;
	size_t n = 0, len = 0, bytes = 0;
	int r = 0;

	while (n < CARRIER_BODIES) {
		uint8_t *rec = in->data + in->off;

		r = record_length(rec, in->len);
		if (r <= 0 || (size_t)r > in->len)
			break;
		in->off += (size_t)r;
		in->len -= (size_t)r;
		r = record_open(c->worker->aead, &c->rx, rec, (size_t)r, &type, &body, &len);
		if (r < 0 || type != RECORD_DATA)
			break;
		bodies[n++] = (struct carrier_body){.rec = rec, .len = len};
		bytes += len;
	}
	if (r < 0)
		return r;
	if (c->state == CARRIER_CONFIRM && (n > 0 || body))
		keyed(c);
	if (c->dead)
		return 1;
	if (n > 0 && c->state == CARRIER_BUSY) {
		atomic_fetch_add_explicit(&c->link->stats.rx_bytes, bytes, memory_order_relaxed);
		c->worker->events->data(c, bodies, n);
	} else if (n > 0 && c->state != CARRIER_DRAIN) {
		return -EPROTO;
	}
	if (c->dead)
		return 1;
	if (type != RECORD_DATA) {
		r = handle(c, type, body, len);
		return r < 0 ? r : 1;
	}
	return n > 0;
}

static void parse(struct carrier *c)
{
	int r = 1;

	if (c->parsing)
		return;
	c->parsing = true;
	while (r > 0 && !c->dead && !c->paused && c->rbuf)
		r = parse_some(c);
	c->parsing = false;
	if (c->dead)
		return;
	if (r < 0) {
		if (r == -EPROTO || r == -EBADMSG)
			log_warning("link %s: bad record (%s), carrier closed", c->link->name,
				strerror(-r));
		lose(c, -r);
		return;
	}
	if (c->rbuf && c->rbuf->len == 0) {
		chunk_put(&c->worker->chunks, c->rbuf);
		c->rbuf = NULL;
	}
	update_poll(c);
}

static void read_records(struct carrier *c)
{
	struct chunk *in = c->rbuf;
	ssize_t n;

	if (!in)
		in = c->rbuf = chunk_get(&c->worker->chunks);
	if (!in) {
		lose(c, ENOMEM);
		return;
	}
	if (in->off > 0) {
		memmove(in->data, in->data + in->off, in->len);
		in->off = 0;
	}
	n = recv(c->fd, in->data + in->len, CHUNK_SIZE - in->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		n = 0;
	} else if (n <= 0) {
		lose(c, n < 0 ? errno : 0);
		return;
	}
	in->len += (size_t)n;
	parse(c);
}

void carrier_pause(struct carrier *c)
{
	c->paused = true;
	if (!c->parsing)
		update_poll(c);
}

void carrier_resume(struct carrier *c)
{
	if (!c->paused || c->dead)
		return;
	c->paused = false;
	if (!c->parsing) {
		if (c->rbuf)
			parse(c);
		else
			update_poll(c);
	}
}

/* ---- handshake and life ---- */

static void step_hello(struct carrier *c)
{
	int r = carrier_hello_step(c);

	if (c->dead)
		return;
	if (r < 0) {
		lose(c, -r);
		return;
	}
	if (r == 0) {
		update_poll(c);
		return;
	}
	if (c->state == CARRIER_HELLO_OUT) {
		/* Initiator: the first record confirms our key to the responder. */
		r = carrier_send_want(c, 0, 0);
		if (r < 0)
			lose(c, -r);
		else
			keyed(c);
	} else {
		carrier_hello_free(c->hello);
		c->hello = NULL;
		tune(c->fd, c->link);
		c->state = CARRIER_CONFIRM;
	}
	update_poll(c);
}

static int socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct carrier *c = poll->data;

	if (status < 0) {
		/* libuv says EBADF for every POLLERR; the socket knows better. */
		int err = socket_error(c->fd);

		lose(c, err ? err : ECONNRESET);
		return;
	}
	if (c->state == CARRIER_DIALING) {
		int err = socket_error(c->fd);

		if (err) {
			lose(c, err);
			return;
		}
		c->state = CARRIER_HELLO_OUT;
		step_hello(c);
		return;
	}
	if (c->wbuf && (events & UV_WRITABLE)) {
		flush(c);
		if (c->dead)
			return;
		update_poll(c);
	}
	if (events & UV_READABLE) {
		if (c->state == CARRIER_HELLO_OUT || c->state == CARRIER_HELLO_IN)
			step_hello(c);
		else if (!c->paused)
			read_records(c);
	}
}

int carrier_dial(struct worker *w, struct link *link, const struct endpoint *to,
	enum handshake_role role, uint16_t tag, struct carrier **cp)
{
	struct carrier *c;
	int fd, r = w->netspace->ops->connect(w->netspace, to, &fd);

	if (r < 0)
		return r;
	c = carrier_new(w, fd, link);
	if (!c)
		return -ENOMEM;
	c->initiator = true;
	c->opener = role == HANDSHAKE_FORWARD;
	c->state = CARRIER_DIALING;
	r = carrier_hello_new(c, to, role, tag);
	if (r < 0) {
		carrier_close(c);
		return r;
	}
	update_poll(c);
	*cp = c;
	return 0;
}

int carrier_accept(struct worker *w, int fd, const struct endpoint *peer, struct carrier **cp)
{
	struct carrier *c = carrier_new(w, fd, NULL);
	int r;

	if (!c)
		return -ENOMEM;
	c->state = CARRIER_HELLO_IN;
	r = carrier_hello_new(c, peer, HANDSHAKE_FORWARD, 0);
	if (r < 0) {
		carrier_close(c);
		return r;
	}
	update_poll(c);
	*cp = c;
	return 0;
}

bool carrier_movable(const struct carrier *c)
{
	return c->state == CARRIER_IDLE && !c->wbuf && (!c->rbuf || c->rbuf->len == 0);
}

void carrier_move(struct carrier *c, struct carrier_moved *movedp)
{
	assert(carrier_movable(c));
	*movedp = (struct carrier_moved){
		.fd = c->fd,
		.link = link_ref(c->link),
		.tx = c->tx,
		.rx = c->rx,
		.age_ms = worker_now_ms(c->worker) - c->born_ms,
		.initiator = c->initiator,
		.opener = c->opener,
	};
	detach(c); /* the descriptor stays open */
}

int carrier_adopt(struct worker *w, struct carrier_moved *moved, struct carrier **cp)
{
	struct carrier *c = carrier_new(w, moved->fd, moved->link);
	uint64_t now = worker_now_ms(w);

	if (c) {
		c->tx = moved->tx;
		c->rx = moved->rx;
		c->initiator = moved->initiator;
		c->opener = moved->opener;
		c->born_ms = now > moved->age_ms ? now - moved->age_ms : 0;
		c->tx_rekey_ms = c->born_ms;
		set_state(c, CARRIER_IDLE);
		update_poll(c);
		*cp = c;
	}
	link_unref(moved->link);
	sodium_memzero(moved, sizeof(*moved));
	return c ? 0 : -ENOMEM;
}

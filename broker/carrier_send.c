/* SPDX-License-Identifier: MIT */
/* What a carrier sends: records sealed and written, what the kernel does not take kept in wbuf.
 *
 * Invariant: nothing here reports an event. A failure is remembered and reported in the next turn
 * of the loop, because the caller is in the middle of a stream's work. */
#define LOG_MODULE "carrier"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utlist.h>

#include "buf.h"
#include "carrier_priv.h"
#include "log.h"
#include "worker_priv.h"

void carrier_unhold(struct carrier *c)
{
	if (!c->nheld)
		return;
	c->nheld = 0;
	DL_DELETE2(c->worker->holding, c, hold_prev, hold_next);
}

/* Writes what is held back and then p, len bytes. How much of both the kernel took, or a negative
 * errno. */
static ssize_t transmit(struct carrier *c, const uint8_t *p, size_t len)
{
	struct iovec iov[2] = {{.iov_base = c->held, .iov_len = c->nheld},
		{.iov_base = (void *)(uintptr_t)p, .iov_len = len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do
		n = c->nheld ? sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT)
			     : send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Puts bytes behind what is waiting. */
static int append(struct carrier *c, const uint8_t *p, size_t len)
{
	struct chunk *out = c->wbuf;

	if (out->off + out->len + len > sizeof(out->data)) {
		memmove(out->data, out->data + out->off, out->len);
		out->off = 0;
	}
	if (out->len + len > sizeof(out->data))
		return -ENOBUFS; /* only control records queue up: the peer does not read any */
	memcpy(out->data + out->off + out->len, p, len);
	out->len += len;
	carrier_update_poll(c);
	return 0;
}

/* Sends raw bytes behind what is waiting already. */
static int put_raw(struct carrier *c, const uint8_t *p, size_t len)
{
	size_t held = c->nheld, done;
	ssize_t n;
	int r = 0;

	if (c->error)
		return -c->error;
	c->unsure = true;
	if (c->wbuf)
		return append(c, p, len);
	n = transmit(c, p, len);
	if (n < 0)
		return (int)n;
	carrier_unhold(c);
	done = (size_t)n;
	if (done == held + len)
		return 0;
	c->wbuf = chunk_get(&c->worker->chunks);
	if (!c->wbuf)
		return -ENOMEM;
	if (done < held) {
		r = append(c, c->held + done, held - done);
		done = held;
	}
	return r < 0 ? r : append(c, p + (done - held), len - (done - held));
}

static int seal_and_put(struct carrier *c, enum record_type type, const void *body, size_t len)
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
	r = seal_and_put(c, RECORD_REKEY, NULL, 0);
	if (r == 0)
		r = aead_rekey(c->worker->aead, &c->tx);
	c->tx_bytes = 0;
	c->tx_rekey_ms = now;
	return r;
}

static int put_record(struct carrier *c, enum record_type type, const void *body, size_t len)
{
	int r = rekey_if_due(c, len);

	return r < 0 ? r : seal_and_put(c, type, body, len);
}

static int fail(struct carrier *c, int r)
{
	if (r < 0 && !c->error) {
		log_debug("write to %s failed: %s", c->link ? c->link->name : "?", strerror(-r));
		c->error = (uint8_t)-r;
		carrier_schedule(c);
	}
	return r;
}

bool carrier_blocked(const struct carrier *c)
{
	return c->wbuf != NULL;
}

/* Seals the bodies in the chunk, and a FIN behind them. The size of it all or a negative errno. */
static int seal_chunk(struct carrier *c, struct chunk *chunk, size_t body_len, bool fin)
{
	size_t total = 0;
	int r;

	while (body_len > 0) {
		size_t len = body_len < RECORD_BODY_MAX ? body_len : RECORD_BODY_MAX;

		r = record_seal(c->worker->aead, &c->tx, RECORD_DATA, chunk->data + total, len);
		if (r < 0)
			return r;
		total += (size_t)r;
		body_len -= len;
	}
	if (fin) {
		r = record_seal(c->worker->aead, &c->tx, RECORD_FIN, chunk->data + total, 0);
		if (r < 0)
			return r;
		total += (size_t)r;
		c->fin_sent = true;
	}
	return (int)total;
}

int carrier_send_chunk(struct carrier *c, struct chunk **chunkp, size_t body_len, bool fin)
{
	struct chunk *chunk = *chunkp;
	size_t total, held, done;
	ssize_t n;
	int r;

	assert(!c->wbuf || c->error);
	r = c->error ? -c->error : rekey_if_due(c, body_len);
	if (r < 0)
		return fail(c, r);
	c->unsure = true;
	atomic_fetch_add_explicit(&c->link->stats.tx_bytes, body_len, memory_order_relaxed);
	r = seal_chunk(c, chunk, body_len, fin);
	if (r < 0)
		return fail(c, r);
	total = (size_t)r;
	if (c->wbuf) /* the rekey record did not fit */
		return fail(c, put_raw(c, chunk->data, total));
	held = c->nheld;
	n = transmit(c, chunk->data, total);
	if (n < 0)
		return fail(c, (int)n);
	carrier_unhold(c);
	done = (size_t)n;
	if (done == held + total)
		return 0;
	if (done < held) {
		/* The chunk's slack has room. */
		memmove(chunk->data + (held - done), chunk->data, total);
		memcpy(chunk->data, c->held + done, held - done);
		total += held - done;
		done = held;
	}
	chunk->off = done - held;
	chunk->len = total - chunk->off;
	c->wbuf = chunk;
	*chunkp = NULL;
	carrier_update_poll(c);
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

int carrier_send_fin(struct carrier *c, bool last)
{
	int r;

	c->fin_sent = true;
	if (!last || !c->opener || c->wbuf || c->error || c->nheld)
		return fail(c, put_record(c, RECORD_FIN, NULL, 0));
	r = rekey_if_due(c, 0);
	if (r < 0)
		return fail(c, r);
	if (c->wbuf) /* the rekey record did not fit */
		return fail(c, seal_and_put(c, RECORD_FIN, NULL, 0));
	r = record_seal(c->worker->aead, &c->tx, RECORD_FIN, c->held, 0);
	if (r < 0)
		return fail(c, r);
	c->nheld = (uint8_t)r;
	c->held_ms = worker_now_ms(c->worker);
	DL_APPEND2(c->worker->holding, c, hold_prev, hold_next);
	return 0;
}

void carrier_run_held(struct worker *w)
{
	struct carrier *c;

	while ((c = w->holding) && worker_now_ms(w) - c->held_ms >= CARRIER_HOLD_MS) {
		int r = put_raw(c, NULL, 0);

		carrier_unhold(c); /* also after a failure */
		fail(c, r);
	}
}

void carrier_last_words(struct carrier *c)
{
	if (c->nheld && !c->error)
		(void)transmit(c, NULL, 0);
}

int carrier_put_rst(struct carrier *c)
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
	carrier_set_state(c, CARRIER_DRAIN);
	c->born_ms = worker_now_ms(c->worker); /* the drain's deadline counts from here */
	fail(c, carrier_put_rst(c));
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
	carrier_set_state(c, CARRIER_BUSY);
	c->stream_no++;
	c->user = user;
	record_put_open(body, msg);
	return fail(c, put_record(c, RECORD_OPEN, body, sizeof(body)));
}

int carrier_answer(struct carrier *c, int err)
{
	uint8_t code = (uint8_t)record_code_of(err);

	if (err)
		carrier_set_state(c, CARRIER_IDLE);
	return fail(c, put_record(c, RECORD_OPENED, &code, 1));
}

void carrier_release(struct carrier *c)
{
	carrier_set_state(c, CARRIER_IDLE);
	carrier_update_poll(c);
}

void carrier_flush(struct carrier *c)
{
	while (c->wbuf && !c->error) {
		ssize_t n = send(c->fd, c->wbuf->data + c->wbuf->off, c->wbuf->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			carrier_lose(c, errno);
			return;
		}
		c->wbuf->off += (size_t)n;
		c->wbuf->len -= (size_t)n;
		if (c->wbuf->len > 0)
			return;
		chunk_put(&c->worker->chunks, c->wbuf);
		c->wbuf = NULL;
	}
	if (!c->error)
		c->worker->events->drained(c);
}

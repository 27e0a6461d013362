/* SPDX-License-Identifier: MIT */
/* What a carrier receives: records opened in place and handed over, the state machine of streams.
 *
 * Invariant: carrier_parse() is entered from the loop only (readable, or carrier_schedule()), never
 * from inside another carrier's or application's event; so no event is nested in another one. */
#define LOG_MODULE "carrier"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "buf.h"
#include "carrier_hello.h"
#include "carrier_priv.h"
#include "log.h"
#include "worker_priv.h"

void carrier_keyed(struct carrier *c)
{
	struct timespec ts;

	carrier_hello_free(c->hello);
	c->hello = NULL;
	clock_gettime(CLOCK_REALTIME, &ts);
	atomic_store(&c->link->stats.handshake_ms,
		(uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	carrier_set_state(c, CARRIER_IDLE);
	c->born_ms = worker_now_ms(c->worker);
	c->worker->events->keyed(c);
}

/* The stream is over on both sides. */
static void drained(struct carrier *c)
{
	carrier_set_state(c, CARRIER_IDLE);
	carrier_update_poll(c);
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
	r = carrier_put_rst(c);
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
		carrier_set_state(c, CARRIER_BUSY);
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
		carrier_keyed(c);
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

void carrier_parse(struct carrier *c)
{
	int r = 1;

	if (c->parsing || c->dead)
		return;
	c->parsing = true;
	while (r > 0 && !c->dead && !c->error && !c->paused && c->rbuf)
		r = parse_some(c);
	c->parsing = false;
	if (c->dead)
		return;
	if (r < 0) {
		if (r == -EPROTO || r == -EBADMSG)
			log_warning("link %s: bad record (%s), carrier closed", c->link->name,
				strerror(-r));
		carrier_lose(c, -r);
		return;
	}
	if (c->rbuf && c->rbuf->len == 0) {
		chunk_put(&c->worker->chunks, c->rbuf);
		c->rbuf = NULL;
	}
	carrier_update_poll(c);
}

void carrier_read(struct carrier *c)
{
	struct chunk *in = c->rbuf;
	ssize_t n;

	if (!in)
		in = c->rbuf = chunk_get(&c->worker->chunks);
	if (!in) {
		carrier_lose(c, ENOMEM);
		return;
	}
	if (in->off > 0) {
		memmove(in->data, in->data + in->off, in->len);
		in->off = 0;
	}
	if (in->len == CHUNK_SIZE) { /* whole records: their turn comes first */
		carrier_parse(c);
		return;
	}
	n = recv(c->fd, in->data + in->len, CHUNK_SIZE - in->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		n = 0;
	} else if (n <= 0) {
		carrier_lose(c, n < 0 ? errno : 0);
		return;
	}
	in->len += (size_t)n;
	carrier_parse(c);
}

void carrier_pause(struct carrier *c)
{
	c->paused = true;
	if (!c->parsing)
		carrier_update_poll(c);
}

void carrier_resume(struct carrier *c)
{
	if (!c->paused || c->dead)
		return;
	c->paused = false;
	if (c->parsing)
		return;
	if (c->rbuf)
		carrier_schedule(c);
	carrier_update_poll(c);
}

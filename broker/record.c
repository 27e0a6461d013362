/* SPDX-License-Identifier: MIT */
/* Sealing and opening of records, and the bodies of the messages that have a fixed form.
 *
 * Model: the counter of the key is the sequence number and is not sent: TCP keeps the order, so a
 * record that was reordered, repeated, dropped or changed does not authenticate, and the carrier
 * is dead. The length is the associated data, so a changed length does not authenticate either.
 *
 * Invariants: the type and the size of a body are looked at only after the tag was verified; one
 * table says what size each type may have, for the sender and for the receiver alike. */
#include "record.h"

#include <errno.h>
#include <netinet/in.h>

#include "buf.h"

enum { LENGTH = 2, TYPE = 1, LENGTH_MIN = TYPE + AEAD_TAG };

const struct record_limits record_limits_default = {
	.rekey_bytes = 64ULL << 30,
	.rekey_ms = 120 * 1000,
};

/* What a body may measure, in bytes. DATA without bytes would mean nothing. */
static const struct {
	uint16_t min, max;
} sizes[RECORD_TYPES] = {
	[RECORD_DATA] = {1, RECORD_BODY_MAX},
	[RECORD_OPEN] = {RECORD_OPEN_LEN, RECORD_OPEN_LEN},
	[RECORD_OPENED] = {RECORD_OPENED_LEN, RECORD_OPENED_LEN},
	[RECORD_RST] = {RECORD_RST_LEN, RECORD_RST_LEN},
	[RECORD_WANT] = {RECORD_WANT_LEN, RECORD_WANT_LEN},
};

static bool fits(unsigned type, size_t len)
{
	return type < RECORD_TYPES && len >= sizes[type].min && len <= sizes[type].max;
}

int record_seal(
	struct aead *aead, struct aead_key *tx, enum record_type type, uint8_t *buf, size_t len)
{
	struct buf_wr wr;
	int r;

	if (!fits(type, len))
		return -EINVAL;
	buf_wr_init(&wr, buf, RECORD_HEAD);
	buf_put_u16(&wr, (uint16_t)(LENGTH_MIN + len));
	buf_put_u8(&wr, (uint8_t)type);
	r = aead_seal(aead, tx, buf, LENGTH, buf + LENGTH, TYPE + len);
	return r < 0 ? r : (int)(RECORD_OVERHEAD + len);
}

int record_length(const uint8_t *p, size_t avail)
{
	struct buf_rd rd;
	unsigned len;

	if (avail < LENGTH)
		return 0;
	buf_rd_init(&rd, p, LENGTH);
	len = buf_get_u16(&rd);
	return len < LENGTH_MIN ? -EPROTO : (int)(LENGTH + len);
}

int record_open(struct aead *aead, struct aead_key *rx, uint8_t *rec, size_t len,
	enum record_type *typep, uint8_t **bodyp, size_t *body_lenp)
{
	size_t body_len;
	int r;

	if (len < RECORD_OVERHEAD || record_length(rec, len) != (int)len)
		return -EBADMSG;
	r = aead_open(aead, rx, rec, LENGTH, rec + LENGTH, len - LENGTH);
	if (r < 0)
		return r;
	body_len = (size_t)r - TYPE;
	if (!fits(rec[LENGTH], body_len))
		return -EPROTO;
	if (rec[LENGTH] == RECORD_REKEY) {
		r = aead_rekey(aead, rx);
		if (r < 0)
			return r;
	}
	*typep = (enum record_type)rec[LENGTH];
	*bodyp = rec + RECORD_HEAD;
	*body_lenp = body_len;
	return 0;
}

enum record_code record_code_of(int err)
{
	switch (err) {
	case 0:
		return RECORD_OK;
	case ECONNREFUSED:
		return RECORD_REFUSED;
	case ENETUNREACH:
		return RECORD_UNREACHABLE_NET;
	case ETIMEDOUT:
		return RECORD_TIMEDOUT;
	case EACCES:
		return RECORD_PROHIBITED;
	case EAGAIN:
		return RECORD_BUSY;
	case ELOOP:
		return RECORD_HOPS;
	default:
		return RECORD_UNREACHABLE_HOST;
	}
}

int record_errno_of(unsigned code)
{
	switch (code) {
	case RECORD_OK:
		return 0;
	case RECORD_REFUSED:
		return ECONNREFUSED;
	case RECORD_UNREACHABLE_NET:
		return ENETUNREACH;
	case RECORD_TIMEDOUT:
		return ETIMEDOUT;
	case RECORD_PROHIBITED:
		return EACCES;
	case RECORD_BUSY:
		return EAGAIN;
	default: /* also codes of a later version */
		return EHOSTUNREACH;
	}
}

void record_put_open(uint8_t body[RECORD_OPEN_LEN], const struct record_open_msg *msg)
{
	struct buf_wr wr;

	buf_wr_init(&wr, body, RECORD_OPEN_LEN);
	buf_put_u8(&wr, msg->proto);
	buf_put_u8(&wr, msg->hops);
	buf_put_endpoint(&wr, &msg->src);
	buf_put_endpoint(&wr, &msg->dst);
}

int record_get_open(const uint8_t *body, size_t len, struct record_open_msg *msgp)
{
	struct record_open_msg msg;
	struct buf_rd rd;

	buf_rd_init(&rd, body, len);
	msg.proto = buf_get_u8(&rd);
	msg.hops = buf_get_u8(&rd);
	buf_get_endpoint(&rd, &msg.src);
	buf_get_endpoint(&rd, &msg.dst);
	if (!buf_rd_done(&rd) || msg.proto != IPPROTO_TCP)
		return -EPROTO;
	*msgp = msg;
	return 0;
}

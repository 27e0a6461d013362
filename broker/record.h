/* SPDX-License-Identifier: MIT */
/* Records on a carrier, and the messages inside them. Bytes in, bytes out.
 *
 * Record: u16 length of what follows (big-endian, also the associated data), then the sealed
 * plaintext: type (u8), body, tag (16). A length under 17 is malformed.
 *
 * Types: DATA body; OPEN and OPENED (below); FIN: the sender will send no more; RST: the stream
 * of the given number is dead; REKEY: the sender's next record is under REKEY(k);
 * WANT: the sender, who cannot dial, would like to have `count` reverse carriers; CLOSE: the sender
 * will close this idle carrier, do not open on it.
 *
 * A carrier is idle when no stream is open on it: at first, after an OPENED with an error, after
 * FIN was sent and received, after RST was sent and received. Streams on a carrier are numbered
 * from 1 by their OPENs, so that a RST that was late does not hit the next one. Only one side may
 * OPEN (see enum handshake_role), so opens never cross. */
#ifndef PERSONA_BROKER_RECORD_H
#define PERSONA_BROKER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "aead.h"

enum record_type {
	RECORD_DATA = 0,
	RECORD_OPEN,
	RECORD_OPENED,
	RECORD_FIN,
	RECORD_RST,
	RECORD_REKEY,
	RECORD_WANT,
	RECORD_CLOSE,
	RECORD_TYPES
};

enum {
	RECORD_HEAD = 2 + 1, /* length and type: the body starts here */
	RECORD_OVERHEAD = RECORD_HEAD + AEAD_TAG,
	RECORD_BODY_MAX = 65535 - 1 - AEAD_TAG,
	RECORD_MAX = 65535 + 2
};

/* Seals one record in place. buf holds RECORD_HEAD free bytes, then len bytes of body, then room
 * for the tag. Returns the record's total length, or negative errno as aead_seal. */
int record_seal(
	struct aead *aead, struct aead_key *tx, enum record_type type, uint8_t *buf, size_t len);
/* Total length of the record that starts at p, 0 when fewer than two bytes are there, -EPROTO. */
int record_length(const uint8_t *p, size_t avail);
/* Opens one whole record in place. *bodyp points into it. 0; -EBADMSG (forged or out of order);
 * -EPROTO (unknown type, body not of the type's size). Handles REKEY itself: the receive key is
 * advanced and *typep is RECORD_REKEY. */
int record_open(struct aead *aead, struct aead_key *rx, uint8_t *rec, size_t len,
	enum record_type *typep, uint8_t **bodyp, size_t *body_lenp);

/* Is it time for the sender to rekey? By volume (records and bytes) and age. */
struct record_limits {
	uint64_t rekey_bytes;
	uint64_t rekey_ms;
};
extern const struct record_limits record_limits_default; /* 64 GiB, 120 s */

/* Outcome of an OPEN on the wire: own codes, so that errno numbers of one system do not leak into
 * the protocol. Unknown errno values become RECORD_UNREACHABLE_HOST. */
enum record_code {
	RECORD_OK = 0,
	RECORD_REFUSED,		 /* ECONNREFUSED */
	RECORD_UNREACHABLE_HOST, /* EHOSTUNREACH */
	RECORD_UNREACHABLE_NET,	 /* ENETUNREACH */
	RECORD_TIMEDOUT,	 /* ETIMEDOUT */
	RECORD_PROHIBITED,	 /* EACCES */
	RECORD_BUSY,		 /* EAGAIN: a quota is used up there */
	RECORD_HOPS		 /* ELOOP: the hop limit ran out */
};
enum record_code record_code_of(int err); /* positive errno */
int record_errno_of(unsigned code); /* positive errno, 0 for OK; ELOOP comes as EHOSTUNREACH */

struct record_open_msg {
	uint8_t proto; /* IPPROTO_TCP */
	uint8_t hops;  /* relays left; 0: deliver here or refuse */
	struct endpoint src;
	struct endpoint dst;
};
enum {
	RECORD_OPEN_LEN = 2 + 2 * ENDPOINT_WIRELEN,
	RECORD_OPENED_LEN = 1,
	RECORD_WANT_LEN = 4,
	RECORD_RST_LEN = 4
};

void record_put_open(uint8_t body[RECORD_OPEN_LEN], const struct record_open_msg *msg);
int record_get_open(const uint8_t *body, size_t len, struct record_open_msg *msgp); /* -EPROTO */

#endif

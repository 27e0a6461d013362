/* SPDX-License-Identifier: MIT */
/* A carrier: one TCP connection between two brokers, keyed by the handshake, that carries one
 * stream after another in sealed records.
 *
 * Model. A carrier belongs to one worker and is only touched by its thread. Life:
 *   initiator: DIALING -> HELLO_OUT -> IDLE        responder: HELLO_IN -> CONFIRM -> IDLE
 *   then IDLE <-> BUSY (a stream is open or opening), BUSY -> DRAIN -> IDLE after a reset.
 * The responder believes the initiator only when the first record opened (CONFIRM): the initiator
 * sends WANT with count 0 or more right behind the handshake. Only one side may OPEN, see
 * handshake.h. The user (pool and stream) hears of everything through carrier_events; the carrier
 * knows neither of them.
 *
 * The last FIN of a stream is held back by the side that opens: mostly the next OPEN follows at
 * once, and both go in one segment.
 *
 * Memory: an idle carrier owns this struct and nothing else. A chunk is attached while a record is
 * half received, or while output is waiting for the kernel.
 *
 * Reentrancy: any event may call any carrier function, carrier_close() too; the struct stays valid
 * until the event returns. No function but carrier_check() causes an event before it returns: what
 * was received meanwhile, and a failed write, come up in the next turn of the loop. */
#ifndef PERSONA_BROKER_CARRIER_H
#define PERSONA_BROKER_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "chunk.h"
#include "core.h"
#include "handshake.h"
#include "poller.h"
#include "record.h"

struct worker;
struct carrier;

enum carrier_state {
	CARRIER_DIALING,
	CARRIER_HELLO_OUT,
	CARRIER_HELLO_IN,
	CARRIER_CONFIRM,
	CARRIER_IDLE,
	CARRIER_BUSY,
	CARRIER_DRAIN
};

/* One opened DATA record: `rec` is the record's start inside the receive chunk, its body begins
 * RECORD_HEAD bytes later, and the bytes around may be overwritten (a relay seals in place). */
struct carrier_body {
	uint8_t *rec;
	size_t len;
};

enum {
	CARRIER_BODIES = 16,		/* bodies handed over at once */
	CARRIER_HELD = RECORD_OVERHEAD, /* a record without a body */
	CARRIER_HOLD_MS = 2		/* how long it is held back at most */
};

struct carrier_events {
	/* Keyed and idle; c->link is set. */
	void (*keyed)(struct carrier *c);
	/* Idle again after a stream or a drain. */
	void (*idle)(struct carrier *c);
	/* The peer opens a stream; the carrier is BUSY. */
	void (*open)(struct carrier *c, const struct record_open_msg *msg);
	/* Answer to our OPEN: err is 0 or a positive errno; with an error the carrier goes idle. */
	void (*opened)(struct carrier *c, int err);
	void (*data)(struct carrier *c, struct carrier_body *bodies, size_t n);
	void (*fin)(struct carrier *c);
	void (*rst)(struct carrier *c);
	/* The peer asks for reverse carriers, or takes this idle one out of service. */
	void (*want)(struct carrier *c, uint16_t tag, uint16_t count);
	void (*closing)(struct carrier *c);
	/* Waiting output is gone. */
	void (*drained)(struct carrier *c);
	/* The connection is over; err is a positive errno, 0 for an orderly end. Freed afterwards.
	 */
	void (*lost)(struct carrier *c, int err);
};

struct carrier {
	struct watch watch; /* first: the struct is found by it */
	struct worker *worker;
	struct link *link;	     /* reference; NULL while a responder does not know the peer */
	void *user;		     /* the stream's, while BUSY */
	struct carrier *prev, *next; /* for the list its owner keeps it in */
	struct carrier *sched_prev, *sched_next; /* worker's list of scheduled ones */
	struct carrier_hello *hello;		 /* during the handshake */
	struct chunk *rbuf;			 /* unparsed input */
	struct chunk *wbuf;			 /* waiting output */
	struct carrier *hold_prev, *hold_next;	 /* worker's list of those that hold back a FIN */
	uint64_t held_ms;			 /* loop time since when */
	struct aead_key tx, rx;
	uint64_t born_ms;     /* loop time of the end of the handshake, before it of the start */
	uint64_t tx_bytes;    /* since the last rekey */
	uint64_t tx_rekey_ms; /* loop time of the last rekey */
	int fd;
	uint8_t state; /* enum carrier_state */
	bool initiator : 1;
	bool opener : 1; /* this side may OPEN */
	bool paused : 1; /* do not read */
	bool parsing : 1;
	bool dead : 1;	   /* carrier_close() was called */
	bool listed : 1;   /* in one of the pool's lists */
	bool taken : 1;	   /* counted as handed out by its pool */
	bool fin_sent : 1; /* on the stream that is open */
	bool scheduled : 1;
	bool unsure : 1;  /* something was sent that may not be acknowledged yet */
	bool patient : 1; /* the kernel does not limit how long the peer's window stays closed */
	uint8_t error;	  /* positive errno of a failed write, to be reported */
	uint8_t stuck;	  /* ticks without acknowledgment */
	uint8_t nheld;	  /* bytes in held; only while there is no wbuf */
	uint8_t held[CARRIER_HELD]; /* a FIN, sealed, that goes with the next record */
	uint16_t reverse_tag;
	uint32_t stream_no; /* of the stream that is open, or was last; counts OPENs */
};

/* Starts a connection to the link's peer. Reports through keyed or lost. 0 or negative errno. */
int carrier_dial(struct worker *w, struct link *link, const struct endpoint *to,
	enum handshake_role role, uint16_t tag, struct carrier **cp);
/* Takes over an accepted connection (also on failure: it is closed then). `via` is the portspace in
 * whose network it was accepted, NULL for the base network: only links below it are served. */
int carrier_accept(struct worker *w, int fd, const struct endpoint *peer, struct portspace *via,
	struct carrier **cp);

/* Takes a keyed idle carrier (carrier_movable()) out of its worker: fills *moved (fd, keys, link
 * reference) and frees the carrier. carrier_adopt() makes it live in another worker. */
struct carrier_moved {
	int fd;
	struct link *link;
	struct aead_key tx, rx;
	uint64_t age_ms;
	bool initiator, opener;
};
bool carrier_movable(const struct carrier *c);
void carrier_move(struct carrier *c, struct carrier_moved *movedp);
int carrier_adopt(struct worker *w, struct carrier_moved *moved, struct carrier **cp);

/* Opens a stream on an idle carrier of which we are the opener; it becomes BUSY. */
int carrier_open(struct carrier *c, const struct record_open_msg *msg, void *user);
/* Answers an open event; with an error the carrier goes idle (without an idle event). */
int carrier_answer(struct carrier *c, int err);
/* Seals the chunk's body bytes, laid out as records with carrier_layout(), and sends them, with
 * `fin` and a FIN behind. What the kernel does not take stays with the carrier: it takes *chunkp
 * and sets it to NULL. Only when !carrier_blocked(). */
int carrier_send_chunk(struct carrier *c, struct chunk **chunkp, size_t body_len, bool fin);
/* Seals the bodies where they are (another carrier's receive chunk) and sends them. */
int carrier_send_bodies(struct carrier *c, struct carrier_body *bodies, size_t n);
/* `last`: the other direction has ended before. The FIN may wait then, up to CARRIER_HOLD_MS, to go
 * out together with the OPEN that probably follows. */
int carrier_send_fin(struct carrier *c, bool last);
/* Resets the stream; the carrier drains by itself and reports idle later. */
void carrier_send_rst(struct carrier *c);
int carrier_send_want(struct carrier *c, uint16_t tag, uint16_t count);
/* The stream on it is over cleanly (FIN sent and received): idle again, no event. */
void carrier_release(struct carrier *c);
bool carrier_blocked(const struct carrier *c); /* output is waiting */
void carrier_pause(struct carrier *c);	       /* stop reading and delivering */
void carrier_resume(struct carrier *c);
/* Once a second while a stream is open: is the path alive? False: it was lost, and reported. */
bool carrier_check(struct carrier *c);
/* Those that something was left to do for; from the loop. */
void carrier_run_scheduled(struct worker *w);
/* Those that held back a FIN for long enough; from the loop. */
void carrier_run_held(struct worker *w);
/* Ends it without an event. */
void carrier_close(struct carrier *c);

/* Where the i-th body starts in a chunk that carrier_send_chunk() will seal: every body but the
 * last has RECORD_BODY_MAX bytes. */
static inline uint8_t *carrier_layout(struct chunk *chunk, size_t i)
{
	return chunk->data + i * RECORD_MAX + RECORD_HEAD;
}

#endif

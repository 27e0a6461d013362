/* SPDX-License-Identifier: MIT */
/* Streams: what joins two ends, each an application's socket or a carrier.
 *
 * Model. Side 0 is where the stream was opened (a client of this host, or a carrier on which the
 * peer sent OPEN), side 1 is towards the destination (a server of this host, or a carrier of the
 * next link). While it opens, a stream has a struct opening; established, only what is below: an
 * idle stream costs its two ends and this.
 *
 * Flow: what one end delivers is written to the other at once; if that one cannot take all, the
 * rest stays there and the first is not read until it has drained. So each direction holds at most
 * one chunk, and backpressure reaches the sender through the kernel's own buffers.
 *
 * End: a FIN is passed on and the stream lives until both directions have ended; then carriers
 * return to their pools. Anything else is a reset of both sides. */
#ifndef PERSONA_BROKER_STREAM_H
#define PERSONA_BROKER_STREAM_H

#include <sys/types.h>

#include "app.h"
#include "carrier.h"

enum {
	STREAM_HOPS = 16,	    /* relays that a stream may pass */
	STREAM_CONNECT_MS = 127000, /* a connect ends with ETIMEDOUT: as Linux, six SYN retries */
	STREAM_REQUEST_MS = 5000,   /* a client must send its request within */
	STREAM_RETRY_MS = 5,	    /* first pause when a server's backlog is full */
	STREAM_WAITING_MAX = 4096   /* clients without a request, for each worker */
};

/* The events that a worker's carriers and clients report to. */
extern const struct carrier_events stream_carrier_events;
extern const struct app_events stream_app_events;

/* A client was accepted on stream.N (takes over fd). */
void stream_accept(struct worker *w, int fd);
/* Cancels the opening streams of a process that ended. */
void stream_process_gone(struct worker *w, pid_t pid);
/* Resets all streams over this link. */
void stream_link_removed(struct worker *w, const struct link *link);
void stream_tick(struct worker *w);  /* once a second: deadlines */
void stream_retry(struct worker *w); /* streams that wait for a busy server */
void stream_close_all(struct worker *w);

#endif

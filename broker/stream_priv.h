/* SPDX-License-Identifier: MIT */
/* What stream.c (established streams) and opening.c (those that are being opened) share. */
#ifndef PERSONA_BROKER_STREAM_PRIV_H
#define PERSONA_BROKER_STREAM_PRIV_H

#include "pool.h"
#include "stream.h"

enum {
	STREAM_HALF_CHECK_MS = 30000, /* how often a half-closed stream is looked at */
	STREAM_REROUTES = 64	      /* servers of a port that may be gone */
};

struct end {
	struct app *app; /* one of the two, or none while opening */
	struct carrier *carrier;
	bool in_done; /* it will deliver no more */
};

/* Only while the stream is being opened. */
struct opening {
	struct pool_wait wait; /* for a carrier of `via` */
	struct stream *stream;
	struct stream *prev, *next; /* in the worker's list of retrying streams */
	struct endpoint src, dst;
	struct portspace *at; /* reference: whose table routes it; the stream's, or one above it */
	struct core_hop hop;  /* the decision */
	uint64_t deadline_ms;
	uint64_t retry_ms; /* loop time of the next try */
	uint32_t pause_ms; /* between tries */
	uint32_t sndbuf;   /* the client's wish */
	pid_t pid;	   /* the client's */
	uint8_t hops;
	uint8_t reroutes; /* servers that turned out to be gone */
	uint8_t tries;	  /* of the host's addresses */
	bool retried;	  /* a lost carrier was replaced once */
	bool listed;	  /* in the list of retrying streams */
};

struct stream {
	struct stream *prev, *next; /* in the worker's list */
	struct worker *worker;
	struct portspace *ps; /* reference, counted in ps->streams */
	struct end end[2];
	struct opening *opening; /* NULL once established */
	struct link *counted[2]; /* references; whose `streams` counter includes us */
	uint64_t half_ms;	 /* loop time since when only one direction is open */
	int name_fd; /* holds our name in a super-portspace's network, or -1 (opening_base.c) */
};

struct stream *stream_new(struct worker *w);
void stream_free(struct stream *s); /* the ends must be gone */
void stream_reset(struct stream *s);
void stream_drop_end(struct stream *s, int side, bool tell);
void stream_count(struct stream *s, int side, struct link *link);

#endif

/* SPDX-License-Identifier: MIT */
/* How a stream comes to be: from a client's request or a peer's OPEN, along the route, to a server
 * of this host or a carrier of the next link. */
#ifndef PERSONA_BROKER_OPENING_H
#define PERSONA_BROKER_OPENING_H

#include "app.h"
#include "carrier.h"

struct stream;

void opening_from_client(struct app *app, const struct connreq *req);
/* A client of the portspace that the broker itself made, at the gate (netspace_ps.c). */
void opening_from_inside(struct app *app, struct portspace *ps, const struct endpoint *src,
	const struct endpoint *dst);
void opening_from_carrier(struct carrier *c, const struct record_open_msg *msg);
void opening_answered(struct carrier *c, int err); /* answer to our OPEN */
void opening_carrier_lost(
	struct stream *s); /* the carrier we opened on, or the opener's, is gone */
/* Decides where the stream goes next, and goes there. */
void opening_route(struct stream *s);
/* Both ends are there: lets data flow. */
void opening_done(struct stream *s);
/* The decision was CORE_HOP_BASE (opening_base.c), and what became of the connect. */
void opening_to_base(struct stream *s);
void opening_connected(struct app *app, int err);
/* Tells the opener (positive errno) and frees the stream. */
void opening_failed(struct stream *s, int err);
void opening_client_lost(struct app *app, int err); /* before its request was read */
void opening_free(struct stream *s);
void opening_tick(struct worker *w);
void opening_close_waiting(struct worker *w);

#endif

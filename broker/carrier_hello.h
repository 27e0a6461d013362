/* SPDX-License-Identifier: MIT */
/* The handshake of one carrier on its socket: framing and order of steps. The protocol itself is
 * handshake.h. A responder reads one whole message before anything costs more than a hash: MAC1
 * first, then the source's token bucket, only then Diffie-Hellman. */
#ifndef PERSONA_BROKER_CARRIER_HELLO_H
#define PERSONA_BROKER_CARRIER_HELLO_H

#include "carrier.h"

/* Attaches c->hello. For an initiator (c->initiator) c->link is set. 0 or negative errno. */
int carrier_hello_new(
	struct carrier *c, const struct endpoint *peer, enum handshake_role role, uint16_t tag);
/* The portspace in whose network a responder's connection came, or NULL. Takes a reference. */
void carrier_hello_via(struct carrier *c, struct portspace *via);
void carrier_hello_free(struct carrier_hello *hello); /* wipes; NULL is allowed */
/* Goes as far as the socket allows. 1: done, keys, link and role are in the carrier; 0: waits for
 * more; negative errno: over. */
int carrier_hello_step(struct carrier *c);

#endif

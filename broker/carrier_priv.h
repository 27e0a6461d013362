/* SPDX-License-Identifier: MIT */
/* What the parts of the carrier share: carrier.c (life, poll handle), carrier_send.c (records out),
 * carrier_recv.c (records in), carrier_alive.c (is the path still there). */
#ifndef PERSONA_BROKER_CARRIER_PRIV_H
#define PERSONA_BROKER_CARRIER_PRIV_H

#include "carrier.h"

enum {
	CARRIER_USER_TIMEOUT_MS = 20000, /* sent and unacknowledged for so long: the path is dead */
	CARRIER_PROBES = 6		 /* unanswered probes of a closed window: the same */
};

void carrier_update_poll(struct carrier *c);
void carrier_set_state(struct carrier *c, enum carrier_state state);
/* Reports the loss and closes. */
void carrier_lose(struct carrier *c, int err);
/* Looks at it again in the next turn of the loop: what it has received is parsed, a failure
 * reported. Anything may be on the stack. */
void carrier_schedule(struct carrier *c);

int carrier_put_rst(struct carrier *c);
void carrier_flush(struct carrier *c);
/* Sends what is held back, as much as the kernel takes, before the descriptor is closed. */
void carrier_last_words(struct carrier *c);
/* Nothing is held back any more. */
void carrier_unhold(struct carrier *c);

void carrier_keyed(struct carrier *c);
void carrier_parse(struct carrier *c);
void carrier_read(struct carrier *c);

/* Is the carrier's stream one that may have to wait for a slow reader? */
void carrier_be_patient(struct carrier *c, bool patient);

#endif

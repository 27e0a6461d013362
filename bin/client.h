/* SPDX-License-Identifier: MIT */
/* A connection to the broker's control socket (docs/PROTOCOL.md, section 2).
 *
 * Model: one request, one reply, in order, blocking, one thread. A reply is believed only as far
 * as it is checked here: one line of at most CLIENT_REPLY_MAX bytes, a JSON object, version 1, `ok`
 * a boolean. Keys pass through requests, so client_init() makes jansson wipe every block it frees.
 *
 * Programs that stay (persona-run's init) use the descriptor in their own poll loop: after the last
 * reply nothing more comes but the end of the connection. */
#ifndef PERSONA_BIN_CLIENT_H
#define PERSONA_BIN_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "fail.h"

enum { CLIENT_LINE_MAX = 1 << 20, CLIENT_REPLY_MAX = 16 << 20, CLIENT_TIMEOUT_S = 30 };

struct client {
	int fd;
};

/* Once, before any other use of jansson. */
void client_init(void);

/* Connects; with `start`, starts the broker when none runs. 0 or a negative errno (-ENOENT: no
 * broker and not asked to start one) with *failp filled. Free with client_close(). */
int client_open(bool start, struct client *cp, struct fail *failp);
/* Takes over a connected descriptor. */
void client_adopt(int fd, struct client *cp);
void client_close(struct client *c); /* twice is allowed */

/* Sends `request` (its reference is taken, also on failure; NULL means out of memory; `version` is
 * added) and waits for the reply. 0: *replyp is the caller's, an object whose `ok` is true and
 * which no longer has `ok`. -EREMOTEIO: the broker refused, *failp has its code, message and hint.
 * Other negative errno: the connection is of no more use. */
int client_call(struct client *c, json_t *request, json_t **replyp, struct fail *failp);

/* The member `key` of an object as a string; "" when absent or of another type. */
const char *client_str(const json_t *object, const char *key);

#endif

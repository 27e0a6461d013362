/* SPDX-License-Identifier: MIT */
/* Names of links' endpoints: the base network's name service, asked in libuv's thread pool.
 *
 * Model: an endpoint given as a number is known when the link is made. A name is asked for when the
 * link appears, and again, ever more rarely, while it is not known or dialing it fails; of several
 * addresses each attempt takes the next one. Two questions run at a time, so that a dead name
 * server does not take the threads that store configurations. Control loop only. */
#ifndef PERSONA_BROKER_RESOLVE_H
#define PERSONA_BROKER_RESOLVE_H

#include <uv.h>

#include "core_priv.h"

struct resolve;

enum {
	RESOLVE_RUNNING_MAX = 2,
	RESOLVE_TICK_MS = 2000,
	RESOLVE_RETRY_MS = 5000, /* doubled with each attempt */
	RESOLVE_RETRY_MAX_MS = 300000
};

int resolve_new(uv_loop_t *loop, struct core *core, struct resolve **resolvep);
/* Looks for links that want an address now. */
void resolve_run(struct resolve *resolve);
/* Freed when the loop has run. NULL is allowed. */
void resolve_close(struct resolve *resolve);

#endif

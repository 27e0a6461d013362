/* SPDX-License-Identifier: MIT */
/* Starts the broker when none runs.
 *
 * Two starters at once: RUNTIME/start.lock (flock) lets one of them start it, the other finds it
 * running. The broker becomes a daemon: own session, working directory /, standard output and error
 * appended to RUNTIME/broker.log, no descriptor of the starter. It says that it listens by writing
 * to the descriptor given with --ready-fd; the starter waits for that.
 *
 * The environment variable PERSONA_LISTEN, a comma list of ADDR:PORT, is passed on as --listen. */
#ifndef PERSONA_BIN_START_H
#define PERSONA_BIN_START_H

#include "fail.h"

enum { START_TIMEOUT_MS = 10000 };

/* Connects to RUNTIME/control below `runtime`; starts a broker when nobody listens there. The
 * caller closes *fdp. 0 or a negative errno with *failp filled. Blocks. */
int start_connect(const char *runtime, int *fdp, struct fail *failp);

#endif

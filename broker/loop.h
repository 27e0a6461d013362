/* SPDX-License-Identifier: MIT */
/* The broker as a whole: owner of the core, the workers and the control loop.
 *
 * Order of start: state is recovered, then the workers start, then the links are handed to them,
 * then the `ask` and at last the `control` socket is there: who can connect to it finds a broker
 * that works. Shutdown is the reverse: no new requests, the one that is at the disk finishes, the
 * loop drains, streams are ended and the threads joined, keys are wiped. */
#ifndef PERSONA_BROKER_LOOP_H
#define PERSONA_BROKER_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

struct loop_config {
	const char *runtime_dir; /* exists, mode 0700, locked by the caller */
	const char *config_dir;	 /* exists */
	const struct endpoint *listen;
	size_t nlisten;
	unsigned workers; /* 0: as many as running programs expect, else online CPUs, at most 8 */
	int ready_fd;	  /* gets one byte when ready and is closed; -1: none */
};

/* Runs until SIGTERM, SIGINT or SIGHUP. 0, or negative errno when the start failed (logged). */
int loop_run(const struct loop_config *config);

#endif

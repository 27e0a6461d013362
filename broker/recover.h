/* SPDX-License-Identifier: MIT */
/* The broker's start: everything that was there before comes back.
 *
 * Model: named portspaces live in the configuration directory. What a running program depends on
 * lives in RUNTIME/ps/ID: the id and the secret (`info`), an unnamed portspace's configuration
 * (`conf`), and its listening sockets, which the kernel keeps while the broker is away. A broker
 * that was killed at any moment left each of these files whole, because each is written aside and
 * renamed.
 *
 * A file that cannot be read costs its portspace only, with a line in the log; it is never
 * overwritten. Synchronous: called before the loop runs. */
#ifndef PERSONA_BROKER_RECOVER_H
#define PERSONA_BROKER_RECOVER_H

#include "core_priv.h"

enum { RECOVER_GRACE_MS = 10000 /* for the inits of unnamed portspaces to come back */ };

struct recover_report {
	size_t named, unnamed; /* portspaces that came back */
	size_t failed;	       /* files that could not be loaded */
	size_t listeners;      /* sockets adopted */
};

/* How many stream.N the programs that still run expect; 0 when there is no runtime state. */
unsigned recover_workers(const char *runtime_dir);
/* Fills an empty core. 0, or negative errno when the directories themselves cannot be used. */
int recover_run(struct core *core, struct recover_report *reportp);

#endif

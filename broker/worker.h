/* SPDX-License-Identifier: MIT */
/* The data path: worker threads that carry streams.
 *
 * Each worker has its own loop, its own `stream.N` socket for the processes of this host and its
 * own underlay listeners. A stream lives in one worker from open to end. These functions are called
 * by the control loop only. */
#ifndef PERSONA_BROKER_WORKER_H
#define PERSONA_BROKER_WORKER_H

#include <stddef.h>

#include "addr.h"
#include "core.h"

struct workers;

struct workers_config {
	struct core *core;
	const char *runtime_dir;       /* stream.N are made here */
	unsigned n;		       /* threads, 1..WORKERS_MAX */
	const struct endpoint *listen; /* underlay addresses for carriers */
	size_t nlisten;
};

enum { WORKERS_MAX = 32 };

/* Starts the threads. 0 or negative errno; on failure nothing is left behind. Where a listen
 * endpoint had port 0, the chosen port is in workers_listening(). */
int workers_start(const struct workers_config *config, struct workers **workersp);
/* Ends all streams (RST to both sides), joins the threads, removes stream.N. NULL is allowed. */
void workers_stop(struct workers *workers);
/* The underlay endpoints actually bound, nlisten of them. */
const struct endpoint *workers_listening(const struct workers *workers);

/* A link was added, got another endpoint, or was marked removed: dial, redial or drop. */
void workers_link_changed(struct workers *workers, struct link *link);
/* Links of this portspace run in its super-portspace's network: accept their carriers there, at the
 * super-portspace's addresses and ps->listen_port. Portspaces with the same super-portspace and
 * port share it. Each call wants a remove. 0 or negative errno (-EADDRINUSE: a program there has
 * it). */
int workers_nest_add(struct workers *workers, const struct portspace *ps);
void workers_nest_remove(struct workers *workers, const struct portspace *ps);
/* A process ended: its pending connects are cancelled. */
void workers_process_gone(struct workers *workers, pid_t pid);

/* `near` and `far` are a SOCK_STREAM pair: `far` becomes a TCP connection of the portspace to `to`,
 * from an own address. It is taken over in any case. `near` gets a name and a tag; it is writable
 * when the connection is open, and ends when it cannot be. 0 or negative errno. */
int workers_tcp_inside(struct workers *workers, struct portspace *ps, const struct endpoint *to,
	int near, int far);

#endif

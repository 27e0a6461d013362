/* SPDX-License-Identifier: MIT */
/* The processes of persona-run.
 *
 *   frontend (what the user started: same pid, same terminal)
 *     └── init      holds the control connection on which it sent `enter`; subreaper
 *           └── program     and everything it starts
 *
 * init is a process of its own so that the program's daemons stay members when the frontend is
 * gone. The program stays in the frontend's process group and session, so the terminal's signals
 * reach it as without Persona; init leads a group of its own, out of their way.
 *
 * Frontend and init talk over a SOCK_SEQPACKET pair in struct run_msg:
 * - init says STARTED, STOPPED (the program was stopped: the frontend stops itself, so the shell
 *   sees it), CONTINUED, ENDED (a wait status: the frontend ends the same way).
 * - the frontend says SIGNAL: somebody sent this signal to the frontend alone; init, the program's
 *   parent, passes it on, so that it can never hit a reused process id.
 * - the end of the connection: init ended (an error before STARTED; it has printed why) or the
 *   frontend was killed; then init sends the program SIGHUP and SIGCONT, as a closing terminal.
 *
 * Both block all signals for life and read what they need from a signalfd; dispositions are left
 * as they were started with, so nohup and the like work. The program gets mask and dispositions
 * back. Exit status: the program's, or RUN_EXIT_*. */
#ifndef PERSONA_BIN_RUN_H
#define PERSONA_BIN_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "run_args.h"

enum run_exit {
	RUN_EXIT_OWN = 125,	 /* persona-run itself failed */
	RUN_EXIT_CANNOT = 126,	 /* the program cannot be executed */
	RUN_EXIT_NOT_FOUND = 127 /* the program was not found */
};

enum run_msg_type { RUN_STARTED = 1, RUN_STOPPED, RUN_CONTINUED, RUN_ENDED, RUN_SIGNAL };

/* Between two processes of one program, so the machine's own layout will do. */
struct run_msg {
	int type;  /* enum run_msg_type */
	int value; /* STOPPED: signal number; ENDED: wait status; SIGNAL: run_signal() */
};

enum { RUN_SIGNAL_BITS = 8, RUN_STOPS_MASK = 0x7fffff };

/* A signal, and how many stops of the program its sender had been told of. */
static inline int run_signal(int sig, unsigned stops)
{
	return sig | (int)((stops & RUN_STOPS_MASK) << RUN_SIGNAL_BITS);
}

static inline int run_signal_number(int value)
{
	return value & ((1 << RUN_SIGNAL_BITS) - 1);
}

/* What init and the program need from the time before the forks. */
struct run_env {
	const struct run_args *args;
	const char *preload; /* absolute path of the preload library */
	sigset_t mask;	     /* the signal mask persona-run was started with */
	pid_t group;	     /* the frontend's process group */
	int sock;	     /* init's end of the pair */
};

/* Runs the frontend, with init below it. Returns the exit status, or dies of the signal that the
 * program died of. */
int run_front(struct run_env *env);
/* init: in the forked child, does not return. */
_Noreturn void run_init(const struct run_env *env);
/* In init's child: the environment, the seal, the program. Does not return. */
_Noreturn void run_program(const struct run_env *env, const char *dir, pid_t init);

/* Sends; a closed connection is no error. */
void run_send(int sock, enum run_msg_type type, int value);
/* 1: *msgp is filled; 0: the other end is gone; -EAGAIN: nothing there (with MSG_DONTWAIT). */
int run_recv(int sock, int flags, struct run_msg *msgp);

#endif

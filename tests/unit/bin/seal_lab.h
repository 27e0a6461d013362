/* SPDX-License-Identifier: MIT */
/* Runs one system call in a process without and one with the seal.
 *
 * The first proves that the second can fail: where a call fails in the same way without the seal
 * (no such call in this kernel, not permitted here), the case proves nothing and is reported. */
#ifndef PERSONA_TEST_SEAL_LAB_H
#define PERSONA_TEST_SEAL_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct seal_case {
	const char *name;
	int (*fn)(void); /* 0 or a negative errno */
	int sealed;	 /* its result with the seal */
};

/* The outcome when the call kills the process by a signal, as int $0x80 does without IA32. */
enum { LAB_KILLED = 9999 };

extern pid_t lab_init;	    /* a process to aim at, leader of its own group */
extern int lab_inet_fd;	    /* in a case: a TCP socket made before the seal */
extern int lab_tty_fd;	    /* in a case: the controlling terminal */
extern int lab_init_pidfd;  /* in a case: made before the seal */
extern int lab_claimed_abi; /* the Landlock version the kernel claims to have; -1: the true one */

/* Group setup and teardown: lab_init. */
int lab_start_init(void **state);
int lab_stop_init(void **state);
/* Runs the case in a process of its own; its result or LAB_KILLED. */
int lab_run(const struct seal_case *c, bool sealed);
/* Runs each without and with the seal and asserts the latter. How many proved something. */
unsigned lab_check(const struct seal_case *cases, size_t n);

#endif

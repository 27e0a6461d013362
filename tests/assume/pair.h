/* SPDX-License-Identifier: MIT */
/* A client and a server on one AF_UNIX listening socket, for the programs in this directory.
 *
 * They use the kernel alone, not the project's code: what they prove must hold before that code
 * may be written. The one exception is proto's tag codec, whose storage is the assumption itself.
 * Every helper fails the running test when a system call fails. */
#ifndef PERSONA_ASSUME_PAIR_H
#define PERSONA_ASSUME_PAIR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <sys/types.h>

enum { REQUEST_LEN = 64, REQUEST_PAD = 1024 };

/* A listening socket on a fresh path below $TMPDIR or /tmp; pair_unlisten() removes it. */
int pair_listen(void);
void pair_unlisten(int listener);
/* A stream socket, non-blocking, with SO_SNDBUF at its minimum: the gate is shut once a request
 * was sent. */
int pair_gated(void);
/* Connects to the listener and returns the accepted end. */
int pair_connect(int client, int listener);
/* Sends REQUEST_LEN + REQUEST_PAD bytes with a descriptor of the very socket. */
void pair_request(int client);
/* Reads exactly REQUEST_LEN bytes of the request, returns the descriptor that came with it. */
int pair_read_request(int server);
/* Reads the pad. */
void pair_read_pad(int server);
void pair_set_sndbuf(int fd, int bytes);
/* poll(2) without waiting: the events of `want` that are set, and POLLERR and POLLHUP. */
short pair_poll(int fd, short want);
/* epoll_wait(2) without waiting: the events of the one descriptor in it, 0 for none. */
uint32_t pair_epoll(int epfd);
/* Runs this test's child and returns its exit status; the child returns from `child(arg)`. */
int pair_fork(int (*child)(void *arg), void *arg);

#endif

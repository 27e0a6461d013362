/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: plain blocking sockets, a clock, and one way to give up.
 *
 * These are ordinary programs that know nothing of portspaces: the harness runs the same binary
 * over each peer, and under persona-run. */
#ifndef PERSONA_BENCH_NET_H
#define PERSONA_BENCH_NET_H

#include <stdbool.h>
#include <stdint.h>

/* Prints `what` and errno's text to stderr and exits with status 1. */
_Noreturn void net_die(const char *what);

/* A listening socket on a numeric address (IPv4 or IPv6) and port; exits on error. */
int net_listen(const char *address, const char *port);

/* A connected socket with TCP_NODELAY; -1 with errno when the connect failed. Exits when the
 * address is not numeric. */
int net_connect(const char *address, const char *port);

/* A UDP socket, bound to the address, or connected to it with a receive timeout of 3 s; exits on
 * error. */
int net_udp(const char *address, const char *port, bool bound);

/* Sends one byte and waits for one back. 0; -1 with errno (ECONNRESET when the peer closed). */
int net_ping(int fd);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t net_now_ns(void);

/* A decimal number from 1 to max; exits otherwise. */
unsigned long net_number(const char *text, unsigned long max);

#endif

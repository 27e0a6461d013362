/* SPDX-License-Identifier: MIT */
/* Sockets of a portspace without the shim: the local protocol (docs/PROTOCOL.md, section 1) spoken
 * by hand, with raw system calls where data flows. For a process that persona-run has started:
 * PERSONA_PORTSPACE_DIR names its portspace. Errors end the program, as in net.h; functions return
 * a descriptor or what read(2) and write(2) return. */
#ifndef PERSONA_BENCH_BARE_H
#define PERSONA_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int bare_listen(uint16_t port);
int bare_accept(int fd);
int bare_connect(const char *address, const char *port);
ssize_t bare_send(int fd, const void *buf, size_t n);
ssize_t bare_recv(int fd, void *buf, size_t n);
int bare_udp_bind(uint16_t port);
int bare_udp_connect(const char *address, const char *port);
/* To the peer given by bare_udp_connect(), else to whom the last datagram came from. */
ssize_t bare_udp_send(int fd, const void *buf, size_t n);
ssize_t bare_udp_recv(int fd, void *buf, size_t n);

#endif

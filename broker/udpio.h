/* SPDX-License-Identifier: MIT */
/* One non-blocking UDP socket of the underlay, with as few system calls as possible.
 *
 * Model: what is sent is copied into a queue and leaves at udpio_flush(), or when the queue is
 * full. Messages of one size to one destination that follow each other become one system call's
 * segments (UDP_SEGMENT; the last may be shorter), the rest shares one sendmmsg(2). Received
 * segments that the kernel put together (UDP_GRO) are taken apart again and handed out one by one.
 * Where the kernel or the interface cannot do either, the socket goes on without, and nobody
 * notices.
 *
 * A socket bound to a wildcard address answers from the address that it was spoken to: during the
 * input callback for the one whose message it is, and later for those of whom the callback said
 * that they are authentic. Such an address that is gone from the host is forgotten.
 *
 * Invariants: order to one destination is kept; nothing blocks; loss is silent (and counted). ECN
 * and DSCP are left alone. One thread. References: udp(7), ip(7), ipv6(7). */
#ifndef PERSONA_BROKER_UDPIO_H
#define PERSONA_BROKER_UDPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

struct udpio;

/* Bytes before and behind a received message that the callback may overwrite. */
enum { UDPIO_HEADROOM = 128, UDPIO_TAILROOM = 64, UDPIO_MESSAGE_MAX = 65507 };

struct udpio_config {
	/* Where to bind; IPv6 ones with IPV6_V6ONLY. Port 0: any. */
	struct endpoint at;
	/* One message; it is the callback's until it returns. True: the sender is authentic and
	 * will be answered from the address it used. May call udpio_send() and udpio_flush(), not
	 * udpio_read() or udpio_close(). */
	bool (*input)(void *arg, const struct endpoint *from, uint8_t *msg, size_t len);
	void *arg;
	/* For tests: as on a kernel without UDP_SEGMENT or UDP_GRO. */
	bool no_gso, no_gro;
};

/* 0 or negative errno (-EADDRINUSE, -EADDRNOTAVAIL, -EAFNOSUPPORT, -ENOMEM, ...). */
int udpio_open(const struct udpio_config *config, struct udpio **iop);
void udpio_close(struct udpio *io); /* what is queued is lost; NULL is allowed */
int udpio_fd(const struct udpio *io);
void udpio_bound(const struct udpio *io, struct endpoint *atp);

/* Hands out what has arrived, in at most `rounds` system calls. Returns the number of messages; 0:
 * nothing is there. Level-triggered polling finds what is left. */
size_t udpio_read(struct udpio *io, unsigned rounds);

/* Queues one message of at most UDPIO_MESSAGE_MAX bytes. When the kernel takes no more and the
 * queue is full, it is lost. */
void udpio_send(struct udpio *io, const struct endpoint *to, const uint8_t *msg, size_t len);
/* Sends what is queued. False: the kernel's buffer is full; flush again when the socket is
 * writable. */
bool udpio_flush(struct udpio *io);

struct udpio_stats {
	uint64_t sent, send_calls;
	uint64_t received, receive_calls;
	uint64_t lost; /* refused by the kernel, or no room in the queue */
	bool gso, gro; /* in use */
};
void udpio_stats(const struct udpio *io, struct udpio_stats *statsp);

#endif

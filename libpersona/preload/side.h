/* SPDX-License-Identifier: MIT */
/* Option values that fit nowhere in the kernel's socket: remembered by this process.
 *
 * Model: one anonymous mapping, made when the first value is stored, its pages committed as they
 * are touched. Entries are keyed by SO_COOKIE, which the kernel never reuses, so a closed socket
 * leaves only a dead entry. A bucket has SIDE_WAYS entries; when all are taken the oldest gives
 * way, and its socket reports defaults again. Nothing that decides about traffic is kept here.
 * fork copies the table, exec forgets it. Lock free; usable in signal handlers. */
#ifndef PERSONA_PRELOAD_SIDE_H
#define PERSONA_PRELOAD_SIDE_H

#include <stdbool.h>
#include <stdint.h>

enum side_key {
	/* values the emulation alone knows */
	SIDE_SNDBUF,
	SIDE_BINDIF,
	SIDE_NODELAY,
	SIDE_MAXSEG,
	SIDE_CORK,
	SIDE_KEEPIDLE,
	SIDE_KEEPINTVL,
	SIDE_KEEPCNT,
	SIDE_SYNCNT,
	SIDE_LINGER2,
	SIDE_DEFER_ACCEPT,
	SIDE_WINDOW_CLAMP,
	SIDE_QUICKACK,
	SIDE_CONGESTION,
	SIDE_USER_TIMEOUT,
	SIDE_FASTOPEN,
	SIDE_FASTOPEN_CONNECT,
	SIDE_FASTOPEN_NO_COOKIE,
	SIDE_NOTSENT_LOWAT,
	SIDE_SAVE_SYN,
	SIDE_THIN_LINEAR,
	SIDE_THIN_DUPACK,
	SIDE_TIMESTAMP,
	SIDE_INQ,
	SIDE_TX_DELAY,
	SIDE_TOS,
	SIDE_TTL,
	SIDE_IP_RECVERR,
	SIDE_IP_FREEBIND,
	SIDE_MTU_DISCOVER,
	SIDE_PKTINFO,
	SIDE_NO_PORT,
	SIDE_RECVTTL,
	SIDE_RECVTOS,
	SIDE_IP_MULTICAST_TTL,
	SIDE_IP_MULTICAST_LOOP,
	SIDE_IP_MINTTL,
	SIDE_UNICAST_HOPS,
	SIDE_MULTICAST_HOPS,
	SIDE_MULTICAST_LOOP,
	SIDE_TCLASS,
	SIDE_RECVPKTINFO,
	SIDE_RECVHOPLIMIT,
	SIDE_RECVTCLASS,
	SIDE_V6_RECVERR,
	SIDE_V6_MTU_DISCOVER,
	SIDE_V6_DONTFRAG,
	SIDE_V6_MINHOPCOUNT,
	SIDE_FLOWINFO,
	SIDE_AUTOFLOWLABEL,
	SIDE_ADDR_PREFERENCES,
	SIDE_MULTICAST_IF,
	SIDE_V6_MULTICAST_IF,
	SIDE_UNICAST_IF,
	SIDE_V6_UNICAST_IF,
	SIDE_NETLINK_GROUPS,
	/* SOL_SOCKET options set natively, bit (1 << n) as in accept.c, for accepted sockets */
	SIDE_INHERIT,
	SIDE_KEYS,
	/* values of datagram sockets: they have none of TCP's and use the same places */
	SIDE_RECVOPTS = SIDE_MAXSEG,
	SIDE_RETOPTS = SIDE_CORK,
	SIDE_RECVFRAGSIZE = SIDE_KEEPIDLE,
	SIDE_MULTICAST_ALL = SIDE_KEEPINTVL,
	SIDE_V6_MULTICAST_ALL = SIDE_KEEPCNT,
	SIDE_RECVPATHMTU = SIDE_SYNCNT,
	SIDE_RECVHOPOPTS = SIDE_LINGER2,
	SIDE_RECVRTHDR = SIDE_DEFER_ACCEPT,
	SIDE_RECVDSTOPTS = SIDE_WINDOW_CLAMP,
	SIDE_RFC4884 = SIDE_QUICKACK,
	SIDE_V6_RFC4884 = SIDE_CONGESTION,
	SIDE_NO_CHECK6_TX = SIDE_USER_TIMEOUT,
	SIDE_NO_CHECK6_RX = SIDE_FASTOPEN,
	SIDE_SEGMENT = SIDE_FASTOPEN_CONNECT,
	SIDE_GRO = SIDE_FASTOPEN_NO_COOKIE
};

/* True and *valuep when this process has stored a value for the socket. */
bool side_get(int fd, enum side_key key, int *valuep);
/* All values of the socket at once: bit n of the result says that value[n] is one. */
uint64_t side_get_all(int fd, int value[SIDE_KEYS]);
/* 0, or -ENOMEM when the table cannot be mapped. */
int side_set(int fd, enum side_key key, int value);
/* The socket reports the default again. */
void side_forget(int fd, enum side_key key);
/* Copies all values of one socket to another, except SIDE_INHERIT. False when there was none. */
bool side_copy(int from, int to);

#endif

/* SPDX-License-Identifier: MIT */
/* The port table of one portspace: who has which TCP and UDP port, by Linux's rules.
 *
 * Model: an entry is one socket of an application, keyed by the inode of its AF_UNIX socket. Two
 * entries conflict when they overlap (same protocol and port, and the same address or a wildcard
 * that covers it; :: covers IPv4 unless V6ONLY) and neither SO_REUSEADDR nor SO_REUSEPORT allows
 * them to share. As in inet_bind_conflict(): TCP entries share by SO_REUSEADDR when both set it and
 * the other one is not listening; UDP entries when both set it; both by SO_REUSEPORT when both set
 * it (all processes of a broker have one uid, so the uid rule always holds). Port 0 never shares.
 * Privileged ports need no privilege: they are the portspace's own.
 *
 * Which addresses the portspace has is not known here; the caller refuses foreign ones.
 *
 * Nobody tells the table that a socket was closed. An entry that stands in the way is therefore
 * first proved alive by ops.alive(); a dead one is dropped and, when it was listening, its file
 * given to ops.dropped(), which unlinks it, before the call goes on. A call makes a bounded number
 * of such probes unless all are needed to decide it.
 *
 * Ephemeral ports for outgoing streams are leased to a process in blocks, so that connect(2) needs
 * no question. A lease does not reserve a port against an explicit bind (a stream is unique by its
 * 4-tuple), but port 0 is never answered with a leased port.
 *
 * No I/O of its own; not thread safe: the caller's lock guards it. */
#ifndef PERSONA_BROKER_PORTTAB_H
#define PERSONA_BROKER_PORTTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "ask.h"
#include "sockname.h"

enum {
	PORTTAB_EPHEMERAL_FIRST = 32768, /* net.ipv4.ip_local_port_range of Linux */
	PORTTAB_EPHEMERAL_LAST = 60999,
	PORTTAB_ENTRIES_MAX = 16384, /* default quota of a portspace */
	PORTTAB_PID_MAX = 4096,	     /* default quota of a process */
	PORTTAB_LEASE_FIRST = 16,    /* ports in a process's first block; then 64, then 256 each */
	PORTTAB_LEASE_LAST = 256,
	PORTTAB_LEASE_PID_MAX = 16384 /* ports leased to one process for one protocol */
};

struct porttab;

struct porttab_ops {
	/* Does the socket with this inode still exist? Say yes when unsure. NULL: always yes. */
	bool (*alive)(uint64_t inode, void *arg);
	/* Does the process still exist? Asked when no ports are left to lease. NULL: always yes. */
	bool (*pid_alive)(pid_t pid, void *arg);
	/* An entry with this file name (sockname_file, no directory) is gone: unlink it. May be
	 * NULL. Must not call porttab_*. */
	void (*dropped)(const char *file, void *arg);
	void *arg;
};

struct porttab_limits {
	size_t entries_max; /* 0: PORTTAB_ENTRIES_MAX */
	size_t pid_max;	    /* 0: PORTTAB_PID_MAX */
};

/* What a process asks for. */
struct porttab_request {
	uint8_t proto;	       /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t flags;	       /* enum ask_bind_flags */
	struct endpoint local; /* port 0: choose one; addr_any6 without ASK_V6ONLY is dual stack */
	uint64_t inode;	       /* of the application's socket, not 0 */
	pid_t pid;	       /* who asked; 0 is charged to nobody */
};

/* What the table has. A copy: valid for as long as the caller likes. */
struct porttab_entry {
	uint8_t proto;
	uint8_t flags;
	bool listening;
	struct endpoint local;
	uint64_t inode;
	pid_t pid;
	char file[SOCKNAME_FILE_MAX]; /* where it listens; "" when not listening */
};

/* ops and limits are copied; limits may be NULL. 0 or -ENOMEM. */
int porttab_new(
	const struct porttab_ops *ops, const struct porttab_limits *limits, struct porttab **tabp);
/* Calls no ops. NULL is allowed. */
void porttab_free(struct porttab *tab);

/* bind(2). *portp is the port (the chosen one for port 0). The same request again succeeds with the
 * same port; another request by the same pid for an inode that is not listening replaces the entry
 * (an inode number that the kernel used again).
 * 0; -EADDRINUSE (also: no ephemeral port left); -EINVAL (not TCP or UDP, inode 0, an IPv4 address
 * with ASK_V6ONLY, an IPv6 address without ASK_V6, or the inode is listening or another process's);
 * -ENOBUFS (quota); -ENOMEM. */
int porttab_bind(struct porttab *tab, const struct porttab_request *req, uint16_t *portp);

/* listen(2). An inode that the table does not know is bound first (an unbound socket, or a table
 * lost with the broker). SO_REUSEADDR and SO_REUSEPORT may have been set after bind: req->flags are
 * added. `file` gets the name the socket is to be bound to: the well-known one, or one with a
 * member number when SO_REUSEPORT is set. Nobody else owns that name, so the caller may unlink what
 * an earlier owner left there; but not when 1 is returned: the socket itself may be there.
 * 0; 1 when the socket was listening before (same name and port); -EADDRINUSE when another one
 * listens; -EOPNOTSUPP for UDP; and what porttab_bind() returns. */
int porttab_listen(struct porttab *tab, const struct porttab_request *req, uint16_t *portp,
	char file[SOCKNAME_FILE_MAX]);

/* Who serves dst? The exact address before the wildcard of its family (0.0.0.0, or :: with V6ONLY)
 * before the dual-stack wildcard; members of a SO_REUSEPORT group in turn. TCP: listening entries
 * only. Does not probe: when the socket does not answer, call porttab_verify() and ask again.
 * 0 or -ECONNREFUSED. */
int porttab_lookup(struct porttab *tab, uint8_t proto, const struct endpoint *dst,
	struct porttab_entry *entryp);

/* The same, but `hash` picks the member of a SO_REUSEPORT group: the same one for the same hash as
 * long as the group does not change. */
int porttab_lookup_hash(struct porttab *tab, uint8_t proto, const struct endpoint *dst,
	uint32_t hash, struct porttab_entry *entryp);

/* Drops the entry that listens at this file when its socket is dead. True when it was dropped. */
bool porttab_verify(struct porttab *tab, const char *file);
/* Drops the entry without a probe; ops.dropped() is called if it had a file. 0 or -ENOENT. */
int porttab_drop(struct porttab *tab, uint64_t inode);
/* Probes up to `max` entries, going on where the last call stopped, and drops the dead ones.
 * Returns how many were dropped. */
size_t porttab_reap(struct porttab *tab, size_t max);

/* Takes over a listening socket that was found at `file` after a restart of the broker. 0; -EINVAL
 * (not a name sockname_file writes, inode 0); -EEXIST (the inode or the file is known); -ENOBUFS;
 * -ENOMEM. pid 0: unknown. */
int porttab_adopt(struct porttab *tab, const char *file, uint64_t inode, pid_t pid);

/* A block of ephemeral ports [*firstp, *firstp + *countp) for outgoing streams of the process: 16
 * ports, 64 the second time, then 256, or fewer when no such block is free. 0; -EADDRNOTAVAIL when
 * none is free or the process has PORTTAB_LEASE_PID_MAX; -EINVAL (protocol, pid < 1); -ENOMEM. */
int porttab_lease(
	struct porttab *tab, uint8_t proto, pid_t pid, uint16_t *firstp, uint16_t *countp);
/* The process ended: its leases are free, and those of its entries whose sockets are dead too
 * (others may still hold a socket it bound). */
void porttab_pid_gone(struct porttab *tab, pid_t pid);

size_t porttab_count(const struct porttab *tab);
/* Calls fn for each entry until it returns non-zero, and returns that. fn must not change the
 * table. */
int porttab_each(const struct porttab *tab, int (*fn)(const struct porttab_entry *entry, void *arg),
	void *arg);

#endif

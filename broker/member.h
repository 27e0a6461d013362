/* SPDX-License-Identifier: MIT */
/* Which process is in which portspace.
 *
 * Model: an *init* is a process that said `enter` on the control socket. A member is an init or a
 * descendant of one; the nearest init up the parent chain decides. What a process says of itself
 * never counts: the kernel names the peer of a socket (SO_PEERCRED, SO_PEERPIDFD), and /proc names
 * the parents. Answers are kept in a cache, one entry with a pidfd for each process that ever
 * asked; an entry counts only while its pidfd is alive, so a reused pid is never mistaken.
 *
 * Invariants:
 * - A parent is never younger than its child. Where /proc says otherwise, the parent ended and its
 *   pid was reused during the walk; the walk starts again.
 * - When an init goes, every entry of its portspace must prove itself by a new walk.
 * - Every entry is watched until its process ends (members_fd), so that its port leases can be
 *   given back.
 *
 * Thread safe, except that inits are added and removed and ended processes are collected by one
 * thread, the control loop. References: SO_PEERPIDFD in unix(7), pidfd_open(2), proc(5). */
#ifndef PERSONA_BROKER_MEMBER_H
#define PERSONA_BROKER_MEMBER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core.h"

struct members;

enum { MEMBER_DEPTH_MAX = 256 /* parents looked at; deeper processes are no members */ };

/* The process at the other end of an AF_UNIX socket, as it was when it connected. */
struct peer {
	pid_t pid;
	uid_t uid;
	int pidfd; /* owned */
};

/* Fills *peerp; peer_close() it. 0; -ESRCH when the process is gone or cannot be seen from here. */
int peer_get(int sock, struct peer *peerp);
/* Only the numbers, which may be those of an ended process: *pidfd is -1. 0 or -ESRCH. */
int peer_get_pid(int sock, struct peer *peerp);
void peer_close(struct peer *peer);
/* True while the process behind the pidfd has not been reaped. */
bool peer_alive(int pidfd);
/* The NoNewPrivs line of /proc/PID/status: 0 or 1, or -ESRCH. */
int peer_no_new_privs(pid_t pid);
/* How many seccomp filters it is under (Linux 5.9; 0 before), or -ESRCH. */
int peer_seccomp_filters(pid_t pid);

int members_new(struct members **mp); /* 0 or negative errno */
void members_free(struct members *m); /* NULL is allowed */

/* The portspace of this process, a reference, or NULL. Reads /proc on a cache miss. */
struct portspace *members_of_peer(struct members *m, const struct peer *peer);

/* The same for the process that had this pid at some time after since_ms (CLOCK_MONOTONIC): a
 * process that was known before then and lives had the pid all the while. NULL: not known, ask with
 * a pidfd.
 */
struct portspace *members_of_pid(struct members *m, pid_t pid, uint64_t since_ms);

/* Makes a process an init of ps. 0; -EEXIST when it is a member of a portspace already; -ESRCH when
 * it ended; -EBUSY when an ended process of the same pid was not collected yet; -ENOMEM; -EMFILE.
 */
int members_add_init(struct members *m, const struct peer *peer, struct portspace *ps);
/* The process is no init any more. No effect when it is none. */
void members_remove_init(struct members *m, pid_t pid);
/* Forgets every member of ps (it was destroyed). */
void members_drop(struct members *m, const struct portspace *ps);

/* A descriptor for poll: readable when a member ended. Owned by m. */
int members_fd(const struct members *m);
/* Collects one ended member: *pidp, and in *psp the reference its entry held. False: no more. */
bool members_next_gone(struct members *m, pid_t *pidp, struct portspace **psp);

#endif

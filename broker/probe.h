/* SPDX-License-Identifier: MIT */
/* Asks the kernel which AF_UNIX sockets exist: sock_diag(7), or /proc/net/unix where that is not
 * available. Sees the sockets of the caller's own network namespace only. Synchronous, never waits
 * for another process. Thread safe. */
#ifndef PERSONA_BROKER_PROBE_H
#define PERSONA_BROKER_PROBE_H

#include <stdint.h>

/* Is there an AF_UNIX socket with this inode (bound or not)? 1 yes, 0 no, negative errno when the
 * kernel could not be asked. */
int probe_inode_alive(uint64_t inode);

/* The inode of the socket that the connected AF_UNIX socket `inode` is connected to. 0; -ENOENT:
 * there is no such socket, or it has no peer; or negative errno when the kernel could not be asked
 * (sock_diag alone knows). */
int probe_peer_inode(uint64_t inode, uint64_t *peerp);

/* A listening socket at `path`. Non-zero ends the search. */
typedef int (*probe_listener_fn)(const char *path, uint64_t inode, void *arg);

/* Calls fn for each listening AF_UNIX socket whose path is below the directory `dir` (absolute,
 * compared as text; a trailing slash is allowed). Returns what fn returned last, 0 when all were
 * seen, or negative errno. The paths are names: the file may have been unlinked or replaced. */
int probe_listeners(const char *dir, probe_listener_fn fn, void *arg);

/* The same two by one method, for tests and diagnosis. */
int probe_diag_alive(uint64_t inode);
int probe_proc_alive(uint64_t inode);
int probe_diag_listeners(const char *dir, probe_listener_fn fn, void *arg);
int probe_proc_listeners(const char *dir, probe_listener_fn fn, void *arg);

#endif

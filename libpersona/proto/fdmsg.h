/* SPDX-License-Identifier: MIT */
/* Messages and descriptors on AF_UNIX sockets.
 *
 * All functions use raw system calls: inside the shim they must not meet the shim's own hooks, and
 * a question to the broker is no cancellation point. Descriptors are made close-on-exec. Every
 * function leaves errno alone and returns a negative errno on failure. Safe in signal handlers. */
#ifndef PERSONA_PROTO_FDMSG_H
#define PERSONA_PROTO_FDMSG_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Connects a new socket of `type` (SOCK_STREAM or SOCK_SEQPACKET) to the path; the caller closes
 * *fdp. -ENAMETOOLONG when the path does not fit sun_path. */
int fdmsg_connect(const char *path, int type, int *fdp);
/* Makes a listening, non-blocking socket at the path (mode 0600). A file left there by a dead
 * process is replaced; -EADDRINUSE when somebody is listening on it. The caller closes *fdp. */
int fdmsg_listen(const char *path, int type, int backlog, int *fdp);
/* Sends one message with at most one descriptor (fd, or -1). Never raises SIGPIPE. Returns the
 * bytes sent. */
ssize_t fdmsg_send(int sock, const void *buf, size_t len, int fd);
/* Receives at most `cap` bytes and at most one descriptor. *fdp is the descriptor, owned by the
 * caller, or -1; surplus descriptors are closed. Returns the bytes received, 0 at the end. A
 * seqpacket message longer than cap is -EMSGSIZE. */
ssize_t fdmsg_recv(int sock, void *buf, size_t cap, int *fdp);
/* Asks: connects to `path` (SOCK_SEQPACKET), sends the request, waits for one reply. Returns the
 * reply's length. -EPIPE when the other side closes without one. */
ssize_t fdmsg_ask(const char *path, const void *req, size_t len, void *reply, size_t cap);

#endif

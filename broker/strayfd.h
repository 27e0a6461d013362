/* SPDX-License-Identifier: MIT */
/* Closing a descriptor that a stranger chose.
 *
 * close(2) may block for as long as the stranger likes: a socket with SO_LINGER and unsent data, a
 * file of a FUSE server that does not answer FLUSH. A worker must not wait for that. A socket
 * loses its SO_LINGER first; anything else is closed by a thread made for it. Thread safe. */
#ifndef PERSONA_BROKER_STRAYFD_H
#define PERSONA_BROKER_STRAYFD_H

#include <sys/socket.h>

enum {
	STRAYFD_THREADS = 64, /* closing at the same time; beyond, the caller closes itself */
	STRAYFD_CONTROL =
		1056 /* bytes of control data for as many as one message has (SCM_MAX_FD) */
};

void strayfd_close(int fd); /* fd -1 is allowed */
/* Closes all that came with a message. */
void strayfd_drop(struct msghdr *msg);
/* Receives one message without waiting, and closes what came with it. Its length or a negative
 * errno; -EMSGSIZE when it was longer than cap: the rest is lost. */
ssize_t strayfd_recv(int sock, void *buf, size_t cap);

#endif

/* SPDX-License-Identifier: MIT */
/* Closing a descriptor that a stranger chose.
 *
 * close(2) may block for as long as the stranger likes: a socket with SO_LINGER and unsent data, a
 * file of a FUSE server that does not answer FLUSH. A worker must not wait for that. A socket
 * loses its SO_LINGER first; anything else is closed by a thread made for it. Thread safe. */
#ifndef PERSONA_BROKER_STRAYFD_H
#define PERSONA_BROKER_STRAYFD_H

enum { STRAYFD_THREADS = 64 /* closing at the same time; beyond, the caller closes itself */ };

void strayfd_close(int fd); /* fd -1 is allowed */

#endif

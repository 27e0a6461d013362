/* SPDX-License-Identifier: MIT */
/* RUNTIME/dgram: who connects there is an application's datagram socket, or asks about one.
 *
 * Model: a connection's first message tells what it is; before that it is counted as a socket.
 * Which portspace it belongs to is decided by its peer (core_member). The inode of the
 * application's end is asked of the kernel when it is needed, so nobody can speak for another one's
 * socket. Before a question about a socket is answered, what it had sent before is sent on.
 *
 * The plane's thread only. */
#ifndef PERSONA_BROKER_DGRAM_SERVER_H
#define PERSONA_BROKER_DGRAM_SERVER_H

#include "plane_priv.h"

struct dgram_server;

/* Listens at RUNTIME/dgram. 0 or negative errno. */
int dgram_server_new(struct plane *plane, const char *runtime_dir, struct dgram_server **serverp);
/* Every portspace's sockets are closed already. Removes `dgram`. NULL is allowed. */
void dgram_server_free(struct dgram_server *server);
/* Hands over what was collected for applications. */
void dgram_server_flush(struct dgram_server *server);

#endif

/* SPDX-License-Identifier: MIT */
/* A network space: where the underlay traffic of links goes.
 *
 * Carriers are written against this interface. The base network is its first implementation; a
 * super-portspace's network will be the second (tunnels nest). All descriptors are non-blocking,
 * close-on-exec stream sockets owned by the caller. Functions return 0 or a negative errno and may
 * be called from any thread. */
#ifndef PERSONA_BROKER_NETSPACE_H
#define PERSONA_BROKER_NETSPACE_H

#include "addr.h"

struct netspace;

struct netspace_ops {
	/* Starts a connect; writable means done, SO_ERROR has the result. */
	int (*connect)(const struct netspace *ns, const struct endpoint *dst, int *fdp);
	/* Listens; several workers may listen on the same endpoint and share the load. Port 0 picks
	 * one; *localp is what it is bound to. */
	int (*listen)(const struct netspace *ns, const struct endpoint *at, struct endpoint *localp,
		int *fdp);
	/* Accepts one connection; -EAGAIN when there is none. */
	int (*accept)(const struct netspace *ns, int listen_fd, struct endpoint *peerp, int *fdp);
};

struct netspace {
	const struct netspace_ops *ops;
};

/* The host's own TCP. One static object. */
const struct netspace *netspace_base(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The port table, as the datagram sockets of the plane use it (core.h). */
#include "core_priv.h"

#include <errno.h>

int core_dgram_bind(
	struct core *core, struct portspace *ps, const struct porttab_request *req, uint16_t *portp)
{
	int r = -ENETDOWN;

	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		r = porttab_bind(ps->porttab, req, portp);
	pthread_mutex_unlock(&core->lock);
	return r;
}

void core_dgram_drop(struct core *core, struct portspace *ps, uint64_t inode)
{
	pthread_mutex_lock(&core->lock);
	(void)porttab_drop(ps->porttab, inode);
	pthread_mutex_unlock(&core->lock);
}

void core_link_heard(struct core *core, struct link *link, const struct endpoint *from)
{
	pthread_mutex_lock(&core->lock);
	link->has_heard = true;
	link->heard = *from;
	pthread_mutex_unlock(&core->lock);
}

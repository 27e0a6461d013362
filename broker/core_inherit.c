/* SPDX-License-Identifier: MIT */
/* The broker's own entries in port tables (core.h): for links that run inside a portspace. */
#include "core_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

int core_own_listen(struct core *core, struct portspace *ps, uint16_t port, uint64_t inode,
	char path[ASK_PATH_MAX])
{
	struct porttab_request req = {.proto = IPPROTO_TCP,
		.flags = ASK_V6,
		.local = {.addr = addr_any6, .port = port},
		.inode = inode,
		.pid = getpid()};
	char file[SOCKNAME_FILE_MAX];
	uint16_t same;
	int r = -ENETDOWN;

	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		r = porttab_listen(ps->porttab, &req, &same, file);
	if (r >= 0 && snprintf(path, ASK_PATH_MAX, "%s/%s", ps->dir, file) >= ASK_PATH_MAX)
		r = -ENAMETOOLONG;
	pthread_mutex_unlock(&core->lock);
	return r < 0 ? r : 0;
}

void core_own_drop(struct core *core, struct portspace *ps, uint64_t inode)
{
	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		(void)porttab_drop(ps->porttab, inode);
	pthread_mutex_unlock(&core->lock);
}

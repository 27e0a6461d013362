/* SPDX-License-Identifier: MIT */
/* What the two views of the interfaces (lists and ioctls) share. */
#ifndef PERSONA_PRELOAD_IFS_H
#define PERSONA_PRELOAD_IFS_H

#include <net/if_arp.h>

#include "ifaddr.h"
#include "preload.h"

enum { IFS_MAX = 512 };

/* The addresses of one of `nif` interfaces: at most IFADDR_MAX into out; their number. */
int ifs_addresses(const struct info *info, const struct ask_if *i, int nif, struct prefix *out);

/* The netmask of a prefix in the 16-byte form. */
static inline struct addr ifs_netmask(const struct prefix *p)
{
	struct prefix all = {.len = p->len};

	for (int i = 0; i < 16; i++)
		all.addr.b[i] = 0xff;
	prefix_mask(&all);
	return all.addr;
}

static inline unsigned short ifs_hardware(const struct ask_if *i)
{
	return i->index == 1 ? ARPHRD_LOOPBACK : ARPHRD_NONE;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The portspace's interfaces: if_nametoindex and friends, and getifaddrs.
 *
 * Which address is on which interface is decided in one place (ifaddr.h). The lists handed out are
 * made as glibc makes them (one block for getifaddrs, one for each name in if_nameindex), so its
 * functions may free them as well. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>

#include "ifs.h"
#include "preload.h"

int ifs_load(struct ask_if *ifs, int max)
{
	struct ask_request req = {.op = ASK_IFS};
	struct ask_reply rep;
	int n = 0;

	do {
		int r;

		req.first = (uint16_t)n;
		r = ask_broker(&req, &rep, ASK_LARGE);
		if (r < 0)
			return r;
		for (int i = 0; i < rep.nif && n < max; i++)
			ifs[n++] = rep.ifs[i];
	} while (rep.nif > 0 && n < rep.count && n < max);
	return n;
}

int ifs_find(const char *name, unsigned index, struct ask_if *ifp)
{
	struct ask_if ifs[IFS_MAX];
	int n = ifs_load(ifs, IFS_MAX);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		if (name ? strncmp(ifs[i].name, name, IFNAMSIZ) == 0 : ifs[i].index == index) {
			*ifp = ifs[i];
			return 0;
		}
	return -ENODEV;
}

int ifs_addresses(const struct info *info, const struct ask_if *i, int nif, struct prefix *out)
{
	return (int)ifaddr_of(info, i->flags & IFF_LOOPBACK, (size_t)nif, out);
}

HOOK unsigned if_nametoindex(const char *name)
{
	struct ask_if found;
	int r = name ? ifs_find(name, 0, &found) : -EINVAL;

	if (r == 0)
		return found.index;
	errno = -r;
	return 0;
}

HOOK char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
	struct ask_if found;
	int r = ifs_find(NULL, index, &found);

	if (r == 0)
		return memcpy(name, found.name, IFNAMSIZ);
	errno = r == -ENODEV ? ENXIO : -r;
	return NULL;
}

HOOK void if_freenameindex(struct if_nameindex *list)
{
	for (struct if_nameindex *p = list; p && p->if_name; p++)
		free(p->if_name);
	free(list);
}

HOOK struct if_nameindex *if_nameindex(void)
{
	struct ask_if ifs[IFS_MAX];
	int n = ifs_load(ifs, IFS_MAX);
	struct if_nameindex *list;

	if (n < 0) {
		errno = -n;
		return NULL;
	}
	list = calloc((size_t)n + 1, sizeof(*list));
	for (int i = 0; list && i < n; i++) {
		list[i].if_index = ifs[i].index;
		list[i].if_name = strdup(ifs[i].name);
		if (!list[i].if_name) {
			if_freenameindex(list);
			list = NULL;
		}
	}
	if (!list)
		errno = ENOBUFS;
	return list;
}

/* One entry of the list, with room for what its pointers refer to. */
struct node {
	struct ifaddrs ifa;
	char name[IFNAMSIZ];
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_ll ll;
	} addr, mask, broadcast;
	uint32_t statistics[24]; /* struct rtnl_link_stats, all zero */
};

static void fill_link(struct node *node, const struct ask_if *i)
{
	node->addr.ll = (struct sockaddr_ll){.sll_family = AF_PACKET,
		.sll_ifindex = (int)i->index,
		.sll_hatype = ifs_hardware(i)};
	node->ifa.ifa_addr = &node->addr.sa;
	node->ifa.ifa_data = node->statistics;
}

static void fill_address(struct node *node, const struct ask_if *i, const struct prefix *p)
{
	struct endpoint ep = {.addr = p->addr}, mask = {.addr = ifs_netmask(p)};
	int family = addr_is_v4(&p->addr) ? AF_INET : AF_INET6;
	struct sockaddr_storage ss;

	endpoint_to_sockaddr(&ep, family, &ss);
	memcpy(&node->addr, &ss, sizeof(node->addr.in6));
	if (family == AF_INET) {
		mask.addr.b[10] = mask.addr.b[11] = 0xff;
		memset(mask.addr.b, 0, 10);
	}
	endpoint_to_sockaddr(&mask, family, &ss);
	memcpy(&node->mask, &ss, sizeof(node->mask.in6));
	node->ifa.ifa_addr = &node->addr.sa;
	node->ifa.ifa_netmask = &node->mask.sa;
	if (family == AF_INET) {
		/* point to point and lo: the address itself, as the kernel reports it */
		memcpy(&node->broadcast, &node->addr, sizeof(node->broadcast.in));
		if (i->flags & (IFF_POINTOPOINT | IFF_LOOPBACK))
			node->ifa.ifa_broadaddr = &node->broadcast.sa;
	}
}

static struct node *new_node(struct node *list, int *np, const struct ask_if *i)
{
	struct node *node = &list[*np];

	if (*np > 0)
		list[*np - 1].ifa.ifa_next = &node->ifa;
	(*np)++;
	memcpy(node->name, i->name, sizeof(node->name));
	node->ifa.ifa_name = node->name;
	node->ifa.ifa_flags = i->flags;
	return node;
}

HOOK int getifaddrs(struct ifaddrs **listp)
{
	const struct shim_info *si = info_get();
	struct prefix addrs[IFADDR_MAX];
	struct ask_if ifs[IFS_MAX];
	struct node *list;
	int nif, used = 0;

	if (!si)
		return ret(-EAFNOSUPPORT);
	nif = ifs_load(ifs, IFS_MAX);
	if (nif < 0)
		return ret(nif);
	list = calloc((size_t)nif * (si->info.naddr + 1U) + 3, sizeof(*list));
	if (!list)
		return ret(-ENOMEM);
	/* the kernel's order: links, then IPv4 addresses, then IPv6 */
	for (int i = 0; i < nif; i++)
		fill_link(new_node(list, &used, &ifs[i]), &ifs[i]);
	for (int v6 = 0; v6 < 2; v6++)
		for (int i = 0; i < nif; i++) {
			int n = ifs_addresses(&si->info, &ifs[i], nif, addrs);

			for (int k = 0; k < n; k++)
				if (addr_is_v4(&addrs[k].addr) == !v6)
					fill_address(
						new_node(list, &used, &ifs[i]), &ifs[i], &addrs[k]);
		}
	*listp = &list->ifa;
	return 0;
}

HOOK void freeifaddrs(struct ifaddrs *list)
{
	free(list);
}

/* SPDX-License-Identifier: MIT */
/* ioctl(2): the interface requests (netdevice(7)) on any socket show the portspace's interfaces;
 * on an AF_UNIX socket of the program the kernel would show the host's. Changing them is refused
 * as for an unprivileged user. All other requests are the kernel's. */
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "aside.h"
#include "ifs.h"
#include "real.h"
#include "udp.h"

enum { SIOC_FIRST = 0x8910, SIOC_LAST = 0x89ff };

static bool first_v4(const struct info *info, const struct ask_if *i, int nif, struct prefix *pp)
{
	struct prefix addrs[IFADDR_MAX];
	int n = ifs_addresses(info, i, nif, addrs);

	for (int k = 0; k < n; k++)
		if (addr_is_v4(&addrs[k].addr)) {
			*pp = addrs[k];
			return true;
		}
	return false;
}

static void put_v4(struct sockaddr *dst, const uint8_t *bytes)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	memcpy(&sin.sin_addr, bytes, 4);
	memcpy(dst, &sin, sizeof(sin));
}

/* The requests that want an IPv4 address. */
static int get_address(unsigned long request, const struct info *info, const struct ask_if *i,
	int nif, struct ifreq *ifr)
{
	struct prefix p;
	struct addr mask;

	if (!first_v4(info, i, nif, &p))
		return -EADDRNOTAVAIL;
	mask = ifs_netmask(&p);
	switch (request) {
	case SIOCGIFNETMASK:
		put_v4(&ifr->ifr_addr, mask.b + 12);
		break;
	case SIOCGIFBRDADDR:
		put_v4(&ifr->ifr_addr, addr_any4.b + 12);
		break;
	default: /* SIOCGIFADDR, SIOCGIFDSTADDR */
		put_v4(&ifr->ifr_addr, p.addr.b + 12);
		break;
	}
	return 0;
}

static int get_one(unsigned long request, const struct info *info, struct ifreq *ifr)
{
	struct ask_if ifs[IFS_MAX];
	const struct ask_if *i = NULL;
	int nif = ifs_load(ifs, IFS_MAX);

	if (nif < 0)
		return nif;
	ifr->ifr_name[IFNAMSIZ - 1] = '\0';
	for (int k = 0; k < nif && !i; k++)
		if (request == SIOCGIFNAME ? (int)ifs[k].index == ifr->ifr_ifindex
					   : strcmp(ifs[k].name, ifr->ifr_name) == 0)
			i = &ifs[k];
	if (!i)
		return -ENODEV;
	switch (request) {
	case SIOCGIFNAME:
		memcpy(ifr->ifr_name, i->name, IFNAMSIZ);
		return 0;
	case SIOCGIFINDEX:
		ifr->ifr_ifindex = (int)i->index;
		return 0;
	case SIOCGIFFLAGS:
		ifr->ifr_flags = (short)i->flags;
		return 0;
	case SIOCGIFMTU:
		ifr->ifr_mtu = (int)i->mtu;
		return 0;
	case SIOCGIFMETRIC:
		ifr->ifr_metric = 0;
		return 0;
	case SIOCGIFTXQLEN:
		ifr->ifr_qlen = 1000;
		return 0;
	case SIOCGIFMAP:
		memset(&ifr->ifr_map, 0, sizeof(ifr->ifr_map));
		return 0;
	case SIOCGIFHWADDR:
		memset(&ifr->ifr_hwaddr, 0, sizeof(ifr->ifr_hwaddr));
		ifr->ifr_hwaddr.sa_family = ifs_hardware(i);
		return 0;
	default:
		return get_address(request, info, i, nif, ifr);
	}
}

/* SIOCGIFCONF: every IPv4 address. */
static int get_list(int fd, const struct info *info, void *arg)
{
	struct prefix addrs[IFADDR_MAX];
	struct ask_if ifs[IFS_MAX];
	struct ifconf conf;
	int nif, used = 0, r = user_read(&conf, arg, sizeof(conf));

	if (r < 0)
		return r;
	nif = ifs_load(ifs, IFS_MAX);
	if (nif < 0)
		return nif;
	for (int i = 0; i < nif; i++) {
		int n = ifs_addresses(info, &ifs[i], nif, addrs);

		for (int k = 0; k < n; k++) {
			struct ifreq ifr = {0};

			if (!addr_is_v4(&addrs[k].addr))
				continue;
			memcpy(ifr.ifr_name, ifs[i].name, IFNAMSIZ);
			put_v4(&ifr.ifr_addr, addrs[k].addr.b + 12);
			if (conf.ifc_buf && used + (int)sizeof(ifr) > conf.ifc_len)
				goto full;
			if (conf.ifc_buf)
				r = user_write(fd, conf.ifc_buf + used, &ifr, sizeof(ifr));
			if (r < 0)
				return r;
			used += (int)sizeof(ifr);
		}
	}
full:
	conf.ifc_len = used;
	return user_write(fd, arg, &conf, sizeof(conf));
}

static int answer(int fd, unsigned long request, void *arg)
{
	const struct shim_info *si = info_get();
	struct ifreq ifr;
	int r;

	if (!si)
		return -ENODEV;
	switch (request) {
	case SIOCGIFCONF:
		return get_list(fd, &si->info, arg);
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
	case SIOCGIFHWADDR:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
		r = user_read(&ifr, arg, sizeof(ifr));
		if (r == 0)
			r = get_one(request, &si->info, &ifr);
		return r < 0 ? r : user_write(fd, arg, &ifr, sizeof(ifr));
	case SIOCETHTOOL:
	case SIOCGMIIPHY:
	case SIOCGMIIREG:
	case SIOCSHWTSTAMP:
	case SIOCGHWTSTAMP:
		return -EOPNOTSUPP;
	case SIOCGARP:
	case SIOCGRARP:
		return -ENXIO;
	default:
		return -EPERM; /* SIOCSIF…, SIOCADDRT and the like */
	}
}

HOOK int ioctl(int fd, unsigned long request, ...)
{
	struct tag tag;
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == FIONREAD && udp_is(fd, &tag)) {
		int size = udp_next_size(fd);

		return ret(user_write(fd, arg, &size, sizeof(size)));
	}
	if (request == SIOCOUTQ) {
		r = real(ioctl)(fd, request, arg);
		/* the kernel could write to arg, so it is good */
		if (r == 0 && tag_get(fd, &tag) == 0)
			*(int *)arg = aside_outq(&tag, *(int *)arg);
		return r;
	}
	if (request < SIOC_FIRST - 5 || request > SIOC_LAST)
		return real(ioctl)(fd, request, arg);
	/* routes are 0x890B and 0x890C, interfaces begin at 0x8910 */
	if (request < SIOC_FIRST && request != SIOCADDRT && request != SIOCDELRT)
		return real(ioctl)(fd, request, arg);
	r = tag_get(fd, &tag);
	if (r < 0 && r != -ENOENT)
		return real(ioctl)(fd, request, arg);
	return ret(answer(fd, request, arg));
}

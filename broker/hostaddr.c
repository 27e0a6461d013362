/* SPDX-License-Identifier: MIT */
#include "hostaddr.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The last answer of the kernel. */
static struct {
	pthread_mutex_t lock;
	uint64_t read_ms; /* CLOCK_MONOTONIC, 0 never */
	size_t n;
	struct addr list[HOSTADDR_MAX];
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool link_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static void read_addresses(void)
{
	struct ifaddrs *all, *i;
	struct endpoint e;

	known.n = 0;
	if (getifaddrs(&all) < 0)
		return;
	for (i = all; i && known.n < HOSTADDR_MAX; i = i->ifa_next) {
		socklen_t len = sizeof(struct sockaddr_storage);

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
			endpoint_from_sockaddr(i->ifa_addr, len, &e) < 0 ||
			addr_is_loopback(&e.addr) || link_local(&e.addr))
			continue;
		known.list[known.n++] = e.addr;
	}
	freeifaddrs(all);
}

size_t hostaddr_list(const struct addr *like, struct addr list[HOSTADDR_MAX])
{
	bool v4 = addr_is_v4(like);
	struct timespec ts;
	uint64_t now;
	size_t n = 0;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	pthread_mutex_lock(&known.lock);
	if (known.read_ms == 0 || now - known.read_ms >= HOSTADDR_AGE_MS) {
		read_addresses();
		known.read_ms = now ? now : 1;
	}
	for (size_t i = 0; i < known.n; i++)
		if (addr_is_v4(&known.list[i]) == v4)
			list[n++] = known.list[i];
	for (size_t i = 0; i < known.n; i++)
		if (addr_is_v4(&known.list[i]) != v4)
			list[n++] = known.list[i];
	pthread_mutex_unlock(&known.lock);
	return n;
}

int hostaddr_source(const struct endpoint *to, struct addr *srcp)
{
	const int family = addr_is_v4(&to->addr) ? AF_INET : AF_INET6;
	const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, family, &ss);
	struct endpoint e;
	int r = 0;

	if (fd < 0)
		return -errno;
	/* Nothing is sent: the kernel looks for the route, and binds. */
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		r = -errno;
	len = sizeof(ss);
	if (r == 0 && getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		r = -errno;
	close(fd);
	if (r == 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&ss, len, &e);
	if (r == 0)
		*srcp = e.addr;
	return r;
}

static bool is_at(const struct ifaddrs *i, struct addr *ap)
{
	struct endpoint e;

	if (!i->ifa_addr ||
		endpoint_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_storage), &e) < 0)
		return false;
	*ap = e.addr;
	return true;
}

/* The network of this entry has the address. */
static bool covers(const struct ifaddrs *i, const struct addr *a)
{
	struct endpoint mask;
	struct addr own;
	bool same = true;

	if (!is_at(i, &own) || addr_is_v4(&own) != addr_is_v4(a))
		return false;
	if (addr_equal(&own, a))
		return true;
	if (!i->ifa_netmask ||
		endpoint_from_sockaddr(i->ifa_netmask, sizeof(struct sockaddr_storage), &mask) < 0)
		return false;
	for (int k = 0; k < 16; k++)
		same = same && ((own.b[k] ^ a->b[k]) & mask.addr.b[k]) == 0;
	return same;
}

bool hostaddr_is_beside(const struct addr *a, const struct addr *b)
{
	struct ifaddrs *all, *i, *k;
	struct addr own;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !found; i = i->ifa_next) {
		if (!is_at(i, &own) || !addr_equal(&own, a))
			continue;
		for (k = all; k && !found; k = k->ifa_next)
			found = strcmp(k->ifa_name, i->ifa_name) == 0 && covers(k, b);
	}
	freeifaddrs(all);
	return found;
}

/* SPDX-License-Identifier: MIT */
#include "hostaddr.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

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

/* SPDX-License-Identifier: MIT */
/* The host's name inside a portspace. Its own name is the portspace's; changing the name of the
 * host below is refused. */
#include <netdb.h>
#include <string.h>
#include <sys/utsname.h>

#include "preload.h"
#include "real.h"

extern void __chk_fail(void) __attribute__((noreturn));

HOOK int uname(struct utsname *buf)
{
	const struct shim_info *si = info_get();
	int r = real(uname)(buf);

	if (r == 0 && si) {
		memset(buf->nodename, 0, sizeof(buf->nodename));
		memcpy(buf->nodename, si->info.hostname,
			strnlen(si->info.hostname, sizeof(buf->nodename) - 1));
	}
	return r;
}

HOOK int gethostname(char *buf, size_t n)
{
	const struct shim_info *si = info_get();
	size_t len;

	if (!si)
		return real(gethostname)(buf, n);
	len = strlen(si->info.hostname) + 1;
	memcpy(buf, si->info.hostname, n < len ? n : len);
	return n < len ? ret(-ENAMETOOLONG) : 0;
}

HOOK int __gethostname_chk(char *buf, size_t n, size_t size);
HOOK int __gethostname_chk(char *buf, size_t n, size_t size)
{
	if (n > size)
		__chk_fail();
	return gethostname(buf, n);
}

/* glibc would look the host's name up: the first own IPv4 address serves as well. */
HOOK long gethostid(void)
{
	const struct shim_info *si = info_get();

	for (int i = 0; si && i < si->info.naddr; i++) {
		const struct addr *a = &si->info.addr[i].addr;

		if (addr_is_v4(a))
			return (long)(int32_t)((uint32_t)a->b[13] << 24 | (uint32_t)a->b[12] << 16 |
					       (uint32_t)a->b[15] << 8 | a->b[14]);
	}
	return 0;
}

HOOK int sethostname(const char *name, size_t n)
{
	(void)name;
	(void)n;
	return ret(-EPERM);
}

HOOK int setdomainname(const char *name, size_t n)
{
	(void)name;
	(void)n;
	return ret(-EPERM);
}

HOOK int sethostid(long id)
{
	(void)id;
	return ret(-EPERM);
}

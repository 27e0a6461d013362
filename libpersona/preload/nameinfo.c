/* SPDX-License-Identifier: MIT */
/* getnameinfo(3). Services come from libc's database, hosts from the portspace. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "preload.h"
#include "real.h"

static int put(char *dst, socklen_t cap, const char *src)
{
	size_t n = strlen(src) + 1;

	if (n > cap)
		return EAI_OVERFLOW;
	memcpy(dst, src, n);
	return 0;
}

static int numeric_host(const struct sockaddr *sa, const struct addr *a, char *dst, socklen_t cap)
{
	char text[INET6_ADDRSTRLEN + 1 + IFNAMSIZ], name[IFNAMSIZ];
	uint32_t scope;

	if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, a->b + 12, text, sizeof(text));
		return put(dst, cap, text);
	}
	inet_ntop(AF_INET6, a->b, text, sizeof(text));
	scope = ((const struct sockaddr_in6 *)sa)->sin6_scope_id;
	if (scope != 0) {
		size_t n = strlen(text);

		if (if_indextoname(scope, name))
			snprintf(text + n, sizeof(text) - n, "%%%s", name);
		else
			snprintf(text + n, sizeof(text) - n, "%%%u", scope);
	}
	return put(dst, cap, text);
}

/* NI_NOFQDN: only the first label, for names of this host's domain. A portspace has no domain. */
static int named_host(
	const struct sockaddr *sa, const struct addr *a, char *dst, socklen_t cap, int flags)
{
	char name[ASK_NAME_MAX];
	int r = flags & NI_NUMERICHOST ? -ENOENT : resolve_addr(a, name);

	if (r == 0)
		return put(dst, cap, name);
	if (flags & NI_NAMEREQD)
		return r == -EAGAIN ? EAI_AGAIN : EAI_NONAME;
	return numeric_host(sa, a, dst, cap);
}

static int named_service(uint16_t port, char *dst, socklen_t cap, int flags)
{
	struct servent se, *found = NULL;
	char buf[1024], text[8];

	if (!(flags & NI_NUMERICSERV) &&
		getservbyport_r(htons(port), flags & NI_DGRAM ? "udp" : "tcp", &se, buf,
			sizeof(buf), &found) == 0 &&
		found)
		return put(dst, cap, found->s_name);
	snprintf(text, sizeof(text), "%u", port);
	return put(dst, cap, text);
}

HOOK int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
	socklen_t hostlen, char *restrict service, socklen_t servicelen, int flags)
{
	const int known = NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM |
			  NI_IDN | 0x40 | 0x80;
	bool want_host = host && hostlen > 0, want_service = service && servicelen > 0;
	int saved = errno, r = 0;
	struct endpoint ep;

	if (flags & ~known)
		return EAI_BADFLAGS;
	if (!sa || len < sizeof(sa_family_t))
		return EAI_FAMILY;
	if (sa->sa_family == AF_UNIX)
		return real(getnameinfo)(sa, len, host, hostlen, service, servicelen, flags);
	if (!want_host && !want_service)
		return EAI_NONAME;
	if (flags & NI_NAMEREQD && !want_host)
		return EAI_NONAME;
	if (sa->sa_family == AF_INET6 && len < sizeof(struct sockaddr_in6))
		return EAI_FAMILY;
	if (endpoint_from_sockaddr(sa, len, &ep) < 0)
		return EAI_FAMILY;
	if (want_host)
		r = named_host(sa, &ep.addr, host, hostlen, flags);
	if (r == 0 && want_service)
		r = named_service(ep.port, service, servicelen, flags);
	errno = saved;
	return r;
}

/* SPDX-License-Identifier: MIT */
/* getaddrinfo(3).
 *
 * The contract is POSIX's with glibc's extensions (RFC 3493). Results are made as glibc makes
 * them, one malloc for each entry with its address inside and one for the canonical name, so
 * glibc's freeaddrinfo frees them. Service names come from libc's services database. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"
#include "real.h"

enum {
	FLAGS_KNOWN = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL |
		      AI_ADDRCONFIG | AI_NUMERICSERV | AI_IDN | AI_CANONIDN | 0x0100 | 0x0200,
	SERVICES_MAX = 3
};

struct service {
	int socktype;
	int protocol;
	uint16_t port;
};

struct lookup {
	struct addrinfo hints;
	struct service service[SERVICES_MAX];
	int nservice;
	struct resolved res;
	uint32_t scope_id;
	bool numeric;
};

static const struct {
	int socktype;
	int protocol;
	const char *name; /* NULL: has no services */
} types[SERVICES_MAX] = {
	{SOCK_STREAM, IPPROTO_TCP, "tcp"},
	{SOCK_DGRAM, IPPROTO_UDP, "udp"},
	{SOCK_RAW, 0, NULL},
};

static bool wanted(const struct addrinfo *hints, int i)
{
	if (hints->ai_socktype && hints->ai_socktype != types[i].socktype)
		return false;
	return !hints->ai_protocol || !types[i].name || hints->ai_protocol == types[i].protocol;
}

/* The port of a service name for one protocol, or -1. */
static int service_port(const char *name, const char *protocol)
{
	struct servent se, *found = NULL;
	char buf[1024];

	if (getservbyname_r(name, protocol, &se, buf, sizeof(buf), &found) != 0 || !found)
		return -1;
	return ntohs((uint16_t)found->s_port);
}

static int find_services(struct lookup *l, const char *service)
{
	char *end = NULL;
	unsigned long number = service ? strtoul(service, &end, 10) : 0;
	bool numeric = !service || (*service && !*end), any_type = false;

	if (!numeric && l->hints.ai_flags & AI_NUMERICSERV)
		return EAI_NONAME;
	for (int i = 0; i < SERVICES_MAX; i++) {
		int port = numeric ? (uint16_t)number : -1;

		if (!wanted(&l->hints, i))
			continue;
		/* a raw socket is wanted explicitly, or by who wants everything */
		if (!types[i].name && l->hints.ai_protocol && !l->hints.ai_socktype)
			continue;
		any_type = true;
		if (!numeric && types[i].name)
			port = service_port(service, types[i].name);
		if (port < 0)
			continue;
		l->service[l->nservice++] = (struct service){.socktype = types[i].socktype,
			.protocol = types[i].name ? types[i].protocol : l->hints.ai_protocol,
			.port = (uint16_t)port};
	}
	if (l->nservice > 0)
		return 0;
	return !any_type && l->hints.ai_socktype ? EAI_SOCKTYPE : EAI_SERVICE;
}

/* inet_aton without the trailing text that it tolerates. */
static bool numeric_v4(const char *node, struct addr *ap)
{
	struct in_addr in;

	if (strpbrk(node, " \t\n\v\f\r") || !inet_aton(node, &in))
		return false;
	*ap = addr_any4;
	memcpy(ap->b + 12, &in, sizeof(in));
	return true;
}

static bool numeric_v6(const char *node, struct addr *ap, uint32_t *scopep)
{
	const char *percent = strchr(node, '%');
	size_t n = percent ? (size_t)(percent - node) : strlen(node);
	char text[INET6_ADDRSTRLEN], *end;

	if (n >= sizeof(text))
		return false;
	memcpy(text, node, n);
	text[n] = '\0';
	if (inet_pton(AF_INET6, text, ap->b) != 1)
		return false;
	*scopep = 0;
	if (percent) {
		*scopep = if_nametoindex(percent + 1);
		if (*scopep == 0) {
			*scopep = (uint32_t)strtoul(percent + 1, &end, 10);
			if (!percent[1] || *end)
				return false;
		}
	}
	return true;
}

/* A numeric node: 0, EAI_ADDRFAMILY, or 1 when it is not numeric. */
static int find_numeric(struct lookup *l, const char *node)
{
	struct addr *a = &l->res.addr[0];
	int family = l->hints.ai_family;
	bool v4 = numeric_v4(node, a);

	if (!v4 && !numeric_v6(node, a, &l->scope_id))
		return 1;
	l->numeric = true;
	l->res.n = 1;
	if (strlen(node) < sizeof(l->res.name))
		memcpy(l->res.name, node, strlen(node) + 1);
	if (v4 && family == AF_INET6)
		return l->hints.ai_flags & AI_V4MAPPED ? 0 : EAI_ADDRFAMILY;
	if (!v4 && family == AF_INET)
		return addr_is_v4(a) ? 0 : EAI_ADDRFAMILY;
	/* an IPv6 literal of a mapped address stays IPv6 */
	if (!v4 && addr_is_v4(a) && family == AF_UNSPEC)
		l->hints.ai_family = AF_INET6;
	return 0;
}

static void find_own(struct lookup *l)
{
	bool passive = l->hints.ai_flags & AI_PASSIVE;

	l->numeric = true;
	l->res.addr[0] = passive ? addr_any4 : addr_loopback6;
	l->res.addr[1] = passive ? addr_any6 : addr_loopback4;
	l->res.n = 2;
	if (l->hints.ai_family == AF_INET6 || l->hints.ai_family == AF_INET) {
		bool v6 = l->hints.ai_family == AF_INET6;

		l->res.addr[0] = l->res.addr[passive == v6];
		l->res.n = 1;
	}
}

/* Keeps the addresses that the hints ask for. */
static int filter(struct lookup *l)
{
	int flags = l->hints.ai_flags, family = l->hints.ai_family, n = 0, nv6 = 0;
	bool any = l->res.n > 0;

	if (l->numeric)
		return 0;
	for (int i = 0; i < l->res.n; i++)
		nv6 += !addr_is_v4(&l->res.addr[i]);
	for (int i = 0; i < l->res.n; i++) {
		struct addr a = l->res.addr[i];
		bool v4 = addr_is_v4(&a);

		if (family == AF_INET && !v4)
			continue;
		if (family == AF_INET6 && v4 &&
			(!(flags & AI_V4MAPPED) || (nv6 > 0 && !(flags & AI_ALL))))
			continue;
		if (flags & AI_ADDRCONFIG && !addr_is_loopback(&a) && !resolve_configured(!v4))
			continue;
		l->res.addr[n++] = a;
	}
	l->res.n = n;
	if (n > 0)
		return 0;
	return any ? EAI_ADDRFAMILY : EAI_NONAME;
}

/* Which addresses are of any use for these hints? */
static unsigned families(const struct addrinfo *hints)
{
	unsigned v = ASK_NAME_V4 | ASK_NAME_V6;

	if (hints->ai_family == AF_INET)
		v = ASK_NAME_V4;
	else if (hints->ai_family == AF_INET6 && !(hints->ai_flags & AI_V4MAPPED))
		v = ASK_NAME_V6;
	if (hints->ai_family == AF_UNSPEC && hints->ai_flags & AI_ADDRCONFIG) {
		if (!resolve_configured(true) && resolve_configured(false))
			v = ASK_NAME_V4;
		if (!resolve_configured(false) && resolve_configured(true))
			v = ASK_NAME_V6;
	}
	return v;
}

static int find_node(struct lookup *l, const char *node)
{
	int r;

	if (!node) {
		find_own(l);
		return 0;
	}
	r = find_numeric(l, node);
	if (r != 1)
		return r;
	if (l->hints.ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	r = resolve_name(node, families(&l->hints), &l->res);
	switch (r) {
	case 0:
		return filter(l);
	case -EAGAIN:
		return EAI_AGAIN;
	case -ENODATA:
		return EAI_NODATA;
	case -EIO:
		return EAI_FAIL;
	default:
		return EAI_NONAME;
	}
}

static struct addrinfo *new_entry(
	const struct lookup *l, const struct addr *a, const struct service *s)
{
	bool v6 = l->hints.ai_family == AF_INET6 || !addr_is_v4(a);
	struct endpoint ep = {.addr = *a, .port = s->port};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&ep, v6 ? AF_INET6 : AF_INET, &ss);
	struct addrinfo *ai = malloc(sizeof(*ai) + len);

	if (!ai)
		return NULL;
	if (v6)
		((struct sockaddr_in6 *)&ss)->sin6_scope_id = l->scope_id;
	*ai = (struct addrinfo){.ai_flags = l->hints.ai_flags,
		.ai_family = v6 ? AF_INET6 : AF_INET,
		.ai_socktype = s->socktype,
		.ai_protocol = s->protocol,
		.ai_addrlen = len,
		.ai_addr = (struct sockaddr *)(ai + 1)};
	memcpy(ai->ai_addr, &ss, len);
	return ai;
}

static int build(const struct lookup *l, struct addrinfo **listp)
{
	struct addrinfo *list = NULL, **tail = &list;

	for (int i = 0; i < l->res.n; i++)
		for (int k = 0; k < l->nservice; k++) {
			*tail = new_entry(l, &l->res.addr[i], &l->service[k]);
			if (!*tail)
				goto nomem;
			tail = &(*tail)->ai_next;
		}
	if (list && l->hints.ai_flags & AI_CANONNAME) {
		list->ai_canonname = strdup(l->res.name);
		if (!list->ai_canonname)
			goto nomem;
	}
	*listp = list;
	return 0;
nomem:
	if (list)
		freeaddrinfo(list);
	return EAI_MEMORY;
}

static int check_hints(const struct addrinfo *hints, const char *node)
{
	if (hints->ai_flags & ~FLAGS_KNOWN)
		return EAI_BADFLAGS;
	if (hints->ai_flags & AI_CANONNAME && !node)
		return EAI_BADFLAGS;
	if (hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET &&
		hints->ai_family != AF_INET6)
		return EAI_FAMILY;
	return 0;
}

static const char *not_star(const char *s)
{
	return s && strcmp(s, "*") == 0 ? NULL : s;
}

HOOK int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict listp)
{
	struct lookup l = {.hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG}};
	int saved = errno, r;

	node = not_star(node);
	service = not_star(service);
	if (!node && !service)
		return EAI_NONAME;
	if (hints)
		l.hints = *hints;
	r = check_hints(&l.hints, node);
	if (r == 0)
		r = find_services(&l, service);
	if (r == 0)
		r = find_node(&l, node);
	if (r == 0)
		r = build(&l, listp);
	errno = saved;
	return r;
}

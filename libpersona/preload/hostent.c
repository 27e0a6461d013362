/* SPDX-License-Identifier: MIT */
/* gethostbyname(3), gethostbyaddr(3) and relatives, with and without _r.
 *
 * The _r forms fill the caller's buffer: pointers first (aligned), then addresses, then the name.
 * Too small a buffer is ERANGE with h_errno NETDB_INTERNAL. The others use one static result, as
 * libc does; they are not thread safe anywhere. There is no list of hosts to enumerate. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "preload.h"
#include "real.h"

struct room {
	char *p;
	size_t left;
};

static void *take(struct room *room, size_t n, size_t align)
{
	size_t skip = -(uintptr_t)room->p & (align - 1);
	void *p;

	if (!room->p || room->left < skip + n)
		return NULL;
	p = room->p + skip;
	room->p += skip + n;
	room->left -= skip + n;
	return p;
}

/* Builds the result in buf. 0 or ERANGE. */
static int build(int family, const struct resolved *res, struct hostent *he, char *buf, size_t cap)
{
	struct room room = {buf, cap};
	size_t len = family == AF_INET ? 4 : 16, n = (size_t)res->n, name_len;
	char **list = take(&room, (n + 1) * sizeof(char *), sizeof(char *));
	char **aliases = take(&room, sizeof(char *), sizeof(char *));
	char *bytes = take(&room, n * len, 4);
	char *name;

	name_len = strlen(res->name) + 1;
	name = take(&room, name_len, 1);
	if (!list || !aliases || !bytes || !name)
		return ERANGE;
	memcpy(name, res->name, name_len);
	*aliases = NULL;
	for (size_t i = 0; i < n; i++) {
		list[i] = bytes + i * len;
		memcpy(list[i], res->addr[i].b + (family == AF_INET ? 12 : 0), len);
	}
	list[n] = NULL;
	*he = (struct hostent){.h_name = name,
		.h_aliases = aliases,
		.h_addrtype = family,
		.h_length = (int)len,
		.h_addr_list = list};
	return 0;
}

static int fail(int code, int result, int *h_errnop, struct hostent **resultp)
{
	*resultp = NULL;
	*h_errnop = code;
	if (code == NETDB_INTERNAL)
		errno = result;
	return result;
}

static int finish(int family, const struct resolved *res, struct hostent *he, char *buf, size_t cap,
	struct hostent **resultp, int *h_errnop)
{
	if (build(family, res, he, buf, cap) != 0)
		return fail(NETDB_INTERNAL, ERANGE, h_errnop, resultp);
	*resultp = he;
	*h_errnop = NETDB_SUCCESS;
	return 0;
}

/* An address in text of the wanted family; 1 when the name is none. */
static int numeric(const char *name, int family, struct resolved *res)
{
	struct in_addr in;

	if (strlen(name) >= sizeof(res->name))
		return 1;
	res->n = 1;
	res->addr[0] = addr_any4;
	memcpy(res->name, name, strlen(name) + 1);
	if (family == AF_INET && inet_aton(name, &in)) {
		memcpy(res->addr[0].b + 12, &in, sizeof(in));
		return 0;
	}
	if (family == AF_INET6 && inet_pton(AF_INET6, name, res->addr[0].b) == 1)
		return 0;
	return 1;
}

HOOK int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict he,
	char *restrict buf, size_t cap, struct hostent **restrict resultp, int *restrict h_errnop)
{
	struct resolved res = {.n = 0};
	int n = 0, r, saved = errno;

	if (family != AF_INET && family != AF_INET6)
		return fail(NETDB_INTERNAL, EAFNOSUPPORT, h_errnop, resultp);
	if (numeric(name, family, &res) == 0)
		return finish(family, &res, he, buf, cap, resultp, h_errnop);
	r = resolve_name(name, family == AF_INET ? ASK_NAME_V4 : ASK_NAME_V6, &res);
	errno = saved;
	if (r == -EAGAIN)
		return fail(TRY_AGAIN, EAGAIN, h_errnop, resultp);
	if (r == -ENODATA)
		return fail(NO_DATA, 0, h_errnop, resultp);
	if (r == -EIO)
		return fail(NO_RECOVERY, 0, h_errnop, resultp);
	if (r < 0)
		return fail(HOST_NOT_FOUND, 0, h_errnop, resultp);
	for (int i = 0; i < res.n; i++)
		if (addr_is_v4(&res.addr[i]) == (family == AF_INET))
			res.addr[n++] = res.addr[i];
	res.n = n;
	if (n == 0)
		return fail(NO_DATA, 0, h_errnop, resultp);
	return finish(family, &res, he, buf, cap, resultp, h_errnop);
}

HOOK int gethostbyname_r(const char *restrict name, struct hostent *restrict he, char *restrict buf,
	size_t cap, struct hostent **restrict resultp, int *restrict h_errnop)
{
	return gethostbyname2_r(name, AF_INET, he, buf, cap, resultp, h_errnop);
}

HOOK int gethostbyaddr_r(const void *restrict addr, socklen_t len, int family,
	struct hostent *restrict he, char *restrict buf, size_t cap,
	struct hostent **restrict resultp, int *restrict h_errnop)
{
	struct resolved res = {.n = 1, .addr = {addr_any4}};
	int r, saved = errno;

	if ((family != AF_INET || len < 4) && (family != AF_INET6 || len < 16))
		return fail(NETDB_INTERNAL, EAFNOSUPPORT, h_errnop, resultp);
	memcpy(res.addr[0].b + (family == AF_INET ? 12 : 0), addr, family == AF_INET ? 4 : 16);
	r = resolve_addr(&res.addr[0], res.name);
	errno = saved;
	if (r == -EAGAIN)
		return fail(TRY_AGAIN, EAGAIN, h_errnop, resultp);
	if (r < 0)
		return fail(HOST_NOT_FOUND, 0, h_errnop, resultp);
	return finish(family, &res, he, buf, cap, resultp, h_errnop);
}

static struct hostent static_he;
static char static_buf[ASK_ADDRS_MAX * (16 + sizeof(char *)) + ASK_NAME_MAX + 64];

HOOK struct hostent *gethostbyname2(const char *name, int family)
{
	struct hostent *result;
	int err;

	gethostbyname2_r(name, family, &static_he, static_buf, sizeof(static_buf), &result, &err);
	h_errno = err;
	return result;
}

HOOK struct hostent *gethostbyname(const char *name)
{
	return gethostbyname2(name, AF_INET);
}

HOOK struct hostent *gethostbyaddr(const void *addr, socklen_t len, int family)
{
	struct hostent *result;
	int err;

	gethostbyaddr_r(
		addr, len, family, &static_he, static_buf, sizeof(static_buf), &result, &err);
	h_errno = err;
	return result;
}

HOOK void sethostent(int stay_open)
{
	(void)stay_open;
}

HOOK void endhostent(void)
{
}

HOOK struct hostent *gethostent(void)
{
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

HOOK int gethostent_r(struct hostent *restrict he, char *restrict buf, size_t cap,
	struct hostent **restrict resultp, int *restrict h_errnop)
{
	(void)he;
	(void)buf;
	(void)cap;
	return fail(HOST_NOT_FOUND, 0, h_errnop, resultp);
}

/* Networks: libc might ask a name server for these. */
HOOK struct netent *getnetbyname(const char *name)
{
	(void)name;
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

HOOK struct netent *getnetbyaddr(uint32_t net, int family)
{
	(void)net;
	(void)family;
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

HOOK int getnetbyname_r(const char *restrict name, struct netent *restrict ne, char *restrict buf,
	size_t cap, struct netent **restrict resultp, int *restrict h_errnop)
{
	(void)name;
	(void)ne;
	(void)buf;
	(void)cap;
	*resultp = NULL;
	*h_errnop = HOST_NOT_FOUND;
	return 0;
}

HOOK int getnetbyaddr_r(uint32_t net, int family, struct netent *restrict ne, char *restrict buf,
	size_t cap, struct netent **restrict resultp, int *restrict h_errnop)
{
	(void)net;
	(void)family;
	(void)ne;
	(void)buf;
	(void)cap;
	*resultp = NULL;
	*h_errnop = HOST_NOT_FOUND;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Names of a portspace: localhost (RFC 6761), the portspace's own host name, and what the broker
 * says: its hosts, names of links, and its DNS servers, which it reaches through the portspace. No
 * query of any kind goes elsewhere: not to a name server, nscd or resolver daemon of the host. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "preload.h"

static bool is_localhost(const char *name)
{
	static const char label[] = "localhost";
	size_t n = strlen(name), len = sizeof(label) - 1;

	if (strcasecmp(name, "localhost.localdomain") == 0)
		return true;
	if (n < len || strcasecmp(name + n - len, label) != 0)
		return false;
	return n == len || name[n - len - 1] == '.';
}

bool resolve_configured(bool v6)
{
	const struct shim_info *si = info_get();

	for (int i = 0; si && i < si->info.naddr; i++)
		if (addr_is_v4(&si->info.addr[i].addr) == !v6)
			return true;
	return false;
}

/* Reachable families first (RFC 6724 rule 1), otherwise the order stays. */
static void sort(struct resolved *res)
{
	struct addr later[RESOLVE_MAX];
	int n = 0, nlater = 0;

	for (int i = 0; i < res->n; i++) {
		const struct addr *a = &res->addr[i];

		if (addr_is_loopback(a) || resolve_configured(!addr_is_v4(a)))
			res->addr[n++] = *a;
		else
			later[nlater++] = *a;
	}
	memcpy(res->addr + n, later, (size_t)nlater * sizeof(*later));
}

static int ask_name(const char *name, unsigned families, struct resolved *resp)
{
	struct ask_request req = {.op = ASK_NAME, .flags = (uint8_t)families};
	struct ask_reply rep;
	int r;

	memcpy(req.name, name, strlen(name) + 1);
	r = ask_broker(&req, &rep, ASK_MEDIUM);
	if (r < 0)
		return r == -ENODATA || r == -EIO || r == -ENOENT ? r : -EAGAIN;
	resp->n = rep.naddr;
	memcpy(resp->addr, rep.addr, rep.naddr * sizeof(rep.addr[0]));
	memcpy(resp->name, rep.name[0] ? rep.name : req.name, sizeof(resp->name));
	return resp->n > 0 ? 0 : -ENOENT;
}

static int own_name(const struct info *info, const char *name, struct resolved *resp)
{
	memcpy(resp->name, name, strlen(name) + 1);
	resp->n = 0;
	for (int i = 0; i < info->naddr; i++)
		resp->addr[resp->n++] = info->addr[i].addr;
	if (resp->n == 0)
		resp->addr[resp->n++] = addr_loopback4;
	return 0;
}

int resolve_name(const char *name, unsigned families, struct resolved *resp)
{
	const struct shim_info *si = info_get();
	size_t n = strnlen(name, ASK_NAME_MAX + 1);
	bool absolute = n > 0 && name[n - 1] == '.';
	char text[ASK_NAME_MAX];
	int r;

	if (n - absolute == 0 || n >= sizeof(text) || !si)
		return -ENOENT;
	memcpy(text, name, n - absolute);
	text[n - absolute] = '\0';
	if (is_localhost(text)) {
		memcpy(resp->name, text, n + 1);
		resp->addr[0] = addr_loopback6;
		resp->addr[1] = addr_loopback4;
		resp->n = 2;
		return 0;
	}
	if (strcasecmp(text, si->info.hostname) == 0 && si->info.naddr == 0)
		r = own_name(&si->info, text, resp);
	else
		r = ask_name(name, families, resp);
	if (r < 0 && strcasecmp(text, si->info.hostname) == 0)
		r = own_name(&si->info, text, resp);
	if (r == 0)
		sort(resp);
	return r;
}

int resolve_addr(const struct addr *a, char *buf)
{
	const struct shim_info *si = info_get();
	struct ask_request req = {.op = ASK_ADDR, .local = {.addr = *a}};
	struct ask_reply rep;
	int r;

	if (addr_is_loopback(a)) {
		memcpy(buf, "localhost", sizeof("localhost"));
		return 0;
	}
	r = ask_broker(&req, &rep, ASK_SMALL);
	if (r == 0 && rep.name[0]) {
		memcpy(buf, rep.name, sizeof(rep.name));
		return 0;
	}
	if (si && info_own(&si->info, a) >= 0 && si->info.hostname[0]) {
		memcpy(buf, si->info.hostname, sizeof(si->info.hostname));
		return 0;
	}
	return r == -ENOENT || r == 0 ? -ENOENT : -EAGAIN;
}

/* SPDX-License-Identifier: MIT */
/* The resolver's DNS interface (resolver(3)): messages go to the portspace's name servers by way of
 * the broker. Composing and parsing them stays libc's; a res_state shows the portspace's servers
 * and search domains.
 *
 * h_errno as libc sets it: HOST_NOT_FOUND (NXDOMAIN), NO_DATA (no such record), TRY_AGAIN (no
 * answer), NO_RECOVERY (anything else). */
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "etc_files.h"
#include "preload.h"
#include "real.h"

/* <resolv.h> renames some of these with macros; both spellings are exported. */
#undef res_query
#undef res_search
#undef res_querydomain
#undef res_send
#undef res_nquery
#undef res_nsearch
#undef res_nquerydomain
#undef res_nsend

enum { HEAD = 12, RCODE = 15, REPLY_SIZE = ASK_DNS_HEAD + ASK_DNS_MAX };

/* --- state --- */

/* Puts the portspace's servers in place of those that libc has read. */
static void take_servers(res_state state, const struct etc_resolv *r)
{
	for (int i = 0; i < MAXNS; i++) {
		free(state->_u._ext.nsaddrs[i]);
		state->_u._ext.nsaddrs[i] = NULL;
	}
	state->nscount = 0;
	for (int i = 0; i < r->nserver && i < MAXNS; i++) {
		struct endpoint ep = {.addr = r->server[i], .port = NAMESERVER_PORT};
		bool v4 = addr_is_v4(&ep.addr);
		struct sockaddr_storage ss;

		memset(&state->nsaddr_list[i], 0, sizeof(state->nsaddr_list[i]));
		endpoint_to_sockaddr(&ep, v4 ? AF_INET : AF_INET6, &ss);
		if (v4) {
			memcpy(&state->nsaddr_list[i], &ss, sizeof(struct sockaddr_in));
		} else {
			struct sockaddr_in6 *in6 = malloc(sizeof(*in6));

			if (!in6)
				break;
			memcpy(in6, &ss, sizeof(*in6));
			state->_u._ext.nsaddrs[i] = in6;
		}
		state->nscount++;
	}
}

static void take_domains(res_state state, const struct etc_resolv *r)
{
	memset(state->dnsrch, 0, sizeof(state->dnsrch));
	memset(state->defdname, 0, sizeof(state->defdname));
	memcpy(state->defdname, r->text, sizeof(state->defdname) - 1);
	for (int i = 0; i < r->ndomain && i < MAXDNSRCH; i++)
		state->dnsrch[i] = state->defdname + r->domain[i];
	state->ndots = 1;
}

static int as_portspace(res_state state, int result)
{
	struct etc_resolv r;

	if (result == 0 && state) {
		etc_resolv_read(&r);
		take_servers(state, &r);
		take_domains(state, &r);
	}
	return result;
}

HOOK int __res_ninit(res_state state)
{
	return as_portspace(state, real(__res_ninit)(state));
}

HOOK int __res_init(void)
{
	int r = real(__res_init)();

	return as_portspace(&_res, r);
}

static int ready(res_state state)
{
	return state->options & RES_INIT ? 0 : __res_ninit(state);
}

/* --- one message --- */

static int failed(res_state state, int code)
{
	state->res_h_errno = code;
	h_errno = code;
	return -1;
}

/* The answer's length, also when it did not fit, or a negative errno. */
static int exchange(const unsigned char *msg, int len, unsigned char *answer, int cap)
{
	struct ask_request req = {.op = ASK_DNS};
	struct ask_reply rep;
	long mem;
	int r;

	if (len < HEAD || len > (int)sizeof(req.query) || cap < HEAD)
		return -EMSGSIZE;
	req.nquery = (uint16_t)len;
	memcpy(req.query, msg, (size_t)len);
	/* larger than some threads' stacks have room for */
	mem = SYS(SYS_mmap, NULL, REPLY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (mem < 0 && mem > -4096)
		return (int)mem;
	r = ask_broker_at(&req, &rep, (uint8_t *)mem, REPLY_SIZE);
	if (r == 0 && rep.nanswer < HEAD)
		r = -EIO;
	if (r == 0) {
		r = rep.nanswer;
		memcpy(answer, rep.answer, (size_t)(r < cap ? r : cap));
		if (r > cap)
			((HEADER *)answer)->tc = 1;
	}
	SYS(SYS_munmap, mem, REPLY_SIZE);
	return r;
}

static int send_message(
	res_state state, const unsigned char *msg, int len, unsigned char *answer, int cap)
{
	int r = exchange(msg, len, answer, cap);

	if (r >= 0)
		return r;
	failed(state, TRY_AGAIN);
	errno = r == -EMSGSIZE ? EMSGSIZE : r == -EAGAIN ? ETIMEDOUT : ECONNREFUSED;
	return -1;
}

/* --- queries --- */

static int judge(res_state state, const unsigned char *answer, int len)
{
	unsigned count = (unsigned)answer[6] << 8 | answer[7];

	switch (answer[3] & RCODE) {
	case ns_r_noerror:
		return count > 0 ? len : failed(state, NO_DATA);
	case ns_r_nxdomain:
		return failed(state, HOST_NOT_FOUND);
	case ns_r_servfail:
		return failed(state, TRY_AGAIN);
	default:
		return failed(state, NO_RECOVERY);
	}
}

static int query(
	res_state state, const char *name, int class, int type, unsigned char *answer, int cap)
{
	unsigned char msg[ASK_QUERY_MAX];
	int r;

	if (ready(state) < 0)
		return failed(state, NETDB_INTERNAL);
	r = res_nmkquery(state, QUERY, name, class, type, NULL, 0, NULL, msg, sizeof(msg));
	if (r <= 0)
		return failed(state, NO_RECOVERY);
	r = send_message(state, msg, r, answer, cap);
	return r < 0 ? r : judge(state, answer, r);
}

static int query_domain(res_state state, const char *name, const char *domain, int class, int type,
	unsigned char *answer, int cap)
{
	char full[MAXDNAME + 1];
	size_t n = strlen(name);

	if (n > 0 && name[n - 1] == '.' && !domain)
		n--;
	if (snprintf(full, sizeof(full), "%.*s%s%s", (int)n, name, domain ? "." : "",
		    domain ? domain : "") >= (int)sizeof(full))
		return failed(state, NO_RECOVERY);
	return query(state, full, class, type, answer, cap);
}

/* Names are tried in the order of resolv.conf(5); the error is the one that says most. */
static int search(
	res_state state, const char *name, int class, int type, unsigned char *answer, int cap)
{
	bool absolute = name[0] && name[strlen(name) - 1] == '.', dotted = strchr(name, '.');
	bool nodata = false, again = false;
	int first = -1, r;

	if (ready(state) < 0)
		return failed(state, NETDB_INTERNAL);
	if (dotted) {
		r = query_domain(state, name, NULL, class, type, answer, cap);
		if (r > 0 || absolute)
			return r;
		first = state->res_h_errno;
	}
	for (int i = 0; state->dnsrch[i] && i < MAXDNSRCH; i++) {
		if (!(state->options & (dotted ? RES_DNSRCH : RES_DNSRCH | RES_DEFNAMES)))
			break;
		r = query_domain(state, name, state->dnsrch[i], class, type, answer, cap);
		if (r > 0)
			return r;
		nodata |= state->res_h_errno == NO_DATA;
		again |= state->res_h_errno == TRY_AGAIN;
		if (state->res_h_errno == NO_RECOVERY)
			break;
	}
	if (!dotted) {
		r = query_domain(state, name, NULL, class, type, answer, cap);
		if (r > 0)
			return r;
	}
	if (first >= 0)
		return failed(state, first);
	return nodata  ? failed(state, NO_DATA)
	       : again ? failed(state, TRY_AGAIN)
		       : failed(state, state->res_h_errno);
}

/* --- what is exported: for each, the form with a state and the one without --- */

#define NAMED_QUERY(name, nname, fn)                                                          \
	HOOK int nname(res_state, const char *, int, int, unsigned char *, int);              \
	HOOK int nname(res_state state, const char *dname, int class, int type,               \
		unsigned char *answer, int cap)                                               \
	{                                                                                     \
		return fn(state, dname, class, type, answer, cap);                            \
	}                                                                                     \
	HOOK int name(const char *, int, int, unsigned char *, int);                          \
	HOOK int name(const char *dname, int class, int type, unsigned char *answer, int cap) \
	{                                                                                     \
		return fn(&_res, dname, class, type, answer, cap);                            \
	}
#define QUERYDOMAIN(name, nname)                                                               \
	HOOK int nname(res_state, const char *, const char *, int, int, unsigned char *, int); \
	HOOK int nname(res_state state, const char *dname, const char *domain, int class,      \
		int type, unsigned char *answer, int cap)                                      \
	{                                                                                      \
		return query_domain(state, dname, domain, class, type, answer, cap);           \
	}                                                                                      \
	HOOK int name(const char *, const char *, int, int, unsigned char *, int);             \
	HOOK int name(const char *dname, const char *domain, int class, int type,              \
		unsigned char *answer, int cap)                                                \
	{                                                                                      \
		return query_domain(&_res, dname, domain, class, type, answer, cap);           \
	}
#define SEND(name, nname)                                                                         \
	HOOK int nname(res_state, const unsigned char *, int, unsigned char *, int);              \
	HOOK int nname(res_state state, const unsigned char *msg, int len, unsigned char *answer, \
		int cap)                                                                          \
	{                                                                                         \
		return send_message(state, msg, len, answer, cap);                                \
	}                                                                                         \
	HOOK int name(const unsigned char *, int, unsigned char *, int);                          \
	HOOK int name(const unsigned char *msg, int len, unsigned char *answer, int cap)          \
	{                                                                                         \
		return send_message(&_res, msg, len, answer, cap);                                \
	}

NAMED_QUERY(res_query, res_nquery, query)
NAMED_QUERY(__res_query, __res_nquery, query)
NAMED_QUERY(res_search, res_nsearch, search)
NAMED_QUERY(__res_search, __res_nsearch, search)
QUERYDOMAIN(res_querydomain, res_nquerydomain)
QUERYDOMAIN(__res_querydomain, __res_nquerydomain)
SEND(res_send, res_nsend)
SEND(__res_send, __res_nsend)

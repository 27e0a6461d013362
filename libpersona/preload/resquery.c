/* SPDX-License-Identifier: MIT */
/* The resolver's DNS interface (resolver(3)): a portspace has no name server yet, so every query
 * ends at once, without a packet. Queries for a name say "no such host", sending a prepared message
 * says "try again". Composing and parsing messages stays libc's. */
#include <resolv.h>
#include <netdb.h>

#include "preload.h"

/* <resolv.h> renames some of these with macros; both spellings are exported. */
#undef res_query
#undef res_search
#undef res_querydomain
#undef res_send
#undef res_nquery
#undef res_nsearch
#undef res_nquerydomain
#undef res_nsend

static int no_host(void)
{
	h_errno = HOST_NOT_FOUND;
	return -1;
}

static int no_host_in(res_state state)
{
	if (state)
		state->res_h_errno = HOST_NOT_FOUND;
	return no_host();
}

static int no_server(res_state state)
{
	if (state)
		state->res_h_errno = TRY_AGAIN;
	h_errno = TRY_AGAIN;
	return ret(-ECONNREFUSED);
}

#define ANSWER_QUERY(name)                                                                    \
	HOOK int name(const char *, int, int, unsigned char *, int);                          \
	HOOK int name(const char *dname, int class, int type, unsigned char *answer, int cap) \
	{                                                                                     \
		(void)dname, (void)class, (void)type, (void)answer, (void)cap;                \
		return no_host();                                                             \
	}
#define ANSWER_QUERYDOMAIN(name)                                                             \
	HOOK int name(const char *, const char *, int, int, unsigned char *, int);           \
	HOOK int name(const char *dname, const char *domain, int class, int type,            \
		unsigned char *answer, int cap)                                              \
	{                                                                                    \
		(void)dname, (void)domain, (void)class, (void)type, (void)answer, (void)cap; \
		return no_host();                                                            \
	}
#define NANSWER_QUERY(name)                                                     \
	HOOK int name(res_state, const char *, int, int, unsigned char *, int); \
	HOOK int name(res_state state, const char *dname, int class, int type,  \
		unsigned char *answer, int cap)                                 \
	{                                                                       \
		(void)dname, (void)class, (void)type, (void)answer, (void)cap;  \
		return no_host_in(state);                                       \
	}
#define NQUERYDOMAIN(name)                                                                         \
	HOOK int name(res_state, const char *, const char *, int, int, unsigned char *, int);      \
	HOOK int name(res_state state, const char *dname, const char *domain, int class, int type, \
		unsigned char *answer, int cap)                                                    \
	{                                                                                          \
		(void)dname, (void)domain, (void)class, (void)type, (void)answer, (void)cap;       \
		return no_host_in(state);                                                          \
	}
#define SEND(name)                                                                       \
	HOOK int name(const unsigned char *, int, unsigned char *, int);                 \
	HOOK int name(const unsigned char *msg, int len, unsigned char *answer, int cap) \
	{                                                                                \
		(void)msg, (void)len, (void)answer, (void)cap;                           \
		return no_server(NULL);                                                  \
	}
#define NSEND(name)                                                                              \
	HOOK int name(res_state, const unsigned char *, int, unsigned char *, int);              \
	HOOK int name(res_state state, const unsigned char *msg, int len, unsigned char *answer, \
		int cap)                                                                         \
	{                                                                                        \
		(void)msg, (void)len, (void)answer, (void)cap;                                   \
		return no_server(state);                                                         \
	}

ANSWER_QUERY(res_query)
ANSWER_QUERY(__res_query)
ANSWER_QUERY(res_search)
ANSWER_QUERY(__res_search)
ANSWER_QUERYDOMAIN(res_querydomain)
ANSWER_QUERYDOMAIN(__res_querydomain)
SEND(res_send)
SEND(__res_send)
NANSWER_QUERY(res_nquery)
NANSWER_QUERY(__res_nquery)
NANSWER_QUERY(res_nsearch)
NANSWER_QUERY(__res_nsearch)
NQUERYDOMAIN(res_nquerydomain)
NQUERYDOMAIN(__res_nquerydomain)
NSEND(res_nsend)
NSEND(__res_nsend)

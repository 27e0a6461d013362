/* SPDX-License-Identifier: MIT */
/* DNS for one portspace: c-ares with sockets that are the portspace's.
 *
 * Model: c-ares composes, sends, repeats and parses (RFC 1035, RFC 5452 for identifiers and ports,
 * RFC 7766 for TCP after a truncated answer). What it takes for sockets are ends of AF_UNIX socket
 * pairs; the other ends are given to the packet plane, as an application's datagram socket would be
 * (libpersona/proto/dgram.h), and to a worker, as the socket of an application that connects. So
 * queries go where those of the portspace's programs go, and nowhere else. Nothing of the host's
 * configuration is read. The c-ares channel exists while there are queries and for
 * DNS_IDLE_MS after.
 *
 * Control loop only. Every query calls its function exactly once, perhaps before the call that
 * started it has returned. Errors: -ENOENT (no such name), -ENODATA (the name has nothing of this
 * kind), -ETIMEDOUT (no answer from any server),
 * -EAGAIN (every server refused or failed, or there are too many queries), -EIO (an answer that
 * makes no sense), -ENOMEM, -ECANCELED (dns_close). */
#ifndef PERSONA_BROKER_DNS_H
#define PERSONA_BROKER_DNS_H

#include <uv.h>

#include "core.h"

struct dns;

enum {
	DNS_SERVERS_MAX = 8,
	DNS_PENDING_MAX = 512, /* queries of a portspace */
	DNS_TIMEOUT_MS = 1500, /* of the first round; each later one doubles it */
	DNS_TRIES = 3,
	DNS_IDLE_MS = 10000,
	DNS_PORT = 53,
	DNS_QUERY_MAX = ASK_QUERY_MAX, /* bytes of a program's message */
	DNS_ADDRS_MAX = ASK_ADDRS_MAX
};

/* How sockets get into the portspace. Both take over `far` in any case and return 0 or a negative
 * errno; what happens later shows on the near end. */
struct dns_ops {
	/* `far` becomes a UDP socket, bound to a free port and connected to `to`. */
	int (*udp)(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far);
	/* `far` becomes a TCP connection to `to`; near is writable when it is open. */
	int (*tcp)(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far);
	void *arg;
};

/* `ops` must outlive it. 0, -EINVAL (no server, too many), -ENOMEM. */
int dns_new(uv_loop_t *loop, const struct dns_ops *ops, struct portspace *ps,
	const struct addr *servers, size_t nservers, struct dns **dnsp);
/* Ends every query; memory is freed when the loop has run. NULL is allowed. Not from a query's
 * function. */
void dns_close(struct dns *dns);

struct dns_addrs {
	char name[ASK_NAME_MAX]; /* canonical */
	uint32_t ttl_s;		 /* the shortest of all that was used */
	size_t n;
	struct addr addr[DNS_ADDRS_MAX]; /* last: see names_cache.c */
};

typedef void (*dns_addrs_fn)(int err, const struct dns_addrs *addrs, void *arg);
typedef void (*dns_name_fn)(int err, const char *name, void *arg);
typedef void (*dns_raw_fn)(int err, const uint8_t *answer, size_t len, void *arg);

/* Addresses of exactly this name, of both families (AF_UNSPEC) or one. */
void dns_query_addrs(struct dns *dns, const char *name, int family, dns_addrs_fn fn, void *arg);
/* The name of an address. */
void dns_query_name(struct dns *dns, const struct addr *addr, dns_name_fn fn, void *arg);
/* A message as the program made it. The answer has its identifier. */
void dns_query_raw(struct dns *dns, const uint8_t *query, size_t len, dns_raw_fn fn, void *arg);

size_t dns_pending(const struct dns *dns);

#endif

/* SPDX-License-Identifier: MIT */
/* What a portspace's names are: the answers to ASK_NAME, ASK_ADDR and ASK_DNS (ask.h).
 *
 * Model: the portspace's own table (hosts.h) comes first; a name that is in it goes nowhere else.
 * Then its DNS servers are asked (dns.h), as resolver(3) does it: a name without a dot with the
 * search domains first, one with a dot as it is first (ndots 1), one with a final dot only as it
 * is. Addresses are remembered for as long as their TTL says, at most NAMES_TTL_MAX_S and
 * NAMES_CACHE_MAX names of a portspace. A portspace without servers has its own names only.
 *
 * Errors of a reply: ENOENT (no such name), ENODATA (it exists, and has no such address), EAGAIN
 * (no server answered), EIO (an answer that makes no sense). Control loop only. */
#ifndef PERSONA_BROKER_NAMES_H
#define PERSONA_BROKER_NAMES_H

#include <uv.h>

#include "core.h"
#include "dns.h"

struct names;
struct names_query;

enum { NAMES_CACHE_MAX = 256, NAMES_TTL_MAX_S = 3600, NAMES_PORTSPACES_MAX = 65536 };

/* `ops` must outlive it. 0 or -ENOMEM. */
int names_new(uv_loop_t *loop, struct core *core, const struct dns_ops *ops, struct names **namesp);
/* Ends every query; memory is freed when the loop has run. NULL is allowed. */
void names_close(struct names *names);

/* Is this one of the operations above? */
bool names_has_op(enum ask_op op);
/* True: *rep is the answer, nobody has to be asked. `rep` is zeroed but for the operation. */
bool names_try(struct names *names, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep);

/* Asks the servers. fn is called once, also when the query fails, and not after names_cancel();
 * what rep points to is valid during the call. Returns the query, or NULL when fn was called
 * already. */
typedef void (*names_fn)(const struct ask_reply *rep, void *arg);
struct names_query *names_start(struct names *names, struct portspace *ps,
	const struct ask_request *req, names_fn fn, void *arg);
/* Nobody waits for it any more. NULL is allowed. */
void names_cancel(struct names_query *query);

void names_portspace_gone(struct names *names, struct portspace *ps);

#endif

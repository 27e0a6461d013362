/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "dns"
#include "dns.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dns_sock.h"
#include "log.h"

/* One query; lives until its function was called. */
struct query {
	struct dns *dns;
	dns_addrs_fn addrs;
	dns_name_fn name;
	dns_raw_fn raw;
	void *arg;
	uint8_t id[2]; /* RAW */
};

enum { ID_LEN = 2, HEAD_LEN = 12 };

static int error_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return -ENOENT;
	case ARES_ENODATA:
		return -ENODATA;
	case ARES_EDESTRUCTION:
	case ARES_ECANCELLED:
		return -ECANCELED;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_EBADRESP:
	case ARES_EBADQUERY:
	case ARES_EFORMERR:
		return -EIO;
	case ARES_ETIMEOUT:
		return -ETIMEDOUT;
	default: /* refusals, servers that failed */
		return -EAGAIN;
	}
}

/* --- the channel --- */

static int set_servers(struct dns *dns)
{
	struct ares_addr_port_node nodes[DNS_SERVERS_MAX] = {0};

	for (size_t i = 0; i < dns->nservers; i++) {
		const struct addr *a = &dns->servers[i];
		bool v4 = addr_is_v4(a);

		nodes[i].family = v4 ? AF_INET : AF_INET6;
		memcpy(&nodes[i].addr, a->b + (v4 ? 12 : 0), v4 ? 4 : 16);
		nodes[i].udp_port = nodes[i].tcp_port = DNS_PORT;
		nodes[i].next = i + 1 < dns->nservers ? &nodes[i + 1] : NULL;
	}
	return ares_set_servers_ports(dns->channel, nodes) == ARES_SUCCESS ? 0 : -ENOMEM;
}

/* Everything is said explicitly, so that c-ares looks at no file of the host. */
static int open_channel(struct dns *dns)
{
	struct ares_options options = {.flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOSEARCH,
		.timeout = DNS_TIMEOUT_MS,
		.tries = DNS_TRIES,
		.ndots = 1,
		.lookups = (char *)(uintptr_t) "b",
		.resolvconf_path = (char *)(uintptr_t) "/dev/null",
		.sock_state_cb = dns_sock_state,
		.sock_state_cb_data = dns};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SERVERS | ARES_OPT_DOMAINS |
		   ARES_OPT_SORTLIST | ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE;
	int r;

	if (dns->channel)
		return 0;
	if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
		dns->channel = NULL;
		return -ENOMEM;
	}
	ares_set_socket_functions(dns->channel, &dns_sock_functions, dns);
	r = set_servers(dns);
	if (r < 0) {
		ares_destroy(dns->channel);
		dns->channel = NULL;
	}
	return r;
}

static void timed_out(uv_timer_t *timer);

/* Sets the timer for what comes next: c-ares's own time-outs, or the end of the channel. */
static void set_timer(struct dns *dns)
{
	struct timeval tv, *due;

	if (!dns->channel || dns->closing)
		return;
	due = dns->pending ? ares_timeout(dns->channel, NULL, &tv) : NULL;
	uv_timer_start(&dns->timer, timed_out,
		due ? (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1 : DNS_IDLE_MS,
		0);
}

void dns_process(struct dns *dns, ares_socket_t readable, ares_socket_t writable)
{
	if (!dns->channel)
		return;
	ares_process_fd(dns->channel, readable, writable);
	set_timer(dns);
}

static void timed_out(uv_timer_t *timer)
{
	struct dns *dns = timer->data;

	if (dns->pending) {
		dns_process(dns, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	ares_destroy(dns->channel);
	dns->channel = NULL;
}

/* --- life --- */

int dns_new(uv_loop_t *loop, const struct dns_ops *ops, struct portspace *ps,
	const struct addr *servers, size_t nservers, struct dns **dnsp)
{
	struct dns *dns;

	if (nservers == 0 || nservers > DNS_SERVERS_MAX)
		return -EINVAL;
	dns = calloc(1, sizeof(*dns));
	if (!dns)
		return -ENOMEM;
	dns->loop = loop;
	dns->ops = ops;
	dns->ps = portspace_ref(ps);
	memcpy(dns->servers, servers, nservers * sizeof(*servers));
	dns->nservers = nservers;
	uv_timer_init(loop, &dns->timer);
	dns->timer.data = dns;
	dns->handles = 1;
	*dnsp = dns;
	return 0;
}

void dns_handle_closed(struct dns *dns)
{
	if (--dns->handles > 0)
		return;
	portspace_unref(dns->ps);
	free(dns);
}

static void timer_closed(uv_handle_t *handle)
{
	dns_handle_closed(handle->data);
}

void dns_close(struct dns *dns)
{
	if (!dns)
		return;
	dns->closing = true;
	if (dns->channel)
		ares_destroy(dns->channel);
	dns->channel = NULL;
	uv_close((uv_handle_t *)&dns->timer, timer_closed);
}

size_t dns_pending(const struct dns *dns)
{
	return dns->pending;
}

/* --- queries --- */

/* NULL: the query cannot be made, *errp says why. */
static struct query *new_query(struct dns *dns, void *arg, int *errp)
{
	struct query *q;

	*errp = -EAGAIN;
	if (dns->pending >= DNS_PENDING_MAX || dns->closing)
		return NULL;
	*errp = open_channel(dns);
	if (*errp < 0)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q) {
		*errp = -ENOMEM;
		return NULL;
	}
	q->dns = dns;
	q->arg = arg;
	dns->pending++;
	return q;
}

static void end_query(struct query *q)
{
	q->dns->pending--;
	free(q);
}

static void take_addrs(const struct ares_addrinfo *ai, struct dns_addrs *out)
{
	const char *name = ai->name;

	out->ttl_s = UINT32_MAX;
	for (const struct ares_addrinfo_cname *c = ai->cnames; c; c = c->next) {
		name = c->name;
		if ((uint32_t)c->ttl < out->ttl_s)
			out->ttl_s = (uint32_t)c->ttl;
	}
	snprintf(out->name, sizeof(out->name), "%s", name ? name : "");
	for (const struct ares_addrinfo_node *n = ai->nodes; n && out->n < DNS_ADDRS_MAX;
		n = n->ai_next) {
		struct endpoint ep;

		if (endpoint_from_sockaddr(n->ai_addr, n->ai_addrlen, &ep) < 0)
			continue;
		out->addr[out->n++] = ep.addr;
		if ((uint32_t)n->ai_ttl < out->ttl_s)
			out->ttl_s = (uint32_t)n->ai_ttl;
	}
}

static void got_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_addrs addrs = {.n = 0};
	struct query *q = arg;
	int err = error_of(status);

	(void)timeouts;
	if (err == 0 && ai)
		take_addrs(ai, &addrs);
	ares_freeaddrinfo(ai);
	if (err == 0 && addrs.n == 0)
		err = -ENODATA;
	q->addrs(err, &addrs, q->arg);
	end_query(q);
}

void dns_query_addrs(struct dns *dns, const char *name, int family, dns_addrs_fn fn, void *arg)
{
	const struct ares_addrinfo_hints hints = {.ai_family = family,
		.ai_flags = ARES_AI_CANONNAME | ARES_AI_NOSORT,
		.ai_socktype = SOCK_STREAM};
	struct dns_addrs none = {.n = 0};
	struct query *q;
	int err;

	q = new_query(dns, arg, &err);
	if (!q) {
		fn(err, &none, arg);
		return;
	}
	q->addrs = fn;
	ares_getaddrinfo(dns->channel, name, NULL, &hints, got_addrs, q);
	set_timer(dns);
}

static void got_name(void *arg, int status, int timeouts, struct hostent *he)
{
	struct query *q = arg;
	int err = error_of(status);

	(void)timeouts;
	if (err == 0 && (!he || !he->h_name || !he->h_name[0]))
		err = -ENODATA;
	q->name(err, err == 0 ? he->h_name : "", q->arg);
	end_query(q);
}

void dns_query_name(struct dns *dns, const struct addr *addr, dns_name_fn fn, void *arg)
{
	bool v4 = addr_is_v4(addr);
	struct query *q;
	int err;

	q = new_query(dns, arg, &err);
	if (!q) {
		fn(err, "", arg);
		return;
	}
	q->name = fn;
	ares_gethostbyaddr(dns->channel, addr->b + (v4 ? 12 : 0), v4 ? 4 : 16,
		v4 ? AF_INET : AF_INET6, got_name, q);
	set_timer(dns);
}

/* Also of a name that does not exist there is an answer to hand on. */
static void got_raw(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
	struct query *q = arg;
	int err = error_of(status);

	(void)timeouts;
	if (answer && len >= HEAD_LEN) {
		memcpy(answer, q->id, ID_LEN);
		q->raw(0, answer, (size_t)len, q->arg);
	} else {
		q->raw(err == 0 ? -EIO : err, NULL, 0, q->arg);
	}
	end_query(q);
}

void dns_query_raw(struct dns *dns, const uint8_t *query, size_t len, dns_raw_fn fn, void *arg)
{
	uint8_t copy[DNS_QUERY_MAX];
	struct query *q;
	int err = -EIO;

	q = len < HEAD_LEN || len > sizeof(copy) ? NULL : new_query(dns, arg, &err);
	if (!q) {
		fn(err, NULL, 0, arg);
		return;
	}
	q->raw = fn;
	/* the program's identifier may be one that can be guessed */
	memcpy(q->id, query, ID_LEN);
	memcpy(copy, query, len);
	randombytes_buf(copy, ID_LEN);
	ares_send(dns->channel, copy, (int)len, got_raw, q);
	set_timer(dns);
}

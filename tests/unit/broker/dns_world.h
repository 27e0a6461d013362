/* SPDX-License-Identifier: MIT */
/* Name servers behind the far ends of a resolver's sockets (struct dns_ops), for the tests of
 * names.
 *
 * A server reads what a portspace's plane would read: datagrams with their heads, or a stream that
 * waits at no gate. What it answers depends on the first label of the name:
 *   a A 10.1.2.3, TTL 60           six AAAA fd00::6              both: both of these
 *   www CNAME both.test            cut: cut by UDP, whole by TCP  only: no data
 *   fail SERVFAIL                  refused REFUSED               late: nothing ever
 *   false A, after wrong messages   icmp: an ICMP error           10.1.2.3 has the name a.test
 *   zero A 10.1.2.3, TTL 0         and anything else is NXDOMAIN. */
#ifndef PERSONA_TEST_DNS_WORLD_H
#define PERSONA_TEST_DNS_WORLD_H

#include "core_fixture.h"

#include <arpa/nameser.h>
#include <uv.h>

#include "dgram.h"
#include "dns.h"

enum { WORLD_SOCKS = 64, WORLD_MESSAGE = 4096, WORLD_ADDRS = 40 };

struct world_sock {
	struct dns_world *world;
	uv_poll_t poll;
	int fd;
	bool stream;
	struct endpoint to;
};

struct dns_world {
	struct fixture *f;
	uv_loop_t loop;
	struct dns_ops ops;
	struct portspace *ps;
	struct world_sock *socks[WORLD_SOCKS];
	unsigned nsocks, nudp, ntcp, queries;
	uint16_t last_id;
	int fail_udp; /* errno of the next open, once */
};

/* --- messages --- */

struct reply {
	uint8_t b[WORLD_MESSAGE];
	size_t len;
	uint16_t answers;
};

static inline void put16(struct reply *r, unsigned v)
{
	r->b[r->len++] = (uint8_t)(v >> 8);
	r->b[r->len++] = (uint8_t)v;
}

/* A record of the name that is asked for (or `owner`, a name in wire form). */
static inline void put_record(struct reply *r, const char *owner, unsigned type, unsigned ttl,
	const void *data, size_t len)
{
	if (owner) {
		memcpy(r->b + r->len, owner, strlen(owner) + 1);
		r->len += strlen(owner) + 1;
	} else {
		put16(r, 0xc00c);
	}
	put16(r, type);
	put16(r, ns_c_in);
	put16(r, 0);
	put16(r, ttl);
	put16(r, (unsigned)len);
	memcpy(r->b + r->len, data, len);
	r->len += len;
	r->answers++;
}

static inline void put_addr(struct reply *r, const char *owner, const char *text, unsigned ttl)
{
	struct addr a = address(text);

	if (addr_is_v4(&a))
		put_record(r, owner, ns_t_a, ttl, a.b + 12, 4);
	else
		put_record(r, owner, ns_t_aaaa, ttl, a.b, 16);
}

/* What the zone says. The code, or -1 for no answer. */
static inline int zone(const char *name, unsigned type, bool stream, struct reply *r, bool *cutp)
{
	bool v4 = type == ns_t_a, v6 = type == ns_t_aaaa;

	if (strncmp(name, "3.2.1.10.", 9) == 0 && type == ns_t_ptr) {
		put_record(r, NULL, ns_t_ptr, 60, "\1a\4test", 8);
		return ns_r_noerror;
	}
	if (strcmp(name, "fail.test") == 0)
		return ns_r_servfail;
	if (strcmp(name, "refused.test") == 0)
		return ns_r_refused;
	if (strcmp(name, "late.test") == 0)
		return -1;
	if (strcmp(name, "only.test") == 0)
		return ns_r_noerror;
	if (strcmp(name, "www.test") == 0) {
		put_record(r, NULL, ns_t_cname, 30, "\4both\4test", 11);
		if (v4)
			put_addr(r, "\4both\4test", "10.1.2.3", 60);
		if (v6)
			put_addr(r, "\4both\4test", "fd00::6", 60);
		return ns_r_noerror;
	}
	if (strcmp(name, "cut.test") == 0) {
		*cutp = !stream;
		for (int i = 0; v4 && stream && i < WORLD_ADDRS; i++)
			put_addr(r, NULL, "10.1.2.3", 60);
		return ns_r_noerror;
	}
	if (strcmp(name, "a.test") == 0 || strcmp(name, "host.corp.test") == 0 ||
		strcmp(name, "both.test") == 0 || strcmp(name, "zero.test") == 0 ||
		strcmp(name, "false.test") == 0) {
		if (v4)
			put_addr(r, NULL, "10.1.2.3", name[0] == 'z' ? 0 : 60);
		if (v6 && name[0] == 'b')
			put_addr(r, NULL, "fd00::6", 60);
		return ns_r_noerror;
	}
	if (strcmp(name, "six.test") == 0) {
		if (v6)
			put_addr(r, NULL, "fd00::6", 60);
		return ns_r_noerror;
	}
	return ns_r_nxdomain;
}

/* The question's name with dots; its end in the message. */
static inline size_t question(const uint8_t *q, size_t len, char name[256])
{
	size_t at = 12, n = 0;

	while (at < len && q[at]) {
		for (uint8_t i = 0; i < q[at] && at + 1 + i < len && n < 250; i++)
			name[n++] = (char)q[at + 1 + i];
		name[n++] = '.';
		at += 1U + q[at];
	}
	name[n ? n - 1 : 0] = '\0';
	return at + 5;
}

/* 0: no answer. */
static inline size_t make_reply(
	struct dns_world *w, const uint8_t *q, size_t len, bool stream, struct reply *r)
{
	char name[256];
	size_t end = question(q, len, name);
	bool cut = false;
	int code;

	assert_true(end <= len && len <= 512);
	w->queries++;
	w->last_id = (uint16_t)(q[0] << 8 | q[1]);
	memcpy(r->b, q, end);
	r->len = end;
	r->answers = 0;
	code = zone(name, (unsigned)(q[end - 4] << 8 | q[end - 3]), stream, r, &cut);
	if (code < 0)
		return 0;
	r->b[2] = (uint8_t)(0x84 | (cut ? 2 : 0));
	r->b[3] = (uint8_t)code;
	r->b[6] = (uint8_t)(r->answers >> 8);
	r->b[7] = (uint8_t)r->answers;
	memset(r->b + 8, 0, 4);
	return r->len;
}

/* --- sockets --- */

static inline void world_sock_closed(uv_handle_t *handle)
{
	struct world_sock *s = handle->data;

	close(s->fd);
	free(s);
}

static inline void world_sock_end(struct world_sock *s)
{
	struct dns_world *w = s->world;

	for (unsigned i = 0; i < w->nsocks; i++)
		if (w->socks[i] == s)
			w->socks[i--] = w->socks[--w->nsocks];
	uv_close((uv_handle_t *)&s->poll, world_sock_closed);
}

static inline void send_datagram(
	struct world_sock *s, const struct dgram_head *head, const void *payload, size_t len)
{
	uint8_t out[DGRAM_HEAD + WORLD_MESSAGE];

	dgram_head_encode(head, out);
	memcpy(out + DGRAM_HEAD, payload, len);
	assert_int_equal(
		send(s->fd, out, DGRAM_HEAD + len, MSG_NOSIGNAL), (ssize_t)(DGRAM_HEAD + len));
}

static inline void answer_datagram(struct world_sock *s, uint8_t *q, size_t len)
{
	struct dgram_head head = {.kind = DGRAM_DATA, .src = s->to, .dst = s->to};
	struct reply r;

	if (memcmp(q + 12, "\4icmp", 5) == 0) {
		head.kind = DGRAM_ERROR;
		head.err = ECONNREFUSED;
		s->world->queries++;
		send_datagram(s, &head, "", 0);
		return;
	}
	if (make_reply(s->world, q, len, false, &r) == 0)
		return;
	if (memcmp(q + 12, "\5false", 6) == 0) { /* another identifier, question, length, sender */
		r.b[0] ^= 1;
		send_datagram(s, &head, r.b, r.len);
		r.b[0] ^= 1;
		r.b[13] ^= 1;
		send_datagram(s, &head, r.b, r.len);
		r.b[13] ^= 1;
		send_datagram(s, &head, r.b, 11);
		head.src = endpoint("10.99.99.99:53");
		r.b[r.len - 1] ^= 1;
		send_datagram(s, &head, r.b, r.len);
		r.b[r.len - 1] ^= 1;
		head.src = s->to;
	}
	send_datagram(s, &head, r.b, r.len);
}

static inline void answer_stream(struct world_sock *s, uint8_t *q, size_t len)
{
	struct reply r;
	uint8_t out[2 + WORLD_MESSAGE];
	size_t n = make_reply(s->world, q, len, true, &r);

	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	memcpy(out + 2, r.b, n);
	assert_int_equal(send(s->fd, out, 2 + n, MSG_NOSIGNAL), (ssize_t)(2 + n));
}

static inline void world_ready(uv_poll_t *poll, int status, int events)
{
	struct world_sock *s = poll->data;
	uint8_t q[DGRAM_HEAD + 600];
	struct dgram_head head;
	ssize_t n = recv(s->fd, q, sizeof(q), MSG_DONTWAIT);

	(void)status;
	(void)events;
	if (n <= 0) {
		world_sock_end(s);
	} else if (s->stream) {
		assert_true(n > 14 && n == 2 + (q[0] << 8 | q[1]));
		answer_stream(s, q + 2, (size_t)n - 2);
	} else {
		assert_int_equal(dgram_head_decode(q, (size_t)n, &head), 0);
		assert_int_equal(head.kind, DGRAM_DATA);
		assert_int_equal(head.flags, 0);
		answer_datagram(s, q + DGRAM_HEAD, (size_t)n - DGRAM_HEAD);
	}
}

static inline int world_open(struct dns_world *w, const struct endpoint *to, int far, bool stream)
{
	struct world_sock *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_true(w->nsocks < WORLD_SOCKS);
	*s = (struct world_sock){.world = w, .fd = far, .stream = stream, .to = *to};
	assert_int_equal(uv_poll_init(&w->loop, &s->poll, far), 0);
	s->poll.data = s;
	uv_poll_start(&s->poll, UV_READABLE, world_ready);
	w->socks[w->nsocks++] = s;
	return 0;
}

static inline int world_udp(
	void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	struct dns_world *w = arg;
	int err = w->fail_udp;

	assert_ptr_equal(ps, w->ps);
	assert_true(near >= 0 && to->port == DNS_PORT);
	w->nudp++;
	w->fail_udp = 0;
	if (err) {
		close(far);
		return -err;
	}
	return world_open(w, to, far, false);
}

static inline int world_tcp(
	void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	struct dns_world *w = arg;

	(void)ps;
	(void)near;
	w->ntcp++;
	return world_open(w, to, far, true);
}

/* --- life --- */

/* A portspace with these entries of DNS = (separated by spaces). */
static inline struct dns_world *world_new(const char *dns)
{
	struct dns_world *w = calloc(1, sizeof(*w));
	struct config *config;
	char text[256], *save = NULL;
	struct addr a;

	assert_non_null(w);
	fixture_setup((void **)&w->f);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->ops = (struct dns_ops){.udp = world_udp, .tcp = world_tcp, .arg = w};
	config = make_config("10.77.0.1/24 fd00::1/64");
	snprintf(text, sizeof(text), "%s", dns);
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save))
		snprintf(config->dns[config->ndns++], HOSTS_NAME_MAX, "%s", s);
	a = address("10.77.0.9");
	assert_int_equal(config_add_host(config, &a, "srv"), 0);
	assert_int_equal(portspace_add(w->f->core, "work", config, false, NULL, &w->ps), 0);
	return w;
}

/* Everything that uses the loop is closed already. */
static inline void world_free(struct dns_world *w)
{
	while (w->nsocks)
		world_sock_end(w->socks[0]);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	fixture_teardown((void **)&w->f);
	free(w);
}

#endif

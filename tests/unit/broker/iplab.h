/* SPDX-License-Identifier: MIT */
/* A laboratory of IP stacks joined in memory, on a virtual clock.
 *
 * Each node has addresses, routes (which are also what its links may claim as sources) and a log of
 * what arrived. A link copies each packet into memory of exactly its size and the promised room,
 * and spoils the room around the original, as a link that seals in place does. With IPLAB_PCAP in
 * the environment all packets are written to that file (LINKTYPE_RAW) for other decoders. */
#ifndef PERSONA_TEST_IPLAB_H
#define PERSONA_TEST_IPLAB_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "icmp.h"
#include "ip.h"
#include "ip_frag.h"
#include "ipstack.h"

enum { LAB_NODES = 4, LAB_LINKS = 8, LAB_ROUTES = 8, LAB_LOG = 64, LAB_PORT = 7 };

struct lab;

struct lab_link {
	struct lab_node *node;
	struct lab_link *peer;
	struct addr local; /* link-local */
	uint32_t mtu;
};

struct lab_route {
	struct prefix prefix;
	struct lab_link *link;
	int err; /* instead of a link */
	bool gateway;
};

struct lab_delivery {
	struct ipstack_delivery d; /* pointers into data and packet */
	uint8_t *data, *packet;
};

struct lab_error {
	struct ipstack_error e;
	uint8_t payload[8];
};

struct lab_node {
	struct lab *lab;
	struct ipstack *st;
	struct addr own[4], group;
	unsigned nown;
	struct lab_route routes[LAB_ROUTES];
	unsigned nroutes;
	bool silent;	 /* answers nothing by itself */
	bool udp_echo;	 /* LAB_PORT sends back what it gets */
	bool ping_pong;	 /* answers every delivery of UDP, also its own */
	bool no_address; /* ops.address denies */
	bool trusting;	 /* any source by any link */
	bool forgetful;	 /* knows of no packet that errors are about */
	struct lab_delivery log[LAB_LOG];
	unsigned nlog;
	struct lab_error errors[LAB_LOG];
	unsigned nerrors;
	int last_send;
};

struct lab_flight {
	struct lab_link *to;
	uint8_t *memory;
	size_t len;
	struct lab_flight *next;
};

struct lab {
	struct lab_node nodes[LAB_NODES];
	struct lab_link links[LAB_LINKS];
	unsigned nlinks;
	struct lab_flight *queue, **tail;
	uint64_t now_ns;
	unsigned sent;	     /* packets on all links */
	unsigned longest;    /* of them */
	bool hold;	     /* keep packets in the queue */
	uint8_t last[65536]; /* the last packet sent */
	size_t last_len;
	FILE *pcap;
};

static inline struct addr lab_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static inline void lab_pcap(struct lab *lab, const uint8_t *packet, size_t len)
{
	const uint32_t record[4] = {(uint32_t)(lab->now_ns / 1000000000),
		(uint32_t)(lab->now_ns % 1000000000 / 1000), (uint32_t)len, (uint32_t)len};

	if (!lab->pcap)
		return;
	fwrite(record, sizeof(record), 1, lab->pcap);
	fwrite(packet, len, 1, lab->pcap);
}

static inline void lab_transmit(void *arg, void *link, uint8_t *packet, size_t len)
{
	struct lab_node *node = arg;
	struct lab_link *from = link;
	struct lab *lab = node->lab;
	struct lab_flight *f = calloc(1, sizeof(*f));

	assert_ptr_equal(from->node, node);
	assert_true(len <= from->mtu);
	assert_non_null(f);
	f->memory = malloc(IPSTACK_INPUT_HEADROOM + len + IPSTACK_INPUT_TAILROOM);
	assert_non_null(f->memory);
	memcpy(f->memory + IPSTACK_INPUT_HEADROOM, packet, len);
	lab_pcap(lab, packet, len);
	memcpy(lab->last, packet, len);
	lab->last_len = len;
	f->to = from->peer;
	f->len = len;
	*lab->tail = f;
	lab->tail = &f->next;
	lab->sent++;
	if (len > lab->longest)
		lab->longest = (unsigned)len;
	memset(packet - IPSTACK_INPUT_HEADROOM, 0xee,
		IPSTACK_INPUT_HEADROOM + len + IPSTACK_INPUT_TAILROOM);
}

static inline bool lab_is_local6(const struct addr *a)
{
	return ip_classify(a) == IP_LINK_LOCAL;
}

static inline const struct lab_route *lab_lookup(const struct lab_node *node, const struct addr *a)
{
	const struct lab_route *best = NULL;

	for (unsigned i = 0; i < node->nroutes; i++) {
		const struct lab_route *r = &node->routes[i];

		if (addr_is_v4(&r->prefix.addr) == addr_is_v4(a) &&
			prefix_contains(&r->prefix, a) &&
			(!best || r->prefix.len > best->prefix.len))
			best = r;
	}
	return best;
}

static inline bool lab_owns(void *arg, void *link, const struct addr *a)
{
	const struct lab_node *node = arg;
	const struct lab_link *l = link;

	for (unsigned i = 0; i < node->nown; i++)
		if (addr_equal(&node->own[i], a))
			return true;
	if (l && (addr_equal(a, &l->local) || addr_equal(a, &node->group)))
		return true;
	return false;
}

static inline int lab_route(void *arg, void *from, const struct addr *src, const struct addr *dst,
	struct ipstack_next *nextp)
{
	const struct lab_node *node = arg;
	const struct lab_route *back = lab_lookup(node, src), *r = lab_lookup(node, dst);

	if (from && !node->trusting && !(back && back->link == from) &&
		!addr_equal(src, &((struct lab_link *)from)->peer->local))
		return -EACCES;
	if (!from && !lab_is_local6(src) && !lab_owns(arg, NULL, src) && !(back && back->gateway))
		return -EACCES;
	*nextp = (struct ipstack_next){.where = IPSTACK_LOCAL};
	if (lab_owns(arg, NULL, dst))
		return 0;
	if (lab_is_local6(dst)) {
		*nextp = (struct ipstack_next){.where = IPSTACK_LINK};
		for (unsigned i = 0; i < node->lab->nlinks; i++) {
			struct lab_link *l = &node->lab->links[i];

			if (l->node == node && addr_equal(&l->peer->local, dst)) {
				nextp->link = l;
				nextp->mtu = l->mtu;
				return 0;
			}
		}
		return -ENETUNREACH;
	}
	if (!r)
		return -ENETUNREACH;
	if (r->err)
		return r->err;
	nextp->where = r->gateway ? IPSTACK_GATEWAY : IPSTACK_LINK;
	nextp->link = r->link;
	nextp->mtu = r->link ? r->link->mtu : 65535;
	return 0;
}

static inline uint32_t lab_mtu(void *arg, void *link)
{
	(void)arg;
	return ((struct lab_link *)link)->mtu;
}

static inline bool lab_address(void *arg, void *link, bool v6, struct addr *ap)
{
	const struct lab_node *node = arg;

	(void)link;
	for (unsigned i = 0; i < node->nown && !node->no_address; i++) {
		if (addr_is_v4(&node->own[i]) != v6) {
			*ap = node->own[i];
			return true;
		}
	}
	return false;
}

/* Sends UDP data from a node; the buffer has exactly the promised room. */
static inline int lab_udp(struct lab_node *node, const struct ipstack_out *out, uint16_t sport,
	uint16_t dport, const void *data, size_t len, uint32_t *mtup)
{
	uint8_t *buf = malloc(IPSTACK_HEADROOM + len + IPSTACK_TAILROOM);
	int r;

	assert_non_null(buf);
	if (len)
		memcpy(buf + IPSTACK_HEADROOM, data, len);
	r = ipstack_udp_send(
		node->st, node->lab->now_ns, out, sport, dport, buf + IPSTACK_HEADROOM, len, mtup);
	free(buf);
	return r;
}

static inline void lab_answer(struct lab_node *node, const struct ipstack_delivery *d)
{
	const struct ipstack_out back = {
		.src = d->dst, .dst = d->src, .link = lab_is_local6(&d->src) ? d->link : NULL};
	uint64_t now_ns = node->lab->now_ns;
	uint16_t sport, dport;
	uint8_t *data;
	size_t len;

	if (d->proto == IP_PROTO_TCP) {
		ipstack_tcp_refuse(node->st, now_ns, d);
		return;
	}
	if (d->proto == (addr_is_v4(&d->src) ? IP_PROTO_ICMP : IP_PROTO_ICMPV6))
		return;
	if (d->proto != IP_PROTO_UDP) {
		ipstack_bad_protocol(node->st, now_ns, d);
		return;
	}
	if (ipstack_udp_open(d, &sport, &dport, &data, &len) < 0)
		return;
	if (dport != LAB_PORT && sport != LAB_PORT)
		ipstack_unreachable(node->st, now_ns, d, ICMP4_PORT, ICMP6_PORT);
	else if (node->ping_pong || (node->udp_echo && dport == LAB_PORT && sport != LAB_PORT))
		node->last_send = lab_udp(node, &back, dport, sport, data, len, NULL);
}

static inline void lab_deliver(void *arg, const struct ipstack_delivery *d)
{
	struct lab_node *node = arg;
	struct lab_delivery *l;

	assert_true(d->payload >= d->packet && d->payload + d->len == d->packet + d->packet_len);
	if (node->nlog < LAB_LOG) {
		l = &node->log[node->nlog++];
		l->d = *d;
		l->packet = malloc(d->packet_len);
		assert_non_null(l->packet);
		memcpy(l->packet, d->packet, d->packet_len);
		l->data = l->packet + (d->payload - d->packet);
		l->d.packet = l->packet;
		l->d.payload = l->data;
	}
	if (!node->silent)
		lab_answer(node, d);
}

static inline bool lab_on_error(void *arg, const struct ipstack_error *e)
{
	struct lab_node *node = arg;

	assert_true(e->len >= 8);
	assert_true(node->nerrors < LAB_LOG);
	memcpy(node->errors[node->nerrors].payload, e->payload, 8);
	node->errors[node->nerrors++].e = *e;
	return !node->forgetful;
}

/* Identifications and hash keys that are the same in every run, so that a failure comes again. */
static inline void lab_random_buf(void *buf, size_t len)
{
	static uint64_t state;

	for (size_t i = 0; i < len; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		((uint8_t *)buf)[i] = (uint8_t)(state >> 56);
	}
}

static inline uint32_t lab_random(void)
{
	uint32_t v;

	lab_random_buf(&v, sizeof(v));
	return v;
}

static inline const char *lab_random_name(void)
{
	return "lab";
}

static inline void lab_seed(void)
{
	static randombytes_implementation lab_randombytes = {.implementation_name = lab_random_name,
		.random = lab_random,
		.buf = lab_random_buf};

	assert_int_equal(randombytes_set_implementation(&lab_randombytes), 0);
	assert_true(sodium_init() >= 0);
}

static inline struct lab *lab_new(void)
{
	static const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65536, 101};
	struct ipstack_ops ops = {.route = lab_route,
		.transmit = lab_transmit,
		.deliver = lab_deliver,
		.error = lab_on_error,
		.mtu = lab_mtu,
		.owns = lab_owns,
		.address = lab_address};
	struct lab *lab = calloc(1, sizeof(*lab));
	const char *path = getenv("IPLAB_PCAP");

	assert_non_null(lab);
	lab_seed();
	lab->tail = &lab->queue;
	lab->now_ns = UINT64_C(1000000000000);
	for (int i = 0; i < LAB_NODES; i++) {
		lab->nodes[i].lab = lab;
		ops.arg = &lab->nodes[i];
		assert_int_equal(ipstack_new(&ops, &lab->nodes[i].st), 0);
	}
	if (path) {
		lab->pcap = fopen(path, "ab");
		assert_non_null(lab->pcap);
		if (ftell(lab->pcap) == 0)
			fwrite(head, sizeof(head), 1, lab->pcap);
	}
	return lab;
}

/* Gives what is in flight to its receivers, until nothing is; at most `max` packets. */
static inline unsigned lab_run_max(struct lab *lab, unsigned max)
{
	unsigned n = 0;

	while (lab->queue && n < max) {
		struct lab_flight *f = lab->queue;

		lab->queue = f->next;
		if (!lab->queue)
			lab->tail = &lab->queue;
		ipstack_input(f->to->node->st, f->to, lab->now_ns,
			f->memory + IPSTACK_INPUT_HEADROOM, f->len);
		free(f->memory);
		free(f);
		n++;
	}
	return n;
}

static inline void lab_run(struct lab *lab)
{
	lab_run_max(lab, 100000);
	assert_null(lab->queue);
}

static inline void lab_forget(struct lab_node *node)
{
	for (unsigned i = 0; i < node->nlog; i++)
		free(node->log[i].packet);
	node->nlog = 0;
	node->nerrors = 0;
}

static inline void lab_free(struct lab *lab)
{
	while (lab->queue) {
		struct lab_flight *f = lab->queue;

		lab->queue = f->next;
		free(f->memory);
		free(f);
	}
	for (int i = 0; i < LAB_NODES; i++) {
		lab_forget(&lab->nodes[i]);
		ipstack_free(lab->nodes[i].st);
	}
	if (lab->pcap)
		fclose(lab->pcap);
	free(lab);
}

static inline void lab_own(struct lab_node *node, const char *address)
{
	node->own[node->nown++] = lab_addr(address);
}

static inline struct lab_route *lab_add_route(
	struct lab_node *node, const char *prefix, struct lab_link *link)
{
	struct lab_route *r = &node->routes[node->nroutes++];

	assert_true(node->nroutes <= LAB_ROUTES);
	assert_int_equal(prefix_parse(prefix, &r->prefix), 0);
	r->link = link;
	return r;
}

/* Joins two nodes; returns a's end, whose peer is b's. */
static inline struct lab_link *lab_join(
	struct lab *lab, struct lab_node *a, struct lab_node *b, uint32_t mtu)
{
	struct lab_link *l = &lab->links[lab->nlinks];
	char text[32];

	lab->nlinks += 2;
	assert_true(lab->nlinks <= LAB_LINKS);
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "fe80::%x", lab->nlinks + (unsigned)i);
		l[i] = (struct lab_link){
			.node = i ? b : a, .peer = &l[1 - i], .local = lab_addr(text), .mtu = mtu};
	}
	return l;
}

/* A packet from outside, in memory of exactly its size. */
static inline void lab_inject(struct lab_link *at, const void *packet, size_t len)
{
	uint8_t *memory = malloc(IPSTACK_INPUT_HEADROOM + len + IPSTACK_INPUT_TAILROOM);

	assert_non_null(memory);
	memcpy(memory + IPSTACK_INPUT_HEADROOM, packet, len);
	ipstack_input(
		at->node->st, at, at->node->lab->now_ns, memory + IPSTACK_INPUT_HEADROOM, len);
	free(memory);
}

/* Writes a packet with a base header only; returns its length. */
static inline size_t lab_make(uint8_t *packet, const char *src, const char *dst, uint8_t proto,
	const void *payload, size_t len)
{
	const struct addr a = lab_addr(src), b = lab_addr(dst);
	const struct ip_build build = {.proto = proto, .ttl = 64, .src = &a, .dst = &b};
	size_t head = ip_head_len(&a);

	memcpy(packet + head, payload, len);
	assert_ptr_equal(ip_push(packet + head, len, &build), packet);
	return head + len;
}

/* The same with a UDP header in front of the data. */
static inline size_t lab_make_udp(uint8_t *packet, const char *src, const char *dst, uint16_t dport,
	const void *data, size_t len)
{
	const struct addr a = lab_addr(src), b = lab_addr(dst);
	uint8_t udp[2048] = {0};

	assert_true(len + UDP_HEAD <= sizeof(udp));
	ip_put16(udp, 1000);
	ip_put16(udp + 2, dport);
	ip_put16(udp + 4, (uint16_t)(UDP_HEAD + len));
	memcpy(udp + UDP_HEAD, data, len);
	ip_put_sum(udp + 6, ip_sum_finish(ip_sum(udp, UDP_HEAD + len,
				    ip_sum_pseudo(&a, &b, IP_PROTO_UDP, UDP_HEAD + len))));
	return lab_make(packet, src, dst, IP_PROTO_UDP, udp, UDP_HEAD + len);
}

/* a - b - c in a line: 10.0.0.1 and fd00::1, .2, .3. */
struct lab_line {
	struct lab *lab;
	struct lab_node *a, *b, *c;
	struct lab_link *ab, *ba, *bc, *cb;
};

static inline struct lab_line lab_line(uint32_t mtu_ab, uint32_t mtu_bc)
{
	struct lab *lab = lab_new();
	struct lab_line l = {
		.lab = lab, .a = &lab->nodes[0], .b = &lab->nodes[1], .c = &lab->nodes[2]};

	l.ab = lab_join(lab, l.a, l.b, mtu_ab);
	l.ba = l.ab->peer;
	l.bc = lab_join(lab, l.b, l.c, mtu_bc);
	l.cb = l.bc->peer;
	lab_own(l.a, "10.0.0.1");
	lab_own(l.a, "fd00::1");
	lab_own(l.b, "10.0.0.2");
	lab_own(l.b, "fd00::2");
	lab_own(l.c, "10.0.0.3");
	lab_own(l.c, "fd00::3");
	lab_add_route(l.a, "0.0.0.0/0", l.ab);
	lab_add_route(l.a, "::/0", l.ab);
	lab_add_route(l.b, "10.0.0.1/32", l.ba);
	lab_add_route(l.b, "fd00::1/128", l.ba);
	lab_add_route(l.b, "10.0.0.3/32", l.bc);
	lab_add_route(l.b, "fd00::3/128", l.bc);
	lab_add_route(l.c, "0.0.0.0/0", l.cb);
	lab_add_route(l.c, "::/0", l.cb);
	l.c->udp_echo = true;
	return l;
}

/* From a to the address; v4 or v6 by its form. */
static inline struct ipstack_out lab_out(const char *dst)
{
	struct ipstack_out out = {.dst = lab_addr(dst)};

	out.src = lab_addr(addr_is_v4(&out.dst) ? "10.0.0.1" : "fd00::1");
	return out;
}

/* Sends an echo request with `len` bytes of data. */
static inline int lab_ping(
	struct lab_node *node, struct ipstack_out out, uint16_t seq, size_t len, uint32_t *mtup)
{
	const bool v6 = !addr_is_v4(&out.dst);
	uint8_t *buf = calloc(1, IPSTACK_HEADROOM + ICMP_HEAD + len + IPSTACK_TAILROOM);
	uint8_t *p = buf + IPSTACK_HEADROOM;
	int r;

	assert_non_null(buf);
	out.proto = v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP;
	p[0] = v6 ? ICMP6_ECHO : ICMP4_ECHO;
	ip_put16(p + 4, 0x1234);
	ip_put16(p + 6, seq);
	for (size_t i = 0; i < len; i++)
		p[ICMP_HEAD + i] = (uint8_t)(i * 7);
	icmp_seal(&out.src, &out.dst, p, ICMP_HEAD + len);
	r = ipstack_output(node->st, node->lab->now_ns, &out, p, ICMP_HEAD + len, mtup);
	free(buf);
	return r;
}

static inline void lab_pattern(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 31 + i / 256);
}

#endif

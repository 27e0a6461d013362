/* SPDX-License-Identifier: MIT */
/* A laboratory for RIP: networks of engines in virtual time.
 *
 * Model: a node is an engine and what it told its table; a cable joins two of them, delays each
 * packet by 1 to 20 ms, and loses as many as asked for. A cable that is cut loses everything and
 * nobody is told (only silence tells), unless it is pulled out, which both ends see. Every node has
 * one IPv4 and one IPv6 address. Random numbers come from a seed, so a run repeats exactly. There
 * is one laboratory, `lab`. */
#ifndef PERSONA_TEST_RIP_LAB_H
#define PERSONA_TEST_RIP_LAB_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "rip.h"

#define SECOND UINT64_C(1000000000)
#define UPDATE (30 * SECOND)

enum {
	NODES_MAX = 200,
	CABLES_MAX = 1000,
	DEGREE_MAX = 200,
	TIMEOUT = 180,
	GARBAGE = 120,
	REACH = 14 /* hops: the metric of the last is 15 */
};

struct cable;

struct node {
	unsigned number;
	struct rip *rip;
	uint64_t deadline;
	struct {
		struct cable *over; /* NULL: none */
	} learned[2][NODES_MAX];    /* what ops.route said, by version and destination */
	struct cable *cables[DEGREE_MAX];
	unsigned degree;
	unsigned foreign; /* routes that it learned to what is no node's address */
	bool dead;
};

struct cable {
	struct node *node[2];
	struct rip_link *link[2];
	struct side {
		struct cable *cable;
		int end;
		uint64_t heard;
		bool silent;
	} side[2];
	bool cut;
	bool pulled;
};

struct packet {
	uint64_t at;
	uint64_t order;
	struct side *to;
	enum rip_version version;
	struct endpoint src;
	struct addr dst;
	uint8_t ttl;
	size_t len;
	uint8_t data[1500];
};

extern struct lab {
	struct node nodes[NODES_MAX];
	unsigned n;
	struct cable cables[CABLES_MAX];
	unsigned ncables;
	struct packet **heap;
	size_t nheap, heap_max;
	uint64_t now, order, seed;
	unsigned loss; /* percent */
	uint64_t packets;
	bool links_announced; /* prefixes of links are locals too */
	FILE *pcap;
} lab;

int lab_setup(void **state); /* cmocka's */
int lab_teardown(void **state);

uint32_t random_below(uint32_t n);
struct addr address(enum rip_version version, unsigned number);
struct addr link_local(unsigned number);
struct prefix host(enum rip_version version, unsigned number); /* of a node */
enum rip_version version_of(const struct prefix *prefix);

void lab_nodes(unsigned n);
void boot(struct node *node); /* a new engine; its cables are to be plugged in again */
struct cable *join(unsigned a, unsigned b);
void plug(struct cable *cable, int end); /* joins this end to its node's engine */
void set_locals(struct node *node);
void start(void); /* all nodes announce */
void pull(struct cable *cable);
void kill_node(struct node *node);

void run_until(uint64_t end);
/* Does everybody within REACH have the shortest way to everybody, and nobody one that is not? */
bool converged(void);
/* Runs until all is right, says how long it took, and fails after `max` seconds of virtual time. */
void settle(const char *what, unsigned max);

#endif

/* SPDX-License-Identifier: MIT */
/* Leases of ephemeral ports to processes, for one protocol of one portspace.
 *
 * Model: the range PORTTAB_EPHEMERAL_FIRST.. is cut into units of 16 ports; a process holds runs of
 * units. A process that asks again gets a larger run, so that one with many connections asks
 * seldom. Part of the port table (porttab.h), which is its only caller; no I/O, not thread safe. */
#ifndef PERSONA_BROKER_LEASE_H
#define PERSONA_BROKER_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lease_pool;

struct lease_ops {
	/* Is the port bound? Runs with bound ports are taken only when there are no others. */
	bool (*port_used)(uint16_t port, void *arg);
	/* Asked when nothing is free. NULL: always yes. */
	bool (*pid_alive)(pid_t pid, void *arg);
	void *arg;
};

int lease_pool_new(struct lease_pool **poolp); /* 0 or -ENOMEM */
void lease_pool_free(struct lease_pool *pool); /* NULL is allowed */

/* A run of ports for the process, as porttab_lease() says. 0, -EADDRNOTAVAIL or -ENOMEM. */
int lease_take(struct lease_pool *pool, const struct lease_ops *ops, pid_t pid, uint16_t *firstp,
	uint16_t *countp);
/* NULL pool: nothing is leased. */
bool lease_covers(const struct lease_pool *pool, uint16_t port);
/* Frees what the process holds. NULL pool is allowed. */
void lease_release(struct lease_pool *pool, pid_t pid);
/* Frees what dead processes hold. True when that was anything. NULL pool is allowed. */
bool lease_reclaim(struct lease_pool *pool, const struct lease_ops *ops);

#endif

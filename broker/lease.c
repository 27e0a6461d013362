/* SPDX-License-Identifier: MIT */
/* Leases of ephemeral ports. See lease.h.
 *
 * Invariants: unit[i] is the process that holds the ports FIRST + UNIT * i and on, 0 for nobody;
 * a holder exists for exactly those processes, and its `ports` is what they hold. The search starts
 * at a random run, so source ports are not easy to guess. */
#include "lease.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "porttab.h"

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV /* the kernel chooses process ids */
#include <uthash.h>

enum {
	UNIT = PORTTAB_LEASE_FIRST,
	UNITS = (PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1) / UNIT
};

struct holder {
	pid_t pid;
	unsigned asked; /* leases so far */
	unsigned ports; /* held */
	UT_hash_handle hh;
};

struct lease_pool {
	struct holder *holders;
	pid_t unit[UNITS];
};

int lease_pool_new(struct lease_pool **poolp)
{
	struct lease_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	*poolp = pool;
	return 0;
}

void lease_pool_free(struct lease_pool *pool)
{
	struct holder *holder, *next;

	if (!pool)
		return;
	HASH_ITER(hh, pool->holders, holder, next)
	{
		HASH_DEL(pool->holders, holder);
		free(holder);
	}
	free(pool);
}

static struct holder *get_holder(struct lease_pool *pool, pid_t pid)
{
	struct holder *holder;

	HASH_FIND(hh, pool->holders, &pid, sizeof(pid), holder);
	if (holder)
		return holder;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return NULL;
	holder->pid = pid;
	HASH_ADD(hh, pool->holders, pid, sizeof(holder->pid), holder);
	if (!holder->hh.tbl) {
		free(holder);
		return NULL;
	}
	return holder;
}

static void drop_holder(struct lease_pool *pool, struct holder *holder)
{
	for (unsigned i = 0; holder->ports && i < UNITS; i++) {
		if (pool->unit[i] == holder->pid)
			pool->unit[i] = 0;
	}
	HASH_DEL(pool->holders, holder);
	free(holder);
}

void lease_release(struct lease_pool *pool, pid_t pid)
{
	struct holder *holder;

	if (!pool)
		return;
	HASH_FIND(hh, pool->holders, &pid, sizeof(pid), holder);
	if (holder)
		drop_holder(pool, holder);
}

/* lease_reclaim(), but for `self`. */
static bool reclaim_others(
	struct lease_pool *pool, const struct lease_ops *ops, const struct holder *self)
{
	struct holder *holder, *next;
	bool any = false;

	if (!ops->pid_alive)
		return false;
	HASH_ITER(hh, pool->holders, holder, next)
	{
		if (holder == self || ops->pid_alive(holder->pid, ops->arg))
			continue;
		drop_holder(pool, holder);
		any = true;
	}
	return any;
}

bool lease_reclaim(struct lease_pool *pool, const struct lease_ops *ops)
{
	return pool && reclaim_others(pool, ops, NULL);
}

bool lease_covers(const struct lease_pool *pool, uint16_t port)
{
	if (!pool || port < PORTTAB_EPHEMERAL_FIRST ||
		port >= PORTTAB_EPHEMERAL_FIRST + UNITS * UNIT)
		return false;
	return pool->unit[(port - PORTTAB_EPHEMERAL_FIRST) / UNIT] != 0;
}

static uint16_t unit_port(unsigned unit)
{
	return (uint16_t)(PORTTAB_EPHEMERAL_FIRST + unit * UNIT);
}

static bool run_free(
	const struct lease_pool *pool, const struct lease_ops *ops, unsigned at, unsigned units)
{
	for (unsigned i = at; i < at + units; i++) {
		if (pool->unit[i])
			return false;
	}
	for (unsigned port = 0; ops && port < units * UNIT; port++) {
		if (ops->port_used((uint16_t)(unit_port(at) + port), ops->arg))
			return false;
	}
	return true;
}

/* A free run of `units` units (ops NULL: bound ports do not matter). Its first unit or -1. */
static int find_run(const struct lease_pool *pool, const struct lease_ops *ops, unsigned units)
{
	const unsigned runs = UNITS / units, start = randombytes_uniform(runs);

	for (unsigned i = 0; i < runs; i++) {
		const unsigned at = (start + i) % runs * units;

		if (run_free(pool, ops, at, units))
			return (int)at;
	}
	return -1;
}

/* The largest free run of at most *unitsp units: unbound ports first. Its first unit or -1. */
static int find_any_run(
	const struct lease_pool *pool, const struct lease_ops *ops, unsigned *unitsp)
{
	const unsigned wanted = *unitsp;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned units = wanted; units; units /= 4) {
			int at = find_run(pool, pass ? NULL : ops, units);

			if (at >= 0) {
				*unitsp = units;
				return at;
			}
		}
	}
	return -1;
}

int lease_take(struct lease_pool *pool, const struct lease_ops *ops, pid_t pid, uint16_t *firstp,
	uint16_t *countp)
{
	struct holder *holder = get_holder(pool, pid);
	unsigned units = 1;
	int at;

	if (!holder)
		return -ENOMEM;
	for (unsigned i = 0; i < holder->asked && units * UNIT < PORTTAB_LEASE_LAST; i++)
		units *= 4;
	while (holder->ports + units * UNIT > PORTTAB_LEASE_PID_MAX && units > 1)
		units /= 4;
	if (holder->ports + units * UNIT > PORTTAB_LEASE_PID_MAX)
		return -EADDRNOTAVAIL;
	at = find_any_run(pool, ops, &units);
	if (at < 0 && reclaim_others(pool, ops, holder))
		at = find_any_run(pool, ops, &units);
	if (at < 0) {
		if (!holder->ports)
			drop_holder(pool, holder);
		return -EADDRNOTAVAIL;
	}
	for (unsigned i = 0; i < units; i++)
		pool->unit[(unsigned)at + i] = pid;
	holder->asked++;
	holder->ports += units * UNIT;
	*firstp = unit_port((unsigned)at);
	*countp = (uint16_t)(units * UNIT);
	return 0;
}

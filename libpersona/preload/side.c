/* SPDX-License-Identifier: MIT */
#include "side.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "preload.h"

enum { SIDE_WAYS = 16, SIDE_BUCKETS = 1024 };

#define SIDE_BUSY UINT64_MAX /* being filled */

struct entry {
	_Atomic uint64_t cookie; /* 0: free */
	_Atomic uint64_t have;	 /* bit for each key */
	_Atomic int value[SIDE_KEYS];
};

_Static_assert(SIDE_KEYS <= 64, "one bit for each key");

static _Atomic(struct entry *) table;

static struct entry *table_get(bool make)
{
	struct entry *t = atomic_load_explicit(&table, memory_order_acquire);
	size_t size = sizeof(*t) * SIDE_WAYS * SIDE_BUCKETS;
	long mem;

	if (t || !make)
		return t;
	mem = SYS(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem < 0 && mem > -4096)
		return NULL;
	if (!atomic_compare_exchange_strong(&table, &t, (struct entry *)mem)) {
		SYS(SYS_munmap, mem, size);
		return t;
	}
	return (struct entry *)mem;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

static struct entry *bucket_of(struct entry *t, uint64_t cookie)
{
	return t + SIDE_WAYS * ((cookie * 0x9E3779B97F4A7C15ULL >> 32) % SIDE_BUCKETS);
}

static struct entry *lookup(struct entry *t, uint64_t cookie)
{
	struct entry *b = bucket_of(t, cookie);

	for (int i = 0; i < SIDE_WAYS; i++)
		if (atomic_load_explicit(&b[i].cookie, memory_order_acquire) == cookie)
			return &b[i];
	return NULL;
}

/* Takes a free entry, else the one with the lowest cookie (the oldest socket). */
static struct entry *claim(struct entry *t, uint64_t cookie)
{
	struct entry *b = bucket_of(t, cookie), *victim = NULL;
	uint64_t lowest = SIDE_BUSY;

	for (int i = 0; i < SIDE_WAYS; i++) {
		uint64_t c = atomic_load_explicit(&b[i].cookie, memory_order_relaxed);

		if (c < lowest) {
			lowest = c;
			victim = &b[i];
		}
	}
	if (!victim || !atomic_compare_exchange_strong(&victim->cookie, &lowest, SIDE_BUSY))
		return NULL;
	atomic_store_explicit(&victim->have, 0, memory_order_relaxed);
	atomic_store_explicit(&victim->cookie, cookie, memory_order_release);
	return victim;
}

bool side_get(int fd, enum side_key key, int *valuep)
{
	struct entry *t = table_get(false), *e;
	uint64_t cookie = t ? cookie_of(fd) : 0;
	int value;

	e = cookie ? lookup(t, cookie) : NULL;
	if (!e || !(atomic_load_explicit(&e->have, memory_order_acquire) >> key & 1))
		return false;
	value = atomic_load_explicit(&e->value[key], memory_order_acquire);
	/* Did the entry change hands meanwhile? */
	if (atomic_load_explicit(&e->cookie, memory_order_relaxed) != cookie)
		return false;
	*valuep = value;
	return true;
}

uint64_t side_get_all(int fd, int value[SIDE_KEYS])
{
	struct entry *t = table_get(false), *e;
	uint64_t cookie = t ? cookie_of(fd) : 0, have;

	e = cookie ? lookup(t, cookie) : NULL;
	if (!e)
		return 0;
	have = atomic_load_explicit(&e->have, memory_order_acquire);
	for (int key = 0; key < SIDE_KEYS; key++)
		value[key] = atomic_load_explicit(&e->value[key], memory_order_acquire);
	return atomic_load_explicit(&e->cookie, memory_order_relaxed) == cookie ? have : 0;
}

static struct entry *entry_for(int fd)
{
	struct entry *t = table_get(true), *e;
	uint64_t cookie = t ? cookie_of(fd) : 0;

	if (!cookie)
		return NULL;
	e = lookup(t, cookie);
	for (int tries = 0; !e && tries < SIDE_WAYS; tries++)
		e = claim(t, cookie);
	return e;
}

int side_set(int fd, enum side_key key, int value)
{
	struct entry *e = entry_for(fd);

	if (!e)
		return -ENOMEM;
	atomic_store_explicit(&e->value[key], value, memory_order_relaxed);
	atomic_fetch_or_explicit(&e->have, 1ULL << key, memory_order_release);
	return 0;
}

void side_forget(int fd, enum side_key key)
{
	struct entry *t = table_get(false), *e;
	uint64_t cookie = t ? cookie_of(fd) : 0;

	e = cookie ? lookup(t, cookie) : NULL;
	if (e)
		atomic_fetch_and_explicit(&e->have, ~(1ULL << key), memory_order_release);
}

bool side_copy(int from, int to)
{
	struct entry *t = table_get(false), *src, *dst;
	uint64_t cookie = t ? cookie_of(from) : 0, have;

	src = cookie ? lookup(t, cookie) : NULL;
	have = src ? atomic_load_explicit(&src->have, memory_order_acquire) : 0;
	have &= ~(1ULL << SIDE_INHERIT);
	if (!have)
		return false;
	dst = entry_for(to);
	if (!dst)
		return false;
	for (int key = 0; key < SIDE_KEYS; key++)
		if (have >> key & 1)
			atomic_store_explicit(&dst->value[key],
				atomic_load_explicit(&src->value[key], memory_order_relaxed),
				memory_order_relaxed);
	atomic_fetch_or_explicit(&dst->have, have, memory_order_release);
	return true;
}

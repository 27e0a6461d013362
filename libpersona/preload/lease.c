/* SPDX-License-Identifier: MIT */
#include "lease.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "preload.h"

enum { LEASE_PAGE = 4096, LEASE_BLOCKS = (LEASE_PAGE - 8) / 4 };

struct page {
	_Atomic uint32_t cursor;	      /* block << 16 | offset inside it */
	_Atomic uint32_t nblocks;	      /* claimed; one still being filled is 0 */
	_Atomic uint32_t block[LEASE_BLOCKS]; /* first << 16 | count */
};

_Static_assert(sizeof(struct page) <= LEASE_PAGE, "one page");

static _Atomic(struct page *) lease_page;

static struct page *page_get(void)
{
	struct page *page = atomic_load_explicit(&lease_page, memory_order_acquire);
	long mem;

	if (page)
		return page;
	mem = SYS(SYS_mmap, NULL, LEASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (mem < 0 && mem > -4096)
		return NULL;
	SYS(SYS_madvise, mem, LEASE_PAGE, MADV_WIPEONFORK);
	if (!atomic_compare_exchange_strong(&lease_page, &page, (struct page *)mem)) {
		SYS(SYS_munmap, mem, LEASE_PAGE);
		return page;
	}
	return (struct page *)mem;
}

static int add_block(struct page *page)
{
	struct ask_request req = {.op = ASK_LEASE, .proto = IPPROTO_TCP};
	struct ask_reply rep;
	uint32_t i;
	int r;

	if (atomic_load_explicit(&page->nblocks, memory_order_relaxed) >= LEASE_BLOCKS)
		return -EADDRNOTAVAIL;
	r = ask_broker(&req, &rep, ASK_SMALL);
	if (r < 0)
		return r;
	if (rep.count == 0 || rep.port == 0 || rep.port + rep.count > 65536)
		return -EADDRNOTAVAIL;
	i = atomic_fetch_add(&page->nblocks, 1);
	if (i >= LEASE_BLOCKS) {
		atomic_fetch_sub(&page->nblocks, 1);
		return -EADDRNOTAVAIL;
	}
	atomic_store_explicit(
		&page->block[i], (uint32_t)rep.port << 16 | rep.count, memory_order_release);
	atomic_store_explicit(&page->cursor, i << 16, memory_order_release);
	return 0;
}

/* The port under the cursor, which moves on; 0 when there is no block. */
static int take(struct page *page)
{
	uint32_t cursor = atomic_load_explicit(&page->cursor, memory_order_acquire);

	for (;;) {
		uint32_t n = atomic_load_explicit(&page->nblocks, memory_order_acquire);
		uint32_t i = cursor >> 16, offset = cursor & 0xffff, block, next;

		if (n == 0)
			return 0;
		block = i < LEASE_BLOCKS
				? atomic_load_explicit(&page->block[i], memory_order_acquire)
				: 0;
		if (offset + 1 < (block & 0xffff))
			next = cursor + 1;
		else
			next = (i + 1 < n ? i + 1 : 0) << 16;
		if (!atomic_compare_exchange_weak(&page->cursor, &cursor, next))
			continue;
		if (offset < (block & 0xffff))
			return (int)((block >> 16) + offset);
		/* a block still being filled by another thread */
		if (n == 1)
			return 0;
		cursor = next;
	}
}

int lease_next(bool more)
{
	struct page *page = page_get();
	int port, r;

	if (!page)
		return -ENOBUFS;
	if (more)
		add_block(page);
	port = take(page);
	if (port > 0)
		return port;
	r = add_block(page);
	if (r < 0)
		return r;
	port = take(page);
	return port > 0 ? port : -EADDRNOTAVAIL;
}

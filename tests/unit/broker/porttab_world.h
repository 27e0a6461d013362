/* SPDX-License-Identifier: MIT */
/* What the tests of the port table share: a world that says which sockets and processes are alive,
 * and short forms of its calls. */
#ifndef PERSONA_TEST_PORTTAB_WORLD_H
#define PERSONA_TEST_PORTTAB_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "porttab.h"

enum { TCP = IPPROTO_TCP, UDP = IPPROTO_UDP, INODES = 70000, PIDS = 4096 };

/* What the table is told of the world. */
static struct world {
	struct porttab *tab;
	bool dead[INODES];
	bool dead_pid[PIDS];
	unsigned probes;
	unsigned drops;
	char dropped[512]; /* file names, each with a space behind */
} w;

static inline bool alive(uint64_t inode, void *arg)
{
	assert_ptr_equal(arg, &w);
	w.probes++;
	return inode >= INODES || !w.dead[inode];
}

static inline bool pid_alive(pid_t pid, void *arg)
{
	assert_ptr_equal(arg, &w);
	return pid >= PIDS || !w.dead_pid[pid];
}

static inline void dropped(const char *file, void *arg)
{
	assert_ptr_equal(arg, &w);
	if (w.drops++ < 8)
		strcat(strcat(w.dropped, file), " ");
}

static const struct porttab_ops ops = {
	.alive = alive, .pid_alive = pid_alive, .dropped = dropped, .arg = &w};

static inline int setup_with(size_t entries_max, size_t pid_max)
{
	const struct porttab_limits limits = {entries_max, pid_max};

	memset(&w, 0, sizeof(w));
	return sodium_init() < 0 || porttab_new(&ops, &limits, &w.tab);
}

static inline int setup(void **state)
{
	(void)state;
	return setup_with(0, 0);
}

static inline int setup_small(void **state)
{
	(void)state;
	return setup_with(10, 4);
}

static inline int setup_large(void **state)
{
	(void)state;
	return setup_with(60000, 60000);
}

static inline int teardown(void **state)
{
	const unsigned drops = w.drops;

	(void)state;
	porttab_free(w.tab);
	return w.drops != drops; /* free calls no ops */
}

static inline struct porttab_request req(
	uint8_t proto, const char *at, uint16_t port, uint8_t flags, uint64_t inode)
{
	struct porttab_request r = {
		.proto = proto, .flags = flags, .inode = inode, .pid = 1, .local.port = port};

	assert_int_equal(addr_parse(at, &r.local.addr), 0);
	if (!addr_is_v4(&r.local.addr))
		r.flags |= ASK_V6;
	return r;
}

/* Result of a bind to an explicit port, or the port that was chosen. */
static inline int bind_to(
	uint8_t proto, const char *at, uint16_t port, uint8_t flags, uint64_t inode)
{
	const struct porttab_request r = req(proto, at, port, flags, inode);
	uint16_t got = 0;
	const int err = porttab_bind(w.tab, &r, &got);

	if (err)
		return err;
	if (port)
		assert_int_equal(got, port);
	return port ? 0 : got;
}

/* Listens; "" and the error, or the file's name (expected is 1 where it listened before). */
static inline const char *listen_at(
	const char *at, uint16_t port, uint8_t flags, uint64_t inode, int expected)
{
	static char file[SOCKNAME_FILE_MAX];
	const struct porttab_request r = req(TCP, at, port, flags, inode);
	uint16_t got = 0;

	file[0] = '\0';
	assert_int_equal(porttab_listen(w.tab, &r, &got, file), expected);
	if (expected < 0)
		assert_string_equal(file, "");
	else if (port)
		assert_int_equal(got, port);
	return file;
}

/* Who serves the address? The inode, or negative errno. */
static inline int64_t served_by(uint8_t proto, const char *at, uint16_t port)
{
	struct endpoint dst = {.port = port};
	struct porttab_entry entry;
	int r;

	assert_int_equal(addr_parse(at, &dst.addr), 0);
	r = porttab_lookup(w.tab, proto, &dst, &entry);
	return r ? r : (int64_t)entry.inode;
}

#define with_tab(fn)   cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define with_small(fn) cmocka_unit_test_setup_teardown(fn, setup_small, teardown)
#define with_large(fn) cmocka_unit_test_setup_teardown(fn, setup_large, teardown)

#endif

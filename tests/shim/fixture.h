/* SPDX-License-Identifier: MIT */
/* The control part of the test broker: the portspace's directory, the port table, answers to ask.
 */
#ifndef TESTS_SHIM_FIXTURE_H
#define TESTS_SHIM_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "ask.h"

enum { FIXTURE_WORKERS = 2, FIXTURE_PORTS = 1024 };

struct port {
	uint8_t proto;
	uint8_t flags; /* enum ask_bind_flags */
	bool listening;
	struct endpoint local;
	uint64_t inode;
	char path[ASK_PATH_MAX];
};

struct fixture {
	char runtime[64];
	char dir[80];
	struct info info;
	struct port ports[FIXTURE_PORTS];
	size_t nports;
	uint16_t next_lease;
	unsigned turn; /* of SO_REUSEPORT groups */
};

int fixture_make(struct fixture *f);
void fixture_remove(struct fixture *f);
int fixture_listen(struct fixture *f, const char *name, int type);
bool fixture_is_own(const struct fixture *f, const struct addr *a);
/* Takes one connection from `ask` and answers it. */
void fixture_answer(struct fixture *f, int ask);
/* The path of the server of an address: 0 or -ECONNREFUSED. */
int fixture_find(struct fixture *f, uint8_t proto, const struct endpoint *dst, char *path);

#endif

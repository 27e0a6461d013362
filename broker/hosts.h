/* SPDX-License-Identifier: MIT */
/* Names of a portspace: name to addresses and address to name, as /etc/hosts has it.
 *
 * Names compare without regard to case (RFC 4343) and without a trailing dot. "localhost" and what
 * ends in ".localhost" is always loopback and cannot be set (RFC 6761 section 6.3). No I/O; not
 * thread safe: the caller's lock guards it. */
#ifndef PERSONA_BROKER_HOSTS_H
#define PERSONA_BROKER_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

enum {
	HOSTS_NAME_MAX = 256, /* 253 characters (RFC 1035), a trailing dot, terminator, rounded */
	HOSTS_PAIRS_MAX = 65536, /* pairs of name and address in one table */
	HOSTS_ADDRS_MAX = 64	 /* addresses of one name */
};

struct hosts;

/* RFC 1123 section 2.1: labels of 1 to 63 letters, digits, hyphens (and underscores, which real
 * networks use), not starting or ending with a hyphen, at most 253 characters; a trailing dot is
 * allowed. The last label must not be all digits, so no name looks like an address. */
bool hosts_name_valid(const char *name);

int hosts_new(struct hosts **hostsp); /* 0 or -ENOMEM */
void hosts_free(struct hosts *hosts); /* NULL is allowed */

/* Adds a pair; one that is there already stays as it is. 0; -EINVAL (name not valid, or below
 * localhost); -ENOSPC (HOSTS_PAIRS_MAX, HOSTS_ADDRS_MAX); -ENOMEM. */
int hosts_add(struct hosts *hosts, const char *name, const struct addr *addr);
/* 0, or -ENOENT when there is no such pair. */
int hosts_remove(struct hosts *hosts, const char *name, const struct addr *addr);

/* Writes at most `cap` addresses of the name in the order they were added and returns how many
 * were written; 0 when the name is unknown. *canonp (NULL allowed) is the canonical name: the first
 * name of the first address. It is owned by the table and valid until the next change. */
size_t hosts_lookup(const struct hosts *hosts, const char *name, struct addr *addrs, size_t cap,
	const char **canonp);
/* The first name that was added for the address, "localhost" for loopback addresses without one;
 * NULL when there is none. Owned by the table, valid until the next change. */
const char *hosts_reverse(const struct hosts *hosts, const struct addr *addr);

size_t hosts_count(const struct hosts *hosts); /* pairs */
/* Calls fn for each pair in the order they were added. fn must not change the table. */
void hosts_each(const struct hosts *hosts,
	void (*fn)(const char *name, const struct addr *addr, void *arg), void *arg);

#endif

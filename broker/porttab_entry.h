/* SPDX-License-Identifier: MIT */
/* Inside of the port table: its entries, for porttab.c only. The rules are there, the storage here.
 *
 * Model: entries are found by inode and by (protocol, port) in a bucket; owners (processes) count
 * their entries.
 * Invariants: an entry is in the inode table, in one bucket, in the list of all and, unless its pid
 * is 0, in its owner's list; a bucket and an owner have at least one entry. The lists of all and of
 * an owner are in the order of the last probe, oldest first, so probing goes on where it stopped.
 */
#ifndef PERSONA_BROKER_PORTTAB_ENTRY_H
#define PERSONA_BROKER_PORTTAB_ENTRY_H

#include <sodium.h>
#include <uthash.h>

#include "porttab.h"

enum {
	PORTTAB_PROTOS = 2,	/* TCP and UDP: index 0 and 1 */
	PORTTAB_REAP_STEP = 64, /* probes when a quota is reached */
	PORTTAB_MEMBERS = 65536 /* numbers in a SO_REUSEPORT group; sockname has 16 bits */
};

struct owner {
	pid_t pid;
	struct entry *entries; /* at least one */
	size_t count;
	UT_hash_handle hh;
};

struct entry {
	uint64_t inode;
	uint8_t proto;
	uint8_t flags;
	bool listening;
	int member; /* -1, or the number in a SO_REUSEPORT group */
	struct endpoint local;
	struct owner *owner;	     /* NULL for pid 0 */
	struct entry *prev, *next;   /* in its bucket, oldest first */
	struct entry *aprev, *anext; /* of all */
	struct entry *oprev, *onext; /* of its owner */
	UT_hash_handle hh;
};

struct bucket {
	uint32_t key; /* protocol << 16 | port */
	struct entry *entries;
	unsigned turn;	 /* round robin of lookups */
	unsigned member; /* next number to try */
	UT_hash_handle hh;
};

struct porttab {
	struct porttab_ops ops;
	struct porttab_limits limits;
	struct entry *inodes; /* by inode */
	struct bucket *buckets;
	struct owner *owners;
	struct entry *all;
	size_t count;
	struct lease_pool *leases[PORTTAB_PROTOS]; /* NULL before the first */
	uint8_t key[crypto_shorthash_KEYBYTES];
};

struct entry *porttab_entry_find(const struct porttab *tab, uint64_t inode);
struct bucket *porttab_bucket_find(const struct porttab *tab, uint8_t proto, uint16_t port);
/* Adds an entry that is not listening. NULL when out of memory. */
struct entry *porttab_entry_insert(
	struct porttab *tab, const struct porttab_request *req, uint16_t port);
/* Calls ops.dropped() when it was listening. */
void porttab_entry_drop(struct porttab *tab, struct entry *entry);
/* Proves the entry dead and drops it: true. */
bool porttab_entry_drop_if_dead(struct porttab *tab, struct entry *entry);

/* Is it the IPv6 wildcard without IPv4? */
bool porttab_entry_any6_only(const struct entry *entry);
/* The file's name of a listening entry. Returns `file`. */
char *porttab_entry_file(const struct entry *entry, char file[SOCKNAME_FILE_MAX]);
pid_t porttab_entry_pid(const struct entry *entry);
/* Moves the entry to another process (pid > 0); without effect when out of memory. */
void porttab_entry_set_pid(struct porttab *tab, struct entry *entry, pid_t pid);
void porttab_entry_copy(const struct entry *entry, struct porttab_entry *copyp);

/* Probes some of the process's entries, oldest first, and drops the dead ones. */
void porttab_reap_pid(struct porttab *tab, pid_t pid);
/* Is there room for one more entry of this process? Probes when not. 0 or -ENOBUFS. */
int porttab_check_quota(struct porttab *tab, pid_t pid);

#endif

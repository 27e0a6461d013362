/* SPDX-License-Identifier: MIT */
/* The port table's entries: who is in it, quotas, and what proves them dead. See porttab_entry.h.
 *
 * Hash tables are uthash with SipHash and a random key, because inodes and ports are what
 * applications say. */
#define HASH_NONFATAL_OOM 1
/* Every function that touches a table has `tab` in scope. */
#define HASH_FUNCTION(ptr, len, hashv) ((hashv) = table_hash(tab, ptr, len))
#include "porttab_entry.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lease.h"

#include <utlist.h>

static unsigned table_hash(const struct porttab *tab, const void *p, size_t len)
{
	unsigned char out[crypto_shorthash_BYTES];
	unsigned v;

	crypto_shorthash(out, p, len, tab->key);
	memcpy(&v, out, sizeof(v));
	return v;
}

int porttab_new(
	const struct porttab_ops *ops, const struct porttab_limits *limits, struct porttab **tabp)
{
	struct porttab *tab = calloc(1, sizeof(*tab));

	if (!tab)
		return -ENOMEM;
	tab->ops = *ops;
	if (limits)
		tab->limits = *limits;
	if (!tab->limits.entries_max)
		tab->limits.entries_max = PORTTAB_ENTRIES_MAX;
	if (tab->limits.entries_max >= PORTTAB_MEMBERS)
		tab->limits.entries_max = PORTTAB_MEMBERS - 1;
	if (!tab->limits.pid_max)
		tab->limits.pid_max = PORTTAB_PID_MAX;
	crypto_shorthash_keygen(tab->key);
	*tabp = tab;
	return 0;
}

struct entry *porttab_entry_find(const struct porttab *tab, uint64_t inode)
{
	struct entry *entry;

	HASH_FIND(hh, tab->inodes, &inode, sizeof(inode), entry);
	return entry;
}

struct bucket *porttab_bucket_find(const struct porttab *tab, uint8_t proto, uint16_t port)
{
	const uint32_t key = (uint32_t)proto << 16 | port;
	struct bucket *bucket;

	HASH_FIND(hh, tab->buckets, &key, sizeof(key), bucket);
	return bucket;
}

static struct bucket *get_bucket(struct porttab *tab, uint8_t proto, uint16_t port)
{
	struct bucket *bucket = porttab_bucket_find(tab, proto, port);

	if (bucket)
		return bucket;
	bucket = calloc(1, sizeof(*bucket));
	if (!bucket)
		return NULL;
	bucket->key = (uint32_t)proto << 16 | port;
	HASH_ADD(hh, tab->buckets, key, sizeof(bucket->key), bucket);
	if (!bucket->hh.tbl) {
		free(bucket);
		return NULL;
	}
	return bucket;
}

static void trim_bucket(struct porttab *tab, struct bucket *bucket)
{
	if (bucket && !bucket->entries) {
		HASH_DEL(tab->buckets, bucket);
		free(bucket);
	}
}

static struct owner *find_owner(const struct porttab *tab, pid_t pid)
{
	struct owner *owner;

	HASH_FIND(hh, tab->owners, &pid, sizeof(pid), owner);
	return owner;
}

static struct owner *get_owner(struct porttab *tab, pid_t pid)
{
	struct owner *owner = find_owner(tab, pid);

	if (owner)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->pid = pid;
	HASH_ADD(hh, tab->owners, pid, sizeof(owner->pid), owner);
	if (!owner->hh.tbl) {
		free(owner);
		return NULL;
	}
	return owner;
}

static void trim_owner(struct porttab *tab, struct owner *owner)
{
	if (owner && !owner->count) {
		HASH_DEL(tab->owners, owner);
		free(owner);
	}
}

/* Moves the entry to another owner (NULL: nobody). */
static void set_owner(struct porttab *tab, struct entry *entry, struct owner *owner)
{
	struct owner *old = entry->owner;

	if (old) {
		DL_DELETE2(old->entries, entry, oprev, onext);
		old->count--;
	}
	entry->owner = owner;
	if (owner) {
		DL_APPEND2(owner->entries, entry, oprev, onext);
		owner->count++;
	}
	if (old != owner)
		trim_owner(tab, old);
}

struct entry *porttab_entry_insert(
	struct porttab *tab, const struct porttab_request *req, uint16_t port)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	struct bucket *bucket = get_bucket(tab, req->proto, port);
	struct owner *owner = req->pid > 0 ? get_owner(tab, req->pid) : NULL;

	if (!entry || !bucket || (req->pid > 0 && !owner))
		goto fail;
	entry->inode = req->inode;
	entry->proto = req->proto;
	entry->flags = req->flags;
	entry->member = -1;
	entry->local = (struct endpoint){req->local.addr, port};
	HASH_ADD(hh, tab->inodes, inode, sizeof(entry->inode), entry);
	if (!entry->hh.tbl)
		goto fail;
	DL_APPEND(bucket->entries, entry);
	DL_APPEND2(tab->all, entry, aprev, anext);
	set_owner(tab, entry, owner);
	tab->count++;
	return entry;
fail:
	trim_bucket(tab, bucket);
	trim_owner(tab, owner);
	free(entry);
	return NULL;
}

bool porttab_entry_any6_only(const struct entry *entry)
{
	return (entry->flags & ASK_V6ONLY) && addr_equal(&entry->local.addr, &addr_any6);
}

char *porttab_entry_file(const struct entry *entry, char file[SOCKNAME_FILE_MAX])
{
	const struct sockname_listen listen = {.local = entry->local,
		.v6only = porttab_entry_any6_only(entry),
		.member = entry->member};

	return sockname_file(&listen, file);
}

void porttab_entry_drop(struct porttab *tab, struct entry *entry)
{
	struct bucket *bucket = porttab_bucket_find(tab, entry->proto, entry->local.port);
	char file[SOCKNAME_FILE_MAX];

	if (entry->listening && tab->ops.dropped)
		tab->ops.dropped(porttab_entry_file(entry, file), tab->ops.arg);
	HASH_DEL(tab->inodes, entry);
	DL_DELETE(bucket->entries, entry);
	DL_DELETE2(tab->all, entry, aprev, anext);
	set_owner(tab, entry, NULL);
	tab->count--;
	trim_bucket(tab, bucket);
	free(entry);
}

/* Proves the entry dead and drops it: true. */
bool porttab_entry_drop_if_dead(struct porttab *tab, struct entry *entry)
{
	if (!tab->ops.alive || tab->ops.alive(entry->inode, tab->ops.arg))
		return false;
	porttab_entry_drop(tab, entry);
	return true;
}

void porttab_free(struct porttab *tab)
{
	if (!tab)
		return;
	tab->ops = (struct porttab_ops){0};
	for (unsigned i = 0; i < PORTTAB_PROTOS; i++)
		lease_pool_free(tab->leases[i]);
	while (tab->all)
		porttab_entry_drop(tab, tab->all);
	free(tab);
}

size_t porttab_reap(struct porttab *tab, size_t max)
{
	size_t dropped = 0;

	if (max > tab->count)
		max = tab->count;
	for (; max; max--) {
		struct entry *entry = tab->all;

		if (porttab_entry_drop_if_dead(tab, entry)) {
			dropped++;
		} else {
			DL_DELETE2(tab->all, entry, aprev, anext);
			DL_APPEND2(tab->all, entry, aprev, anext);
		}
	}
	return dropped;
}

void porttab_reap_pid(struct porttab *tab, pid_t pid)
{
	struct owner *owner = find_owner(tab, pid);
	size_t left = owner ? owner->count : 0;

	if (left > PORTTAB_REAP_STEP)
		left = PORTTAB_REAP_STEP;
	for (; left; left--) {
		struct entry *entry = owner->entries;
		const bool last = owner->count == 1;

		if (!porttab_entry_drop_if_dead(tab, entry)) {
			DL_DELETE2(owner->entries, entry, oprev, onext);
			DL_APPEND2(owner->entries, entry, oprev, onext);
		} else if (last) {
			return; /* the owner is gone too */
		}
	}
}

int porttab_check_quota(struct porttab *tab, pid_t pid)
{
	struct owner *owner = pid > 0 ? find_owner(tab, pid) : NULL;

	if (owner && owner->count >= tab->limits.pid_max) {
		porttab_reap_pid(tab, pid);
		owner = find_owner(tab, pid);
		if (owner && owner->count >= tab->limits.pid_max)
			return -ENOBUFS;
	}
	if (tab->count >= tab->limits.entries_max && !porttab_reap(tab, PORTTAB_REAP_STEP))
		return -ENOBUFS;
	return 0;
}

void porttab_entry_set_pid(struct porttab *tab, struct entry *entry, pid_t pid)
{
	struct owner *owner;

	if (pid < 1 || porttab_entry_pid(entry) == pid)
		return;
	owner = get_owner(tab, pid);
	if (owner)
		set_owner(tab, entry, owner);
}

pid_t porttab_entry_pid(const struct entry *entry)
{
	return entry->owner ? entry->owner->pid : 0;
}

void porttab_entry_copy(const struct entry *entry, struct porttab_entry *copyp)
{
	*copyp = (struct porttab_entry){.proto = entry->proto,
		.flags = entry->flags,
		.listening = entry->listening,
		.local = entry->local,
		.inode = entry->inode,
		.pid = porttab_entry_pid(entry)};
	if (entry->listening)
		porttab_entry_file(entry, copyp->file);
}

size_t porttab_count(const struct porttab *tab)
{
	return tab->count;
}

int porttab_each(const struct porttab *tab, int (*fn)(const struct porttab_entry *entry, void *arg),
	void *arg)
{
	const struct entry *entry;

	DL_FOREACH2(tab->all, entry, anext)
	{
		struct porttab_entry copy;
		int r;

		porttab_entry_copy(entry, &copy);
		r = fn(&copy, arg);
		if (r)
			return r;
	}
	return 0;
}

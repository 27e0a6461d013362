/* SPDX-License-Identifier: MIT */
/* The port table of one portspace: the rules. See porttab.h; storage is in porttab_entry.c.
 *
 * References: inet_csk_get_port() and inet_bind_conflict() in net/ipv4/inet_connection_sock.c,
 * udp_lib_lport_inuse() in net/ipv4/udp.c, ipv6_rcv_saddr_equal(); socket(7), ipv6(7). Where a
 * shortcut of the kernel lets a SO_REUSEPORT socket pass that its own full check refuses (see
 * tests/unit/broker/test_porttab_kernel.c), the full check is followed. */
#include "porttab.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>

#include "lease.h"
#include "porttab_entry.h"
#include <utlist.h>

enum { FLAGS = ASK_REUSEADDR | ASK_REUSEPORT | ASK_V6ONLY | ASK_V6 };

/* One socket can serve both families: an unspecific IPv6 socket also takes IPv4. */
static bool covers4(const struct addr *addr, uint8_t flags)
{
	return addr_is_v4(addr) || (addr_equal(addr, &addr_any6) && !(flags & ASK_V6ONLY));
}

static bool overlap(const struct addr *a, uint8_t a_flags, const struct addr *b, uint8_t b_flags)
{
	if (addr_equal(a, b))
		return true;
	if (covers4(a, a_flags) && covers4(b, b_flags))
		return addr_is_any(a) || addr_is_any(b);
	if (addr_is_v4(a) || addr_is_v4(b))
		return false;
	return addr_is_any(a) || addr_is_any(b);
}

/* May a socket with `flags` be bound where `entry` is? UDP entries never listen. */
static bool may_share(uint8_t flags, const struct entry *entry)
{
	const uint8_t both = flags & entry->flags;

	if ((both & ASK_REUSEADDR) && !entry->listening)
		return true;
	return both & ASK_REUSEPORT;
}

/* Is there an entry (not `self`) that forbids this one at this port? Dead ones are dropped. */
static bool conflict(struct porttab *tab, const struct porttab_request *req, uint16_t port,
	const struct entry *self)
{
	const struct bucket *bucket = porttab_bucket_find(tab, req->proto, port);
	struct entry *entry, *next;

	for (entry = bucket ? bucket->entries : NULL; entry; entry = next) {
		next = entry->next;
		if (entry == self || may_share(req->flags, entry))
			continue;
		if (!overlap(&req->local.addr, req->flags, &entry->local.addr, entry->flags))
			continue;
		if (!porttab_entry_drop_if_dead(tab, entry))
			return true;
	}
	return false;
}

/* Does anybody, sharing or not, have an overlapping address at this port? Without probes. */
static bool port_used(const struct porttab *tab, const struct porttab_request *req, uint16_t port)
{
	const struct bucket *bucket = porttab_bucket_find(tab, req->proto, port);
	const struct entry *entry;

	if (!bucket)
		return false;
	DL_FOREACH(bucket->entries, entry)
	{
		if (overlap(&req->local.addr, req->flags, &entry->local.addr, entry->flags))
			return true;
	}
	return false;
}

static unsigned proto_index(uint8_t proto)
{
	return proto == IPPROTO_UDP;
}

/* An ephemeral port that nobody uses, 0 when there is none. */
static uint16_t free_port(
	const struct porttab *tab, const struct porttab_request *req, bool avoid_leased)
{
	const uint32_t n = PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1;
	const uint32_t start = randombytes_uniform(n);

	for (uint32_t i = 0; i < n; i++) {
		const uint16_t port = (uint16_t)(PORTTAB_EPHEMERAL_FIRST + (start + i) % n);

		if (avoid_leased && lease_covers(tab->leases[proto_index(req->proto)], port))
			continue;
		if (!port_used(tab, req, port))
			return port;
	}
	return 0;
}

/* Prefers ports that nobody leased, but leases alone never make bind(2) fail. */
static uint16_t choose_port(struct porttab *tab, const struct porttab_request *req)
{
	const struct lease_ops ops = {.pid_alive = tab->ops.pid_alive, .arg = tab->ops.arg};
	uint16_t port = free_port(tab, req, true);

	if (!port && lease_reclaim(tab->leases[proto_index(req->proto)], &ops))
		port = free_port(tab, req, true);
	if (!port)
		port = free_port(tab, req, false);
	if (!port && porttab_reap(tab, PORTTAB_REAP_STEP))
		port = free_port(tab, req, false);
	return port;
}

/* --- bind, listen, lookup --- */

static bool request_valid(const struct porttab_request *req)
{
	if (req->proto != IPPROTO_TCP && req->proto != IPPROTO_UDP)
		return false;
	if (!req->inode || (req->flags & ~FLAGS))
		return false;
	if (addr_is_v4(&req->local.addr))
		return !(req->flags & ASK_V6ONLY);
	return req->flags & ASK_V6;
}

/* The entry already has what the request asks for. */
static bool same_request(const struct entry *entry, const struct porttab_request *req)
{
	return entry->proto == req->proto && entry->flags == req->flags &&
	       porttab_entry_pid(entry) == req->pid &&
	       addr_equal(&entry->local.addr, &req->local.addr) &&
	       (!req->local.port || req->local.port == entry->local.port);
}

/* bind for an inode that has no entry. */
static int bind_new(struct porttab *tab, const struct porttab_request *req, struct entry **entryp)
{
	uint16_t port = req->local.port;
	int r;

	/* Before the quota: dead entries that stand in the way leave here. */
	if (port && conflict(tab, req, port, NULL))
		return -EADDRINUSE;
	r = porttab_check_quota(tab, req->pid);
	if (r)
		return r;
	if (!port)
		port = choose_port(tab, req);
	if (!port)
		return -EADDRINUSE;
	*entryp = porttab_entry_insert(tab, req, port);
	return *entryp ? 0 : -ENOMEM;
}

int porttab_bind(struct porttab *tab, const struct porttab_request *req, uint16_t *portp)
{
	struct entry *entry;
	int r;

	if (!request_valid(req))
		return -EINVAL;
	entry = porttab_entry_find(tab, req->inode);
	if (entry && same_request(entry, req)) {
		*portp = entry->local.port;
		return 0;
	}
	if (entry && (entry->listening || porttab_entry_pid(entry) != req->pid))
		return -EINVAL;
	if (entry)
		porttab_entry_drop(tab, entry);
	r = bind_new(tab, req, &entry);
	if (!r)
		*portp = entry->local.port;
	return r;
}

/* A number that no other member of the port has. */
static int next_member(struct bucket *bucket)
{
	const struct entry *entry;
	int member;

	do {
		member = (int)(bucket->member++ % PORTTAB_MEMBERS);
		DL_SEARCH_SCALAR(bucket->entries, entry, member, member);
	} while (entry);
	return member;
}

/* listen for an entry that is not listening yet. */
static int start_listening(struct porttab *tab, struct entry *entry, uint8_t flags)
{
	const struct porttab_request req = {.proto = entry->proto,
		.flags = entry->flags | (flags & (ASK_REUSEADDR | ASK_REUSEPORT)),
		.local = entry->local};

	if (conflict(tab, &req, entry->local.port, entry))
		return -EADDRINUSE;
	entry->flags = req.flags;
	if (entry->flags & ASK_REUSEPORT)
		entry->member =
			next_member(porttab_bucket_find(tab, entry->proto, entry->local.port));
	entry->listening = true;
	return 0;
}

int porttab_listen(struct porttab *tab, const struct porttab_request *req, uint16_t *portp,
	char file[SOCKNAME_FILE_MAX])
{
	struct entry *entry;
	bool bound_here = false, again;
	int r = 0;

	if (req->proto == IPPROTO_UDP)
		return -EOPNOTSUPP;
	if (!request_valid(req))
		return -EINVAL;
	entry = porttab_entry_find(tab, req->inode);
	if (entry && entry->proto != IPPROTO_TCP)
		return -EINVAL;
	if (!entry) {
		r = bind_new(tab, req, &entry);
		bound_here = !r;
	}
	again = !r && entry->listening;
	if (!r && !again)
		r = start_listening(tab, entry, req->flags);
	if (r) {
		if (bound_here)
			porttab_entry_drop(tab, entry);
		return r;
	}
	/* The one who listens is answerable for it: a child may listen on what its parent bound. */
	porttab_entry_set_pid(tab, entry, req->pid);
	*portp = entry->local.port;
	porttab_entry_file(entry, file);
	return again;
}

/* How well the entry fits the destination: 0 not at all, 3 exactly. */
static int entry_score(const struct entry *entry, const struct addr *dst)
{
	const struct addr *addr = &entry->local.addr;

	if (entry->proto == IPPROTO_TCP && !entry->listening)
		return 0;
	if (addr_equal(addr, dst))
		return 3;
	if (addr_equal(addr, &addr_any4))
		return addr_is_v4(dst) ? 2 : 0;
	if (!addr_equal(addr, &addr_any6))
		return 0;
	if (entry->flags & ASK_V6ONLY)
		return addr_is_v4(dst) ? 0 : 2;
	return 1;
}

/* The entry that serves dst. *hash picks the member of a SO_REUSEPORT group; NULL: in turn. */
static const struct entry *lookup(
	struct bucket *bucket, const struct endpoint *dst, const uint32_t *hash)
{
	const struct entry *entry, *best = NULL;
	unsigned members = 0, turn;
	int best_score = 0;

	DL_FOREACH(bucket->entries, entry)
	{
		const int score = entry_score(entry, &dst->addr);

		if (score > best_score)
			members = 0;
		if (!score || score < best_score)
			continue;
		best = entry; /* of several the newest, as Linux has it for UDP */
		best_score = score;
		members += (entry->flags & ASK_REUSEPORT) != 0;
	}
	if (!best || !(best->flags & ASK_REUSEPORT))
		return best;
	turn = (hash ? *hash : bucket->turn++) % members;
	DL_FOREACH(bucket->entries, best)
	{
		if (!(best->flags & ASK_REUSEPORT) || entry_score(best, &dst->addr) != best_score)
			continue;
		if (!turn--)
			break;
	}
	return best;
}

int porttab_lookup(struct porttab *tab, uint8_t proto, const struct endpoint *dst,
	struct porttab_entry *entryp)
{
	struct bucket *bucket = porttab_bucket_find(tab, proto, dst->port);
	const struct entry *best = bucket ? lookup(bucket, dst, NULL) : NULL;

	if (!best)
		return -ECONNREFUSED;
	porttab_entry_copy(best, entryp);
	return 0;
}

int porttab_lookup_hash(struct porttab *tab, uint8_t proto, const struct endpoint *dst,
	uint32_t hash, struct porttab_entry *entryp)
{
	struct bucket *bucket = porttab_bucket_find(tab, proto, dst->port);
	const struct entry *best = bucket ? lookup(bucket, dst, &hash) : NULL;

	if (!best)
		return -ECONNREFUSED;
	porttab_entry_copy(best, entryp);
	return 0;
}

/* --- restart and end --- */

/* The entry that listens at this file, or NULL. */
static struct entry *find_file(const struct porttab *tab, const struct sockname_listen *at)
{
	const struct bucket *bucket = porttab_bucket_find(tab, IPPROTO_TCP, at->local.port);
	struct entry *entry;

	if (!bucket)
		return NULL;
	DL_FOREACH(bucket->entries, entry)
	{
		if (entry->listening && entry->member == at->member &&
			porttab_entry_any6_only(entry) == at->v6only &&
			addr_equal(&entry->local.addr, &at->local.addr))
			return entry;
	}
	return NULL;
}

bool porttab_verify(struct porttab *tab, const char *file)
{
	struct sockname_listen at;
	struct entry *entry = NULL;

	if (!sockname_parse_file(file, &at))
		entry = find_file(tab, &at);
	return entry && porttab_entry_drop_if_dead(tab, entry);
}

int porttab_drop(struct porttab *tab, uint64_t inode)
{
	struct entry *entry = porttab_entry_find(tab, inode);

	if (!entry)
		return -ENOENT;
	porttab_entry_drop(tab, entry);
	return 0;
}

int porttab_adopt(struct porttab *tab, const char *file, uint64_t inode, pid_t pid)
{
	struct sockname_listen at;
	struct porttab_request req = {.proto = IPPROTO_TCP, .inode = inode, .pid = pid};
	struct entry *entry;

	if (!inode || sockname_parse_file(file, &at) || !at.local.port)
		return -EINVAL;
	if (porttab_entry_find(tab, inode) || find_file(tab, &at))
		return -EEXIST;
	if (porttab_check_quota(tab, pid))
		return -ENOBUFS;
	req.local = at.local;
	if (!addr_is_v4(&at.local.addr))
		req.flags |= ASK_V6;
	if (at.v6only)
		req.flags |= ASK_V6ONLY;
	if (at.member >= 0)
		req.flags |= ASK_REUSEPORT;
	entry = porttab_entry_insert(tab, &req, at.local.port);
	if (!entry)
		return -ENOMEM;
	entry->listening = true;
	entry->member = at.member;
	return 0;
}

struct lease_context {
	const struct porttab *tab;
	uint8_t proto;
};

static bool lease_port_used(uint16_t port, void *arg)
{
	const struct lease_context *context = arg;

	return porttab_bucket_find(context->tab, context->proto, port);
}

static bool lease_pid_alive(pid_t pid, void *arg)
{
	const struct lease_context *context = arg;
	const struct porttab_ops *ops = &context->tab->ops;

	return !ops->pid_alive || ops->pid_alive(pid, ops->arg);
}

int porttab_lease(struct porttab *tab, uint8_t proto, pid_t pid, uint16_t *firstp, uint16_t *countp)
{
	struct lease_context context = {.tab = tab, .proto = proto};
	const struct lease_ops ops = {
		.port_used = lease_port_used, .pid_alive = lease_pid_alive, .arg = &context};
	struct lease_pool **poolp = &tab->leases[proto_index(proto)];

	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || pid < 1)
		return -EINVAL;
	if (!*poolp && lease_pool_new(poolp))
		return -ENOMEM;
	return lease_take(*poolp, &ops, pid, firstp, countp);
}

void porttab_pid_gone(struct porttab *tab, pid_t pid)
{
	for (unsigned i = 0; i < PORTTAB_PROTOS; i++)
		lease_release(tab->leases[i], pid);
	porttab_reap_pid(tab, pid);
}

/* SPDX-License-Identifier: MIT */
/* The datagram sockets of a portspace: tables, and who gets what arrives (dgrams.h).
 *
 * References: __udp4_lib_lookup, compute_score and __udp4_lib_err in net/ipv4/udp.c, ping_lookup
 * and ping_err in net/ipv4/ping.c, ip_mc_sf_allow in net/ipv4/igmp.c. */
#include "core_priv.h"
#include "dgram_priv.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "probe.h"

enum { UDP_HEADER = 8, ICMP_HEADER = 8, ICMP_ID = 4 /* offset */ };

#define NO_INODE (UINT64_C(1) << 32) /* the kernel numbers sockets with 32 bits */

int plane_dgrams_new(struct plane_ps *pps, struct plane_dgrams **dgramsp)
{
	struct plane_dgrams *dgrams = calloc(1, sizeof(*dgrams));

	if (!dgrams)
		return -ENOMEM;
	dgrams->pps = pps;
	*dgramsp = dgrams;
	return 0;
}

void plane_dgrams_free(struct plane_dgrams *dgrams)
{
	if (!dgrams)
		return;
	while (dgrams->all)
		dgram_close(dgrams->all);
	free(dgrams);
}

/* ---- quotas and inodes ---- */

/* When none of its sockets is left. */
static void forget_pid(struct dgram_server *server, struct dgram_pid *pid)
{
	if (pid->count > 0)
		return;
	HASH_DEL(server->pids, pid);
	free(pid);
}

static int enter_end(struct plane_dgrams *dgrams, struct dgram *d)
{
	struct stat st;

	if (fstat(d->watch.fd, &st) < 0)
		return -errno;
	d->end = st.st_ino;
	HASH_ADD(hh_end, dgrams->by_end, end, sizeof(d->end), d);
	return d->hh_end.tbl ? 0 : -ENOMEM;
}

int dgram_enlist(struct plane_dgrams *dgrams, struct dgram *d)
{
	struct dgram_server *server = d->server;
	struct dgram_pid *pid;
	int r;

	HASH_FIND_INT(server->pids, &d->pid, pid);
	if (server->count >= DGRAM_TOTAL_MAX || dgrams->count >= DGRAM_PS_MAX ||
		(pid && pid->count >= DGRAM_PID_MAX))
		return -ENOBUFS;
	if (!pid) {
		pid = calloc(1, sizeof(*pid));
		if (!pid)
			return -ENOMEM;
		pid->pid = d->pid;
		HASH_ADD_INT(server->pids, pid, pid);
		if (!pid->hh.tbl) {
			free(pid);
			return -ENOMEM;
		}
	}
	r = enter_end(dgrams, d);
	if (r < 0) {
		forget_pid(server, pid);
		return r;
	}
	pid->count++;
	server->count++;
	dgrams->count++;
	d->owner = dgrams;
	DL_PREPEND(dgrams->all, d);
	return 0;
}

void dgram_delist(struct dgram *d)
{
	struct dgram_server *server = d->server;
	struct dgram_pid *pid;

	dgram_leave_port(d);
	while (d->groups)
		(void)dgram_leave(d, &d->groups->addr, d->groups->ifindex);
	if (d->inode)
		HASH_DEL(d->owner->by_inode, d);
	HASH_DELETE(hh_end, d->owner->by_end, d);
	DL_DELETE(d->owner->all, d);
	d->owner->count--;
	server->count--;
	HASH_FIND_INT(server->pids, &d->pid, pid);
	if (pid) {
		pid->count--;
		forget_pid(server, pid);
	}
	d->owner = NULL;
}

static bool set_inode(struct dgram *d, uint64_t inode)
{
	struct dgram *other;

	HASH_FIND(hh, d->owner->by_inode, &inode, sizeof(inode), other);
	if (other) /* it is gone, and its number in use again */
		dgram_close(other);
	d->inode = inode;
	HASH_ADD(hh, d->owner->by_inode, inode, sizeof(d->inode), d);
	if (!d->hh.tbl) {
		d->inode = 0;
		return false;
	}
	DL_DELETE(d->owner->all, d);
	DL_APPEND(d->owner->all, d);
	return true;
}

bool dgram_learn_inode(struct dgram *d)
{
	uint64_t inode;

	if (d->inode)
		return true;
	return probe_peer_inode(d->end, &inode) == 0 && set_inode(d, inode);
}

/* Of a socket in another network namespace than ours the kernel tells us nothing. Then it is one of
 * those at the list's head, of which nobody has spoken yet; mostly of the newest. */
static struct dgram *find_unknown(struct plane_dgrams *dgrams, uint64_t inode)
{
	struct dgram *d = dgrams->all, *next;

	for (unsigned i = 0; i < DGRAM_LOOKS && d && !d->inode; i++, d = next) {
		/* One that has an inode may be closed meanwhile; behind it nothing is looked for.
		 */
		next = d->next && !d->next->inode ? d->next : NULL;
		if (dgram_learn_inode(d) && d->inode == inode)
			return d;
	}
	return NULL;
}

struct dgram *dgram_find(struct plane_dgrams *dgrams, uint64_t inode)
{
	struct dgram *d;
	uint64_t end;

	HASH_FIND(hh, dgrams->by_inode, &inode, sizeof(inode), d);
	if (d)
		return d;
	if (probe_peer_inode(inode, &end) < 0)
		return find_unknown(dgrams, inode);
	HASH_FIND(hh_end, dgrams->by_end, &end, sizeof(end), d);
	return d && !d->inode && set_inode(d, inode) ? d : NULL;
}

/* ---- ports ---- */

static uint32_t port_key(uint8_t proto, uint16_t port)
{
	return (uint32_t)(proto != IPPROTO_UDP) << 16 | port;
}

static struct dgram_port *port_find(const struct plane_dgrams *dgrams, uint32_t key)
{
	struct dgram_port *port;

	HASH_FIND(hh, dgrams->ports, &key, sizeof(key), port);
	return port;
}

bool plane_dgrams_have_port(const struct plane_dgrams *dgrams, uint16_t port)
{
	return port_find(dgrams, port_key(IPPROTO_UDP, port));
}

static int port_enter(struct dgram *d)
{
	struct plane_dgrams *dgrams = d->owner;
	const uint32_t key = port_key(d->proto, d->local.port);
	struct dgram_port *port = port_find(dgrams, key);

	if (!port) {
		port = calloc(1, sizeof(*port));
		if (!port)
			return -ENOMEM;
		port->key = key;
		HASH_ADD(hh, dgrams->ports, key, sizeof(port->key), port);
		if (!port->hh.tbl) {
			free(port);
			return -ENOMEM;
		}
	}
	DL_PREPEND2(port->sockets, d, bprev, bnext);
	d->bound = true;
	return 0;
}

/* Identifiers of echo sockets: one table for both families; shared by SO_REUSEADDR of both
 * (ping_get_port). */
static int take_identifier(struct dgram *d, uint16_t want, uint16_t *portp)
{
	const struct dgram_port *port;
	const struct dgram *other;
	uint16_t id = want ? want : (uint16_t)randombytes_uniform(65536);

	for (unsigned i = 0; i < 65536; i++, id++) {
		port = id ? port_find(d->owner, port_key(d->proto, id)) : NULL;
		if (id && !port)
			break;
		if (want) {
			DL_FOREACH2(port->sockets, other, bnext)
			{
				if (!(other->flags & d->flags & ASK_REUSEADDR))
					return -EADDRINUSE;
			}
			break;
		}
	}
	if (!id || (!want && port))
		return -EADDRINUSE;
	*portp = id;
	return 0;
}

static int take_udp_port(struct dgram *d, const struct endpoint *local, uint16_t *portp)
{
	struct plane_ps *pps = d->owner->pps;
	const struct porttab_request req = {.proto = IPPROTO_UDP,
		.flags = d->flags,
		.local = *local,
		.inode = d->inode,
		.pid = d->pid};
	int r;

	if (local->port && plane_service_find(pps, local->port))
		return -EADDRINUSE;
	for (unsigned i = 0; i < 16; i++) {
		r = core_dgram_bind(pps->plane->core, pps->ps, &req, portp);
		if (r < 0 || !plane_service_find(pps, *portp))
			return r;
		core_dgram_drop(pps->plane->core, pps->ps, d->inode); /* another one, please */
	}
	return -EADDRINUSE;
}

int dgram_take_port(struct dgram *d, const struct endpoint *local)
{
	uint16_t port = 0;
	int r;

	/* Who sends and closes at once is gone already: a number that no socket has will do. */
	if (!dgram_learn_inode(d) && !set_inode(d, NO_INODE + d->server->ngone++))
		return -ENOMEM;
	if (d->proto == IPPROTO_UDP)
		r = take_udp_port(d, local, &port);
	else
		r = take_identifier(d, local->port, &port);
	if (r < 0)
		return r;
	d->local = (struct endpoint){local->addr, port};
	r = port_enter(d);
	if (r < 0 && d->proto == IPPROTO_UDP)
		core_dgram_drop(d->owner->pps->plane->core, d->owner->pps->ps, d->inode);
	return r;
}

void dgram_leave_port(struct dgram *d)
{
	struct plane_dgrams *dgrams = d->owner;
	struct dgram_port *port;

	if (!d->bound)
		return;
	port = port_find(dgrams, port_key(d->proto, d->local.port));
	DL_DELETE2(port->sockets, d, bprev, bnext);
	if (!port->sockets) {
		HASH_DEL(dgrams->ports, port);
		free(port);
	}
	d->bound = false;
	if (d->proto == IPPROTO_UDP)
		core_dgram_drop(dgrams->pps->plane->core, dgrams->pps->ps, d->inode);
}

struct addr dgram_wildcard(const struct dgram *d)
{
	return d->flags & ASK_V6 ? addr_any6 : addr_any4;
}

/* ---- groups ---- */

int dgram_join(struct dgram *d, const struct addr *addr, uint32_t ifindex)
{
	struct plane_ps *pps = d->owner->pps;
	struct dgram_group *group;

	if (ifindex > 1 && !plane_link_by_index(pps, ifindex))
		return -ENODEV;
	LL_FOREACH(d->groups, group)
	{
		if (addr_equal(&group->addr, addr) && group->ifindex == ifindex)
			return -EADDRINUSE;
	}
	if (d->ngroups == DGRAM_GROUPS_MAX)
		return -ENOBUFS;
	group = calloc(1, sizeof(*group));
	if (!group || plane_group_join(pps, addr) < 0) {
		free(group);
		return -ENOMEM;
	}
	*group = (struct dgram_group){.addr = *addr, .ifindex = ifindex};
	LL_PREPEND(d->groups, group);
	d->ngroups++;
	return 0;
}

int dgram_leave(struct dgram *d, const struct addr *addr, uint32_t ifindex)
{
	struct dgram_group *group;

	LL_FOREACH(d->groups, group)
	{
		if (addr_equal(&group->addr, addr) && (!ifindex || group->ifindex == ifindex))
			break;
	}
	if (!group)
		return -EADDRNOTAVAIL;
	plane_group_leave(d->owner->pps, addr);
	LL_DELETE(d->groups, group);
	free(group);
	d->ngroups--;
	return 0;
}

/* IP_MULTICAST_ALL is on in Linux: who joined nothing gets what the host has joined; who joined
 * something gets that. Broadcast is for all. */
static bool wants_group(const struct dgram *d, const struct addr *addr, uint32_t ifindex)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};
	const struct dgram_group *group;

	if (addr_is_v4(addr) && memcmp(addr->b + 12, broadcast, 4) == 0)
		return true;
	LL_FOREACH(d->groups, group)
	{
		if (addr_equal(&group->addr, addr) &&
			(!group->ifindex || group->ifindex == ifindex))
			return true;
	}
	return !d->groups;
}

/* ---- demultiplexing ---- */

/* How well a socket fits: 0 not at all. */
static unsigned score(const struct dgram *d, const struct endpoint *src, const struct endpoint *dst)
{
	const struct addr *local = &d->local.addr;

	if (d->connected && !endpoint_equal(&d->peer, src))
		return 0;
	if (addr_equal(local, &dst->addr))
		return d->connected ? 8 : 4;
	if (addr_equal(local, &addr_any4))
		return addr_is_v4(&dst->addr) ? 3 : 0;
	if (!addr_equal(local, &addr_any6))
		return 0;
	if (!addr_is_v4(&dst->addr))
		return 3;
	return d->flags & ASK_V6ONLY ? 0 : 2;
}

static unsigned tuple_hash(
	const struct dgram_server *server, const struct endpoint *src, const struct endpoint *dst)
{
	uint8_t tuple[36], out[crypto_shorthash_BYTES];
	unsigned hash;

	memcpy(tuple, src->addr.b, 16);
	memcpy(tuple + 16, dst->addr.b, 16);
	memcpy(tuple + 32, &src->port, 2);
	memcpy(tuple + 34, &dst->port, 2);
	crypto_shorthash(out, tuple, sizeof(tuple), server->hash_key);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

/* The socket for a datagram from src to dst, or NULL. */
static struct dgram *udp_lookup(
	const struct plane_dgrams *dgrams, const struct endpoint *src, const struct endpoint *dst)
{
	struct dgram_port *port = port_find(dgrams, port_key(IPPROTO_UDP, dst->port));
	struct dgram *d, *best = NULL;
	unsigned members = 0, best_score = 0, turn;

	if (!port)
		return NULL;
	DL_FOREACH2(port->sockets, d, bnext)
	{
		const unsigned s = score(d, src, dst);

		if (s > best_score) {
			best = d;
			best_score = s;
			members = 0;
		}
		members += s && s == best_score && (d->flags & ASK_REUSEPORT);
	}
	if (!best || members < 2 || best->connected || !(best->flags & ASK_REUSEPORT))
		return best;
	turn = tuple_hash(best->server, src, dst) % members;
	DL_FOREACH2(port->sockets, d, bnext)
	{
		if ((d->flags & ASK_REUSEPORT) && score(d, src, dst) == best_score && !turn--)
			break;
	}
	return d;
}

static struct dgram_head data_head(const struct plane_udp *udp)
{
	return (struct dgram_head){.kind = DGRAM_DATA,
		.ttl = udp->ttl,
		.tos = udp->tos,
		.ifindex = udp->link ? udp->link->ifindex : 1,
		.src = udp->src,
		.dst = udp->dst};
}

/* Does a socket bound to `local` take what is sent to this group? */
static bool bound_to_group(const struct dgram *d, const struct addr *group)
{
	const struct addr *local = &d->local.addr;

	if (addr_equal(local, group) || addr_equal(local, &addr_any4))
		return addr_is_v4(group) == addr_is_v4(local);
	return addr_equal(local, &addr_any6) && !(addr_is_v4(group) && (d->flags & ASK_V6ONLY));
}

static int input_group(const struct plane_udp *udp)
{
	struct plane_dgrams *dgrams = udp->pps->dgrams;
	struct dgram_port *port = port_find(dgrams, port_key(IPPROTO_UDP, udp->dst.port));
	const struct dgram_head head = data_head(udp);
	bool started = false;
	struct dgram *d;
	int r = -ECONNREFUSED;

	if (!port)
		return r;
	DL_FOREACH2(port->sockets, d, bnext)
	{
		if (d->connected && !endpoint_equal(&d->peer, &udp->src))
			continue;
		if (!bound_to_group(d, &udp->dst.addr) ||
			!wants_group(d, &udp->dst.addr, head.ifindex))
			continue;
		dgram_queue_many(d, &head, udp->payload, udp->len, &started);
		r = 0;
	}
	return r;
}

int dgram_input(const struct plane_udp *udp)
{
	struct dgram_head head;
	struct dgram *d;

	if (addr_is_multicast(&udp->dst.addr))
		return input_group(udp);
	d = udp_lookup(udp->pps->dgrams, &udp->src, &udp->dst);
	if (!d)
		return -ECONNREFUSED;
	head = data_head(udp);
	dgram_queue(d, &head, udp->payload, udp->len);
	return 0;
}

int dgram_input_shared(const struct plane_udp *udp)
{
	const struct dgram *d = udp_lookup(udp->pps->dgrams, &udp->src, &udp->dst);

	return d && d->port_chosen ? dgram_input(udp) : -ECONNREFUSED;
}

/* The echo socket with this identifier, for messages between `own` and somebody. */
static struct dgram *icmp_lookup(
	const struct plane_dgrams *dgrams, uint8_t proto, uint16_t id, const struct addr *own)
{
	struct dgram_port *port = port_find(dgrams, port_key(proto, id));
	struct dgram *d;

	if (!port)
		return NULL;
	DL_FOREACH2(port->sockets, d, bnext)
	{
		if (d->proto == proto &&
			(addr_is_any(&d->local.addr) || addr_equal(&d->local.addr, own)))
			return d;
	}
	return NULL;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void dgram_icmp_input(struct plane_ps *pps, const struct ipstack_delivery *d)
{
	const struct plane_link *pl = d->link;
	const uint8_t reply = d->proto == IPPROTO_ICMP ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	struct dgram_head head = {.kind = DGRAM_DATA,
		.ttl = d->ttl,
		.tos = d->tos,
		.ifindex = pl ? pl->ifindex : 1,
		.src.addr = d->src,
		.dst.addr = d->dst};
	struct dgram *to;

	if (d->len < ICMP_HEADER || d->payload[0] != reply || d->payload[1] != 0)
		return;
	head.src.port = head.dst.port = get16(d->payload + ICMP_ID);
	to = icmp_lookup(pps->dgrams, d->proto, head.dst.port, &d->dst);
	if (to)
		dgram_queue(to, &head, d->payload, d->len);
}

/* ---- errors ---- */

bool dgram_error_input(struct plane_ps *pps, const struct ipstack_error *e)
{
	struct dgram_head head = {.kind = DGRAM_ERROR,
		.src.addr = e->src,
		.dst.addr = e->dst,
		.err = (uint16_t)e->err,
		.icmp_type = e->type,
		.icmp_code = e->code,
		.info = e->info,
		.offender = e->offender};
	const uint8_t *quote = e->payload;
	size_t len = e->len;
	struct dgram *d;

	if (e->proto == IPPROTO_UDP && len >= UDP_HEADER) {
		head.src.port = get16(quote);
		head.dst.port = get16(quote + 2);
		d = udp_lookup(pps->dgrams, &head.dst, &head.src);
		quote += UDP_HEADER;
		len -= UDP_HEADER;
	} else if ((e->proto == IPPROTO_ICMP || e->proto == IPPROTO_ICMPV6) && len >= ICMP_HEADER) {
		head.src.port = head.dst.port = get16(quote + ICMP_ID);
		d = icmp_lookup(pps->dgrams, e->proto, head.src.port, &e->src);
	} else {
		return false;
	}
	if (d && e->err > 0 && (d->recverr || (d->connected && e->hard)))
		dgram_queue(d, &head, quote, len < DGRAM_QUOTE_MAX ? len : DGRAM_QUOTE_MAX);
	return d != NULL;
}

/* SPDX-License-Identifier: MIT */
/* RIP: destinations, and what neighbours say of them. See rip.h.
 *
 * Invariants: a destination is in `live` exactly when a reachable route is learned for it, in
 * `garbage` when it was announced and is unreachable now; both are sorted by age_ns, because each
 * has one delay for all. One that is neither local nor in a list does not exist. */
#include "rip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linklocal.h"
#include "rip_priv.h"

enum { KEY = sizeof(struct prefix), BITS = 128, V4_BITS = 96 };

_Static_assert(sizeof(struct prefix) == sizeof(struct addr) + 1, "a prefix is its own key");

const struct addr rip_group4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 224, 0, 0, 9}};
const struct addr rip_group6 = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}};

/* --- destinations --- */

static struct rip_dest *find(const struct rip *rip, const struct prefix *prefix)
{
	struct rip_dest *d;

	HASH_FIND(hh, rip->by_prefix, prefix, KEY, d);
	return d;
}

static struct rip_dest *find_or_make(struct rip *rip, const struct prefix *prefix)
{
	struct rip_dest *d = find(rip, prefix);

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->prefix = *prefix;
	d->view.metric = RIP_INFINITY;
	HASH_ADD(hh, rip->by_prefix, prefix, KEY, d);
	if (!d->hh.tbl) {
		free(d);
		return NULL;
	}
	DL_APPEND(rip->all[rip_version_of(prefix)], d);
	return d;
}

static void unlist(struct rip *rip, struct rip_dest *d)
{
	if (d->age == RIP_AGE_LIVE) {
		DL_DELETE2(rip->live, d, age_prev, age_next);
		rip->stats.learned--;
	} else if (d->age == RIP_AGE_GARBAGE) {
		DL_DELETE2(rip->garbage, d, age_prev, age_next);
	}
	d->age = RIP_AGE_NONE;
}

static void list(struct rip *rip, struct rip_dest *d, enum rip_age age, uint64_t now_ns)
{
	unlist(rip, d);
	d->age = age;
	d->age_ns = now_ns;
	if (age == RIP_AGE_LIVE) {
		DL_APPEND2(rip->live, d, age_prev, age_next);
		rip->stats.learned++;
	} else {
		DL_APPEND2(rip->garbage, d, age_prev, age_next);
	}
}

/* Over which link it is learned; NULL: none. */
static void set_link(struct rip_dest *d, struct rip_link *link)
{
	if (d->link == link)
		return;
	if (d->link) {
		DL_DELETE2(d->link->learned, d, link_prev, link_next);
		d->link->nlearned--;
	}
	d->link = link;
	if (link) {
		DL_PREPEND2(link->learned, d, link_prev, link_next);
		link->nlearned++;
	}
}

static void mark_changed(struct rip *rip, struct rip_dest *d)
{
	if (!d->changed)
		DL_APPEND2(rip->changed, d, changed_prev, changed_next);
	d->changed = true;
}

static void dest_free(struct rip *rip, struct rip_dest *d)
{
	rip_cursors_skip(rip, d);
	unlist(rip, d);
	set_link(d, NULL);
	if (d->changed)
		DL_DELETE2(rip->changed, d, changed_prev, changed_next);
	DL_DELETE(rip->all[rip_version_of(&d->prefix)], d);
	HASH_DEL(rip->by_prefix, d);
	free(d);
}

static bool is_learned(const struct rip_dest *d)
{
	return d->link && d->metric < RIP_INFINITY;
}

static struct rip_view view_of(const struct rip_dest *d)
{
	if (d->is_local && (!d->local_link || d->local_link->state == RIP_ALIVE))
		return (struct rip_view){d->local_metric, d->local_tag, d->local_link};
	if (is_learned(d))
		return (struct rip_view){d->metric, d->tag, d->link};
	return (struct rip_view){RIP_INFINITY, d->view.tag, NULL};
}

void rip_settle(struct rip *rip, struct rip_dest *d, uint64_t now_ns)
{
	const struct rip_view view = view_of(d);
	const bool was = d->view.metric < RIP_INFINITY, is = view.metric < RIP_INFINITY;

	if (view.metric != d->view.metric || view.tag != d->view.tag || view.link != d->view.link) {
		d->view = view;
		mark_changed(rip, d);
	}
	if (is_learned(d))
		return; /* in `live` already */
	if (is) {
		unlist(rip, d);
		set_link(d, NULL);
	} else if (was) {
		list(rip, d, RIP_AGE_GARBAGE, now_ns);
	} else if (d->age != RIP_AGE_GARBAGE && !d->is_local) {
		dest_free(rip, d);
	}
}

void rip_lose(struct rip *rip, struct rip_dest *d, uint64_t now_ns)
{
	d->metric = RIP_INFINITY;
	unlist(rip, d);
	rip->ops.withdraw(rip->ops.arg, &d->prefix);
	rip_settle(rip, d, now_ns);
}

void rip_forget(struct rip *rip, struct rip_dest *d)
{
	unlist(rip, d);
	set_link(d, NULL);
	if (!d->is_local)
		dest_free(rip, d);
}

static void adopt(struct rip *rip, struct rip_dest *d, struct rip_link *link,
	const struct rip_entry *e, const struct addr *from, uint64_t now_ns)
{
	set_link(d, link);
	d->metric = e->metric;
	d->tag = e->tag;
	d->next_hop = *from;
	list(rip, d, RIP_AGE_LIVE, now_ns);
	rip->ops.route(rip->ops.arg, link->user, &d->prefix, from, e->metric, e->tag);
	rip_settle(rip, d, now_ns);
}

/* --- what may be learned --- */

static bool is_own(const struct rip *rip, const struct addr *a)
{
	for (size_t i = 0; i < rip->config.nown; i++)
		if (addr_equal(&rip->config.own[i], a))
			return true;
	return addr_equal(&rip->config.link_local, a);
}

static bool in_networks(const struct rip *rip, const struct prefix *prefix)
{
	const enum rip_version version = rip_version_of(prefix);

	for (size_t i = 0; i < rip->config.nnetworks; i++) {
		const struct prefix *n = &rip->config.networks[i];

		if (rip_version_of(n) == version && n->len <= prefix->len &&
			prefix_contains(n, &prefix->addr))
			return true;
	}
	return false;
}

/* Can packets to single hosts have addresses of this prefix? (RFC 2453, section 3.9.2; RFC 1122,
 * section 3.2.1.3; RFC 4291, section 2.4) */
static bool is_unicast(const struct prefix *prefix)
{
	const uint8_t *b = prefix->addr.b;

	if (rip_version_of(prefix) == RIP_V2) {
		if (prefix->len == V4_BITS)
			return true;
		return b[12] != 0 && b[12] != 127 && b[12] < 224 &&
		       !addr_is_link_local(&prefix->addr);
	}
	if (prefix->len == 0)
		return true;
	return !addr_is_multicast(&prefix->addr) && !addr_is_link_local(&prefix->addr) &&
	       !(prefix->len == BITS &&
		       (addr_is_loopback(&prefix->addr) || addr_is_any(&prefix->addr)));
}

static bool may_learn(const struct rip *rip, const struct prefix *prefix)
{
	if (!is_unicast(prefix) || !in_networks(rip, prefix))
		return false;
	return prefix->len != BITS || !is_own(rip, &prefix->addr);
}

/* RFC 2453, section 3.9.2: one entry of a response. The next hop is always who sent it: a link has
 * no other neighbour, and a next hop that is none counts as the sender (RFC 2453, section 4.4; RFC
 * 2080, section 2.1.1). */
static void learn(struct rip *rip, struct rip_link *link, const struct rip_entry *given,
	const struct addr *from, uint64_t now_ns)
{
	struct rip_entry e = *given;
	struct rip_dest *d;
	bool same;

	e.metric = e.metric < RIP_INFINITY ? e.metric + 1 : RIP_INFINITY;
	d = find(rip, &e.prefix);
	same = d && d->link == link;
	if (e.metric == RIP_INFINITY) {
		if (same && is_learned(d))
			rip_lose(rip, d, now_ns);
		return;
	}
	if (same && is_learned(d) && d->metric == e.metric && d->tag == e.tag &&
		addr_equal(&d->next_hop, from)) {
		list(rip, d, RIP_AGE_LIVE, now_ns);
		return;
	}
	/* Another neighbour with as many hops is taken when the old one has missed updates. */
	if (d && !same && is_learned(d) &&
		(e.metric > d->metric ||
			(e.metric == d->metric &&
				now_ns - d->age_ns < RIP_TIMEOUT / 2 * rip->config.update_ns)))
		return;
	if (!same && link->nlearned >= rip->config.routes_max) {
		rip->stats.over_quota++;
		return;
	}
	if (!d)
		d = find_or_make(rip, &e.prefix);
	if (d)
		adopt(rip, d, link, &e, from, now_ns);
}

/* --- input --- */

/* Is a response to be believed? */
static bool believes(const struct rip *rip, const struct rip_link *link, enum rip_version version,
	const struct endpoint *src, const struct addr *dst, uint8_t ttl, uint64_t now_ns)
{
	if (version == RIP_NG)
		return src->port == RIP_NG_PORT && ttl == RIP_NG_TTL &&
		       addr_is_link_local(&src->addr);
	if (src->port != RIP_V2_PORT)
		return false;
	return addr_equal(dst, &rip_group4) ||
	       (link->asked_ns && now_ns - link->asked_ns < rip->config.update_ns);
}

static int request(struct rip *rip, struct rip_link *link, struct rip_reader *reader,
	const struct endpoint *src, uint64_t now_ns)
{
	if (reader->whole)
		return rip_reply_whole(rip, link, reader->version, src, now_ns);
	rip_reply_entries(rip, link, reader, src);
	return 0;
}

static int response(struct rip *rip, struct rip_link *link, struct rip_reader *reader,
	const struct addr *from, uint64_t now_ns)
{
	struct rip_entry e;

	link->heard_ns = now_ns;
	if (link->state != RIP_ALIVE)
		rip_link_state(rip, link, RIP_ALIVE, now_ns);
	while (rip_read_entry(reader, &e)) {
		if (may_learn(rip, &e.prefix))
			learn(rip, link, &e, from, now_ns);
		else
			rip->stats.refused_routes++;
	}
	rip->stats.refused_routes += reader->refused;
	return 0;
}

static int input(struct rip *rip, struct rip_link *link, enum rip_version version,
	const struct endpoint *src, const struct addr *dst, uint8_t ttl, const uint8_t *packet,
	size_t len, uint64_t now_ns)
{
	struct rip_reader reader;
	int r;

	if (addr_is_v4(&src->addr) != (version == RIP_V2) || addr_is_any(&src->addr) ||
		addr_is_multicast(&src->addr) || src->port == 0)
		return -EACCES;
	if (is_own(rip, &src->addr))
		return -EALREADY;
	r = rip_read(&reader, version, packet, len);
	if (r < 0)
		return r;
	if (!(version == RIP_V2 ? rip->config.v2 : rip->config.ng))
		return -EACCES;
	if (reader.command == RIP_REQUEST)
		return request(rip, link, &reader, src, now_ns);
	if (!believes(rip, link, version, src, dst, ttl, now_ns))
		return -EACCES;
	return response(rip, link, &reader, &src->addr, now_ns);
}

int rip_input(struct rip *rip, struct rip_link *link, enum rip_version version,
	const struct endpoint *src, const struct addr *dst, uint8_t ttl, const uint8_t *packet,
	size_t len, uint64_t now_ns)
{
	int r = input(rip, link, version, src, dst, ttl, packet, len, now_ns);

	rip->stats.in++;
	if (r < 0)
		rip->stats.refused++;
	return r;
}

/* --- links and locals --- */

/* What leads over the link is announced differently now. */
static void settle_locals(struct rip *rip, const struct rip_link *link, uint64_t now_ns)
{
	struct rip_dest *d, *next;

	HASH_ITER(hh, rip->by_prefix, d, next)
	{
		if (d->is_local && d->local_link == link)
			rip_settle(rip, d, now_ns);
	}
}

void rip_link_state(struct rip *rip, struct rip_link *link, enum rip_state state, uint64_t now_ns)
{
	const enum rip_state was = link->state;

	link->state = state;
	settle_locals(rip, link, now_ns);
	if (was == RIP_SILENT || state == RIP_SILENT)
		rip->ops.silent(rip->ops.arg, link->user, state == RIP_SILENT);
	if (state == RIP_ALIVE && now_ns - link->asked_ns > rip->config.update_ns / RIP_SECOND)
		rip_ask(rip, link, now_ns);
}

int rip_link_add(
	struct rip *rip, void *user, uint32_t mtu, uint64_t now_ns, struct rip_link **linkp)
{
	struct rip_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->rip = rip;
	link->user = user;
	link->mtu = mtu;
	link->up_ns = now_ns;
	DL_APPEND(rip->links, link);
	rip_ask(rip, link, now_ns);
	*linkp = link;
	return 0;
}

void rip_link_remove(struct rip *rip, struct rip_link *link, uint64_t now_ns)
{
	struct rip_dest *d, *next;

	HASH_ITER(hh, rip->by_prefix, d, next)
	{
		if (d->is_local && d->local_link == link) {
			d->is_local = false;
			d->local_link = NULL;
		}
		if (d->link == link && is_learned(d))
			rip_lose(rip, d, now_ns);
		else
			rip_settle(rip, d, now_ns);
	}
	while (link->learned) /* garbage: announced on, but no more the link's */
		set_link(link->learned, NULL);
	for (int v = 0; v < RIP_VERSIONS; v++)
		rip->nreplies -= link->reply[v].active;
	DL_DELETE(rip->links, link);
	free(link);
}

static int set_local(struct rip *rip, const struct rip_local *local, uint64_t now_ns)
{
	struct prefix prefix = local->prefix;
	struct rip_dest *d;

	prefix_mask(&prefix);
	if (!in_networks(rip, &prefix) || !is_unicast(&prefix))
		return 0;
	d = find_or_make(rip, &prefix);
	if (!d)
		return -ENOMEM;
	if (d->marked)
		return 0;
	d->is_local = d->marked = true;
	d->local_metric = local->metric;
	d->local_tag = local->tag;
	d->local_link = local->link;
	rip_settle(rip, d, now_ns);
	return 0;
}

int rip_set_locals(struct rip *rip, const struct rip_local *locals, size_t n, uint64_t now_ns)
{
	struct rip_dest *d, *next;
	int r = 0, failed = 0;

	for (size_t i = 0; i < n; i++) {
		r = set_local(rip, &locals[i], now_ns);
		failed = r < 0 ? r : failed;
	}
	HASH_ITER(hh, rip->by_prefix, d, next)
	{
		if (d->is_local && !d->marked) {
			d->is_local = false;
			d->local_link = NULL;
			rip_settle(rip, d, now_ns);
		} else {
			d->marked = false;
		}
	}
	return failed;
}

/* --- the whole --- */

static int copy_config(struct rip_config *to, const struct rip_config *from)
{
	struct prefix *networks = calloc(from->nnetworks ? from->nnetworks : 1, sizeof(*networks));
	struct addr *own = calloc(from->nown ? from->nown : 1, sizeof(*own));

	if (!networks || !own) {
		free(networks);
		free(own);
		return -ENOMEM;
	}
	if (from->nnetworks)
		memcpy(networks, from->networks, from->nnetworks * sizeof(*networks));
	if (from->nown)
		memcpy(own, from->own, from->nown * sizeof(*own));
	*to = *from;
	to->networks = networks;
	to->own = own;
	if (!to->routes_max)
		to->routes_max = RIP_ROUTES_MAX;
	if (to->update_ns < 1000000)
		to->update_ns = 1000000;
	return 0;
}

static void config_deinit(struct rip_config *config)
{
	free((void *)config->networks);
	free((void *)config->own);
}

int rip_new(const struct rip_ops *ops, const struct rip_config *config, uint64_t now_ns,
	struct rip **ripp)
{
	struct rip *rip = calloc(1, sizeof(*rip));

	if (!rip || copy_config(&rip->config, config) < 0) {
		free(rip);
		return -ENOMEM;
	}
	rip->ops = *ops;
	rip->update_ns = now_ns + rip_random(rip, rip->config.update_ns);
	rip->trigger_ns = now_ns;
	rip->check_ns = now_ns + rip->config.update_ns;
	*ripp = rip;
	return 0;
}

int rip_configure(struct rip *rip, const struct rip_config *config, uint64_t now_ns)
{
	struct rip_config copy;
	struct rip_dest *d, *next;
	int r = copy_config(&copy, config);

	if (r < 0)
		return r;
	config_deinit(&rip->config);
	rip->config = copy;
	HASH_ITER(hh, rip->by_prefix, d, next)
	{
		if (is_learned(d) && !may_learn(rip, &d->prefix))
			rip_lose(rip, d, now_ns);
	}
	if (rip->update_ns > now_ns + copy.update_ns)
		rip->update_ns = now_ns + rip_random(rip, copy.update_ns);
	if (rip->check_ns > now_ns + copy.update_ns)
		rip->check_ns = now_ns + copy.update_ns;
	return 0;
}

void rip_free(struct rip *rip)
{
	if (!rip)
		return;
	while (rip->by_prefix)
		dest_free(rip, rip->by_prefix);
	while (rip->links) {
		struct rip_link *link = rip->links;

		DL_DELETE(rip->links, link);
		free(link);
	}
	config_deinit(&rip->config);
	free(rip);
}

void rip_stats(const struct rip *rip, struct rip_stats *statsp)
{
	*statsp = rip->stats;
	statsp->destinations = HASH_COUNT(rip->by_prefix);
}

uint8_t rip_metric(const struct rip *rip, const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	const struct rip_dest *d;

	prefix_mask(&masked);
	d = find(rip, &masked);
	return d ? d->view.metric : RIP_INFINITY;
}

/* SPDX-License-Identifier: MIT */
/* RIP: what is sent, and when. See rip.h.
 *
 * Model: a table goes out in steps of RIP_STEP destinations, a millisecond apart. There is a cursor
 * for the regular update, which goes to all links at once, and one for each whole table that a
 * neighbour asked for; a destination that goes moves the cursors on (rip_cursors_skip). Triggered
 * updates take destinations from the head of `changed`. */
#include <errno.h>
#include <sodium.h>

#include "rip_priv.h"

enum { STEP_NS = 1000000, IP6_UDP = 40 + 8, MTU_MIN = 1280, GOODBYE_STEPS = 64 };

uint64_t rip_random(const struct rip *rip, uint64_t below_ns)
{
	const uint64_t us = below_ns / 1000;
	const uint32_t n = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;

	if (n == 0)
		return 0;
	return 1000ULL *
	       (rip->ops.random ? rip->ops.random(rip->ops.arg, n) : randombytes_uniform(n));
}

/* --- packets --- */

/* A packet that is being filled for a link. */
struct output {
	struct rip *rip;
	struct rip_link *link;
	struct rip_out out;
	bool poison; /* split horizon with poisoned reverse */
	struct rip_writer writer;
};

static void begin(struct output *o, enum rip_command command)
{
	struct rip *rip = o->rip;
	size_t cap = RIP_V2_MAX;

	if (o->out.version == RIP_NG) {
		cap = (o->link->mtu < MTU_MIN ? MTU_MIN : o->link->mtu) - IP6_UDP;
		if (cap > RIP_PACKET_MAX - IP6_UDP)
			cap = RIP_PACKET_MAX - IP6_UDP;
	}
	rip_write(&o->writer, o->out.version, command, rip->buf + RIP_HEADROOM, cap);
}

static void flush(struct output *o)
{
	struct rip *rip = o->rip;

	if (!o->writer.entries)
		return;
	rip->stats.out++;
	rip->ops.send(rip->ops.arg, o->link->user, &o->out, o->writer.wr.p, o->writer.wr.len);
}

static void add(struct output *o, const struct rip_entry *e)
{
	if (rip_write_entry(&o->writer, e))
		return;
	flush(o);
	begin(o, RIP_RESPONSE);
	rip_write_entry(&o->writer, e);
}

static void add_dest(struct output *o, const struct rip_dest *d)
{
	struct rip_entry e = {.prefix = d->prefix,
		.metric = d->view.metric,
		.tag = d->view.tag,
		.next_hop = addr_any6};

	/* What is unreachable is announced for a while only. */
	if (e.metric == RIP_INFINITY && d->age != RIP_AGE_GARBAGE)
		return;
	if (o->poison && d->view.link == o->link)
		e.metric = RIP_INFINITY;
	add(o, &e);
}

static struct rip_out to_group(enum rip_version version)
{
	if (version == RIP_V2)
		return (struct rip_out){RIP_V2, {rip_group4, RIP_V2_PORT}, RIP_V2_TTL};
	return (struct rip_out){RIP_NG, {rip_group6, RIP_NG_PORT}, RIP_NG_TTL};
}

static bool speaks(const struct rip *rip, enum rip_version version)
{
	return version == RIP_V2 ? rip->config.v2 : rip->config.ng;
}

void rip_ask(struct rip *rip, struct rip_link *link, uint64_t now_ns)
{
	link->asked_ns = now_ns;
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		struct output o = {.rip = rip, .link = link, .out = to_group(v)};

		if (!speaks(rip, v))
			continue;
		begin(&o, RIP_REQUEST);
		rip_write_whole(&o.writer);
		flush(&o);
	}
}

/* To who asked, which with RIPv2 may be no neighbour but a program on its way through one. */
static struct rip_out to_asker(enum rip_version version, const struct endpoint *to)
{
	return (struct rip_out){version, *to, version == RIP_NG ? RIP_NG_TTL : 0};
}

int rip_reply_whole(struct rip *rip, struct rip_link *link, enum rip_version version,
	const struct endpoint *to, uint64_t now_ns)
{
	struct rip_reply *reply = &link->reply[version];

	if (reply->active ||
		(reply->begun_ns && now_ns - reply->begun_ns < rip->config.update_ns / RIP_SECOND))
		return -EAGAIN;
	reply->begun_ns = now_ns;
	reply->out = to_asker(version, to);
	reply->cursor = rip->all[version];
	reply->active = reply->cursor != NULL;
	rip->nreplies += reply->active;
	return 0;
}

void rip_reply_entries(struct rip *rip, struct rip_link *link, struct rip_reader *reader,
	const struct endpoint *to)
{
	struct output o = {.rip = rip, .link = link, .out = to_asker(reader->version, to)};
	struct rip_entry e;

	begin(&o, RIP_RESPONSE);
	while (o.writer.entries < o.writer.max && rip_read_entry(reader, &e)) {
		e.metric = rip_metric(rip, &e.prefix);
		e.next_hop = addr_any6;
		add(&o, &e);
	}
	flush(&o);
}

void rip_cursors_skip(struct rip *rip, const struct rip_dest *d)
{
	struct rip_link *link;

	for (int v = 0; v < RIP_VERSIONS; v++)
		if (rip->cursor[v] == d)
			rip->cursor[v] = d->next;
	if (!rip->nreplies)
		return;
	DL_FOREACH(rip->links, link)
	{
		for (int v = 0; v < RIP_VERSIONS; v++)
			if (link->reply[v].cursor == d)
				link->reply[v].cursor = d->next;
	}
}

/* --- updates --- */

/* How many destinations a step may send to all links. */
static unsigned step_size(const struct rip *rip)
{
	const struct rip_link *link;
	unsigned links = 1;

	DL_FOREACH(rip->links, link)
	links++;
	return links > RIP_STEP / RIP_V2_ENTRIES ? RIP_V2_ENTRIES : RIP_STEP / links;
}

/* Sends up to `max` destinations from `from` on, in the order of `all`, by a link. Returns where it
 * stopped. */
static struct rip_dest *send_from(struct output *o, struct rip_dest *from, unsigned max)
{
	begin(o, RIP_RESPONSE);
	for (; from && max; from = from->next, max--)
		add_dest(o, from);
	flush(o);
	return from;
}

static void clear_changed(struct rip *rip, struct rip_dest *d)
{
	if (d->changed)
		DL_DELETE2(rip->changed, d, changed_prev, changed_next);
	d->changed = false;
}

static void update_step(struct rip *rip)
{
	const unsigned max = step_size(rip);

	rip->updating = false;
	for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
		struct rip_dest *from = rip->cursor[v], *to = from;
		struct rip_link *link;

		DL_FOREACH(rip->links, link)
		{
			struct output o = {
				.rip = rip, .link = link, .out = to_group(v), .poison = true};

			to = speaks(rip, v) ? send_from(&o, from, max) : NULL;
		}
		rip->cursor[v] = rip->links ? to : NULL;
		for (; from != rip->cursor[v]; from = from->next)
			clear_changed(rip, from);
		rip->updating |= rip->cursor[v] != NULL;
	}
}

static void update_begin(struct rip *rip, uint64_t now_ns)
{
	const uint64_t update = rip->config.update_ns;

	rip->update_ns =
		now_ns + update - update / RIP_JITTER + rip_random(rip, 2 * (update / RIP_JITTER));
	for (int v = 0; v < RIP_VERSIONS; v++)
		rip->cursor[v] = rip->all[v];
	rip->updating = true;
	rip->stats.regular++;
}

/* Sends the first of the changed destinations to every link (RFC 2453, section 3.10.1). */
static void trigger_step(struct rip *rip, uint64_t now_ns)
{
	const uint64_t second = rip->config.update_ns / RIP_SECOND;
	struct rip_dest *d;
	struct rip_link *link;
	unsigned n;

	DL_FOREACH(rip->links, link)
	{
		for (enum rip_version v = RIP_V2; v <= RIP_NG; v++) {
			struct output o = {
				.rip = rip, .link = link, .out = to_group(v), .poison = true};

			if (!speaks(rip, v))
				continue;
			n = step_size(rip);
			begin(&o, RIP_RESPONSE);
			for (d = rip->changed; d && n; d = d->changed_next, n--)
				if (rip_version_of(&d->prefix) == v)
					add_dest(&o, d);
			flush(&o);
		}
	}
	for (n = step_size(rip); rip->changed && n; n--)
		clear_changed(rip, rip->changed);
	if (rip->changed)
		return;
	rip->stats.triggered++;
	rip->trigger_ns = now_ns + second + rip_random(rip, (RIP_TRIGGER_MAX - 1) * second);
}

static void reply_step(struct rip *rip)
{
	struct rip_link *link;

	DL_FOREACH(rip->links, link)
	{
		for (int v = 0; v < RIP_VERSIONS; v++) {
			struct rip_reply *reply = &link->reply[v];
			struct output o = {
				.rip = rip, .link = link, .out = reply->out, .poison = true};

			if (!reply->active)
				continue;
			reply->cursor = send_from(&o, reply->cursor, RIP_STEP);
			if (!reply->cursor) {
				reply->active = false;
				rip->nreplies--;
			}
		}
	}
}

/* --- time --- */

static void expire(struct rip *rip, uint64_t now_ns)
{
	const uint64_t timeout = RIP_TIMEOUT * rip->config.update_ns;
	const uint64_t garbage = RIP_GARBAGE * rip->config.update_ns;

	while (rip->live && now_ns - rip->live->age_ns >= timeout)
		rip_lose(rip, rip->live, now_ns);
	while (rip->garbage && now_ns - rip->garbage->age_ns >= garbage)
		rip_forget(rip, rip->garbage);
}

static void check_silence(struct rip *rip, uint64_t now_ns)
{
	const uint64_t timeout = RIP_TIMEOUT * rip->config.update_ns;
	struct rip_link *link;

	rip->check_ns = now_ns + rip->config.update_ns / 2;
	DL_FOREACH(rip->links, link)
	{
		uint64_t heard = rip->ops.heard ? rip->ops.heard(rip->ops.arg, link->user) : 0;
		enum rip_state state = link->state;

		heard = heard > link->heard_ns ? heard : link->heard_ns;
		if (now_ns - (heard > link->up_ns ? heard : link->up_ns) >= timeout)
			state = RIP_SILENT;
		else if (heard)
			state = RIP_ALIVE;
		if (state != link->state)
			rip_link_state(rip, link, state, now_ns);
	}
}

uint64_t rip_deadline(const struct rip *rip)
{
	uint64_t at = rip->update_ns < rip->check_ns ? rip->update_ns : rip->check_ns;
	uint64_t other = UINT64_MAX;

	if (rip->updating || rip->nreplies)
		return rip->step_ns;
	if (rip->changed)
		other = rip->trigger_ns > rip->step_ns ? rip->trigger_ns : rip->step_ns;
	at = other < at ? other : at;
	if (rip->live)
		other = rip->live->age_ns + RIP_TIMEOUT * rip->config.update_ns;
	at = other < at ? other : at;
	if (rip->garbage)
		other = rip->garbage->age_ns + RIP_GARBAGE * rip->config.update_ns;
	return other < at ? other : at;
}

uint64_t rip_tick(struct rip *rip, uint64_t now_ns)
{
	uint64_t next;

	expire(rip, now_ns);
	if (now_ns >= rip->check_ns)
		check_silence(rip, now_ns);
	if (now_ns >= rip->update_ns && !rip->updating)
		update_begin(rip, now_ns);
	if (now_ns >= rip->step_ns) {
		rip->step_ns = now_ns + STEP_NS;
		if (rip->updating)
			update_step(rip);
		else if (rip->changed && now_ns >= rip->trigger_ns)
			trigger_step(rip, now_ns);
		if (rip->nreplies)
			reply_step(rip);
	}
	next = rip_deadline(rip);
	return next > rip->step_ns ? next : rip->step_ns;
}

void rip_stop(struct rip *rip, uint64_t now_ns)
{
	struct rip_dest *d, *next;

	HASH_ITER(hh, rip->by_prefix, d, next)
	{
		d->is_local = false;
		d->local_link = NULL;
		if (d->link && d->metric < RIP_INFINITY)
			rip_lose(rip, d, now_ns);
		else
			rip_settle(rip, d, now_ns);
	}
	for (int i = 0; rip->changed && i < GOODBYE_STEPS; i++)
		trigger_step(rip, now_ns);
}

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "inherit"
#include "inherit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_net.h"
#include "core_priv.h"
#include "log.h"

/* --- rules --- */

static int copy_ports(const struct config_port_list *from, struct config_port_list *to)
{
	if (from->n == 0)
		return 0;
	to->ports = malloc(from->n * sizeof(to->ports[0]));
	if (!to->ports)
		return -ENOMEM;
	memcpy(to->ports, from->ports, from->n * sizeof(to->ports[0]));
	to->n = from->n;
	return 0;
}

int inherit_new(const struct config *config, struct inherit **rulesp)
{
	const struct config_prefix_list *gateways = &config->gateways;
	struct inherit *rules = calloc(1, sizeof(*rules));
	int r;

	if (!rules)
		return -ENOMEM;
	rules->inherit = config->inherit;
	r = copy_ports(&config->hide, &rules->hide);
	if (r == 0)
		r = copy_ports(&config->proxy, &rules->proxy);
	if (r == 0 && gateways->n > 0) {
		rules->gateways.prefixes = malloc(gateways->n * sizeof(gateways->prefixes[0]));
		if (rules->gateways.prefixes) {
			memcpy(rules->gateways.prefixes, gateways->prefixes,
				gateways->n * sizeof(gateways->prefixes[0]));
			rules->gateways.n = gateways->n;
		} else {
			r = -ENOMEM;
		}
	}
	if (r < 0)
		inherit_free(rules);
	else
		*rulesp = rules;
	return r;
}

void inherit_free(struct inherit *rules)
{
	if (!rules)
		return;
	free(rules->hide.ports);
	free(rules->proxy.ports);
	free(rules->gateways.prefixes);
	free(rules);
}

/* --- who answers a port --- */

/* The broker's own sockets in a portspace are not services of it. */
static bool inheritable(const struct porttab_entry *entry)
{
	return entry->pid != getpid();
}

/* A server of `ps` that answers below it as well. */
static int lookup_shared(struct portspace *ps, uint8_t proto, const struct endpoint *dst,
	struct porttab_entry *entryp)
{
	bool v4 = addr_is_v4(&dst->addr);
	struct endpoint at = *dst;

	for (unsigned i = 0; i < ps->info.naddr && !addr_is_loopback(&dst->addr); i++) {
		at.addr = ps->info.addr[i].addr;
		if (addr_is_v4(&at.addr) == v4 &&
			porttab_lookup(ps->porttab, proto, &at, entryp) == 0 && inheritable(entryp))
			return 0;
	}
	at.addr = v4 ? addr_any4 : addr_any6; /* the wildcard's own sockets only */
	if (porttab_lookup(ps->porttab, proto, &at, entryp) == 0 && inheritable(entryp))
		return 0;
	return -ECONNREFUSED;
}

int inherit_lookup(struct portspace *ps, uint8_t proto, const struct endpoint *dst,
	struct inherit_found *foundp)
{
	struct inherit_found found = {.server = ps};
	int r = porttab_lookup(ps->porttab, proto, dst, &found.entry);

	for (int depth = 0; r < 0; depth++) {
		struct portspace *level = found.server;
		const struct inherit *rules = level->rules;

		if (depth > INHERIT_DEPTH_MAX || !rules->inherit ||
			config_ports_contain(&rules->hide, proto, dst->port))
			return -ECONNREFUSED;
		found.proxy |= config_ports_contain(&rules->proxy, proto, dst->port);
		found.server = atomic_load(&level->super);
		if (!level->below)
			break; /* the root is next */
		if (!found.server || found.server->removed)
			return -ECONNREFUSED;
		r = lookup_shared(found.server, proto, dst, &found.entry);
	}
	*foundp = found;
	return 0;
}

/* --- where streams go --- */

/* Servers trust loopback, so a stream that leaves its portspace gets an address of it instead. */
static int outside_address(const struct portspace *ps, struct addr *ap)
{
	if (!addr_is_loopback(ap))
		return 0;
	for (unsigned i = 0; i < ps->info.naddr; i++)
		if (addr_is_v4(&ps->info.addr[i].addr) == addr_is_v4(ap)) {
			*ap = ps->info.addr[i].addr;
			return 0;
		}
	return -ECONNREFUSED;
}

int inherit_route(struct portspace *ps, const struct endpoint *src, const struct endpoint *dst,
	struct core_hop *hopp)
{
	struct inherit_found found;
	struct core_hop hop = {.kind = CORE_HOP_LOCAL, .src = *src, .dst = *dst};
	int r = inherit_lookup(ps, IPPROTO_TCP, dst, &found);

	if (r == 0 && found.server != ps) {
		r = outside_address(ps, &hop.src.addr);
		if (r == 0)
			r = outside_address(ps, &hop.dst.addr);
	}
	if (r < 0)
		return r;
	if (!found.server) {
		hop.kind = CORE_HOP_BASE;
		hop.host = true;
		hop.proxy = found.proxy;
		*hopp = hop;
		return 0;
	}
	if (snprintf(hop.path, sizeof(hop.path), "%s/%s", found.server->dir, found.entry.file) >=
		(int)sizeof(hop.path))
		return -ECONNREFUSED;
	if (found.server != ps)
		hop.server = portspace_ref(found.server);
	*hopp = hop;
	return 0;
}

/* Addresses that mean this host or this wire wherever they are used. */
static bool never_forwarded(const struct addr *a)
{
	if (addr_is_any(a) || addr_is_loopback(a) || addr_is_multicast(a))
		return true;
	if (addr_is_v4(a)) /* "this network" is localhost for Linux, RFC 3927, class E */
		return a->b[12] == 0 || (a->b[12] == 169 && a->b[13] == 254) || a->b[12] >= 240;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool inherit_is_gateway(const struct portspace *ps, const struct addr *dst)
{
	const struct config_prefix_list *own = &ps->rules->gateways;

	if (never_forwarded(dst))
		return false;
	for (size_t i = 0; i < own->n; i++)
		if (prefix_contains(&own->prefixes[i], dst))
			return true;
	return false;
}

int inherit_gateway(struct portspace *ps, const struct endpoint *src, const struct endpoint *dst,
	struct core_hop *hopp)
{
	struct core_hop hop = {.kind = CORE_HOP_BASE, .src = *src, .dst = *dst};
	struct portspace *super = atomic_load(&ps->super);

	if (!inherit_is_gateway(ps, &dst->addr) || (ps->below && (!super || super->removed)))
		return -ENETUNREACH;
	if (super)
		hop.server = portspace_ref(super);
	*hopp = hop;
	return 0;
}

/* --- datagrams --- */

int inherit_udp(struct core *core, struct portspace *ps, const struct endpoint *dst,
	struct inherit_found *foundp)
{
	struct inherit_found found;
	int r = -ECONNREFUSED;

	pthread_mutex_lock(&core->lock);
	if (!ps->removed)
		r = inherit_lookup(ps, IPPROTO_UDP, dst, &found);
	if (r == 0 && found.server == ps) /* its own: the plane has looked there */
		r = -ECONNREFUSED;
	if (r == 0 && found.server)
		portspace_ref(found.server);
	pthread_mutex_unlock(&core->lock);
	if (r == 0)
		*foundp = found;
	return r;
}

bool inherit_udp_gateway(struct core *core, const struct portspace *ps, const struct addr *dst)
{
	bool gateway;

	pthread_mutex_lock(&core->lock);
	gateway = !ps->removed && inherit_is_gateway(ps, dst);
	pthread_mutex_unlock(&core->lock);
	return gateway;
}

/* --- the tree --- */

unsigned inherit_mtu(const struct portspace *super)
{
	return super->info.mtu > INHERIT_MTU_COST ? super->info.mtu - INHERIT_MTU_COST : 0;
}

int inherit_attach(struct core *core, struct portspace *ps, const struct config *config)
{
	struct portspace *super;
	int depth = 0;

	ps->below = config->super[0] != '\0';
	if (!ps->below || atomic_load(&ps->super))
		return 0;
	super = core_find(core, config->super);
	if (!super)
		return -ENOENT;
	if (super->ephemeral)
		return -EPERM;
	for (struct portspace *up = super; up; up = atomic_load(&up->super)) {
		if (up == ps)
			return -ELOOP;
		if (++depth > INHERIT_DEPTH_MAX)
			return -EMLINK;
	}
	atomic_store(&ps->super, portspace_ref(super));
	return 0;
}

static void complain_of(struct core *core, const struct portspace_priv *p)
{
	const char *name = p->config->super, *cause = "has no super-portspace itself";
	const struct portspace *super = core_find(core, name);

	if (!super)
		cause = "is not there";
	else if (super->ephemeral)
		cause = "has no name that lasts";
	log_error(
		"%s: its super-portspace %s %s; it inherits nothing and its links have no network",
		p->ps->info.name, name, cause);
}

void inherit_attach_all(struct core *core, bool complain)
{
	bool again = true;

	/* From the root downwards: each one's MTU follows from that of the one above, and those in
	 * a circle are never reached. */
	while (again) {
		again = false;
		for (struct portspace_priv *p = core->by_name; p; p = p->hh.next) {
			struct portspace *super = core_find(core, p->config->super);

			if (!p->ps->below || atomic_load(&p->ps->super) || !super ||
				(super->below && !atomic_load(&super->super)) ||
				inherit_attach(core, p->ps, p->config) < 0)
				continue;
			portspace_attached(p->ps);
			again = true;
		}
	}
	for (struct portspace_priv *p = core->by_name; complain && p; p = p->hh.next)
		if (p->ps->below && !atomic_load(&p->ps->super))
			complain_of(core, p);
}

struct portspace *inherit_first_sub(struct core *core, const struct portspace *super)
{
	for (struct portspace_priv *p = core->by_name; p; p = p->hh.next)
		if (p->ps != super && atomic_load(&p->ps->super) == super)
			return p->ps;
	return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config_net.h"

#ifndef PERSONA_VERSION
#define PERSONA_VERSION "unversioned" /* built without meson */
#endif

/* Adds a value; NULL (out of memory, or text that is not UTF-8) spoils the whole. */
static void put(json_t **op, const char *name, json_t *value)
{
	if (!*op) {
		json_decref(value);
	} else if (!value || json_object_set_new(*op, name, value) < 0) {
		json_decref(*op);
		*op = NULL;
	}
}

static void append(json_t **ap, json_t *value)
{
	if (!*ap) {
		json_decref(value);
	} else if (!value || json_array_append_new(*ap, value) < 0) {
		json_decref(*ap);
		*ap = NULL;
	}
}

static json_t *integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *key_text(const struct key *key)
{
	char text[KEY_STRLEN];

	return json_string(key_format(key, text));
}

json_t *status_broker(const struct core *core, const struct status_broker *broker)
{
	char text[ENDPOINT_STRLEN];
	json_t *listen = json_array(), *o = json_object();
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	for (size_t i = 0; i < broker->nlisten; i++)
		append(&listen, json_string(endpoint_format(&broker->listen[i], text)));
	put(&o, "pid", json_integer(getpid()));
	put(&o, "version", json_string(PERSONA_VERSION));
	put(&o, "uptime_s", integer((now - broker->started_ms) / 1000));
	put(&o, "workers", integer(broker->workers));
	put(&o, "listen", listen);
	put(&o, "runtime_dir", json_string(core->runtime_dir));
	return o;
}

/* An idle link has nothing open and no failed dial; whether the peer would answer is not known. */
static const char *link_state(const struct link_stats *stats)
{
	if (stats->carriers > 0 || stats->wg_session)
		return "up";
	return stats->error ? "down" : "idle";
}

/* The WireGuard side, as wg(8) shows it. */
static json_t *datagrams(struct link *link)
{
	struct core *core = link->portspace->priv->core;
	struct link_stats *stats = &link->stats;
	const uint64_t handshake_ms = stats->wg_handshake_ms;
	char text[ENDPOINT_STRLEN] = "";
	json_t *o = json_object();

	pthread_mutex_lock(&core->lock);
	if (link->has_heard)
		endpoint_format(&link->heard, text);
	pthread_mutex_unlock(&core->lock);
	put(&o, "endpoint", text[0] ? json_string(text) : json_null());
	put(&o, "session", json_boolean(stats->wg_session));
	put(&o, "last_handshake_s", handshake_ms ? integer(handshake_ms / 1000) : json_null());
	put(&o, "rx_bytes", integer(stats->wg_rx_bytes));
	put(&o, "tx_bytes", integer(stats->wg_tx_bytes));
	put(&o, "rx_packets", integer(stats->wg_rx_packets));
	put(&o, "tx_packets", integer(stats->wg_tx_packets));
	put(&o, "rejected", integer(stats->wg_rejected));
	return o;
}

static void put_link_detail(json_t **op, struct link *link)
{
	struct link_stats *stats = &link->stats;
	uint64_t handshake_ms = stats->handshake_ms;
	int error = stats->error;
	const char *name = error ? strerrorname_np(error) : NULL;

	put(op, "state", json_string(link_state(stats)));
	put(op, "error", name ? json_string(name) : json_null());
	put(op, "carriers", integer(stats->carriers));
	put(op, "carriers_idle", integer(stats->carriers_idle));
	put(op, "streams", integer(stats->streams));
	put(op, "streams_total", integer(stats->streams_total));
	put(op, "rx_bytes", integer(stats->rx_bytes));
	put(op, "tx_bytes", integer(stats->tx_bytes));
	put(op, "last_handshake_s", handshake_ms ? integer(handshake_ms / 1000) : json_null());
	put(op, "datagrams", datagrams(link));
}

json_t *status_link(struct link *link, bool detail)
{
	char text[PREFIX_STRLEN];
	json_t *allowed = json_array(), *o = json_object();
	const char *endpoint = link->endpoint_text;

	for (size_t i = 0; i < link->nallowed; i++)
		append(&allowed, json_string(prefix_format(&link->allowed[i], text)));
	put(&o, "name", json_string(link->name));
	put(&o, "peer", key_text(&link->peer));
	put(&o, "endpoint", endpoint[0] ? json_string(endpoint) : json_null());
	put(&o, "allowed_ips", allowed);
	put(&o, "keepalive", integer(link->keepalive_s));
	put(&o, "preshared", json_boolean(!key_is_zero(link->psk)));
	if (detail)
		put_link_detail(&o, link);
	return o;
}

json_t *status_links(struct portspace *ps, bool detail)
{
	json_t *a = json_array();

	for (struct link *link = ps->links; link; link = link->next)
		append(&a, status_link(link, detail));
	return a;
}

static json_t *addresses(const struct portspace *ps)
{
	char text[PREFIX_STRLEN];
	json_t *a = json_array();

	for (unsigned i = 0; i < ps->info.naddr; i++)
		append(&a, json_string(prefix_format(&ps->info.addr[i], text)));
	return a;
}

/* Name to address; a name with several addresses has an array of them. */
static json_t *hosts(const struct config *config)
{
	char text[ADDR_STRLEN];
	json_t *o = json_object();

	for (size_t i = 0; i < config->nhosts && o; i++) {
		const char *name = config->hosts[i].name;
		json_t *addr = json_string(addr_format(&config->hosts[i].addr, text));
		json_t *have = json_object_get(o, name);

		if (json_is_array(have)) {
			if (!addr || json_array_append_new(have, addr) < 0) {
				json_decref(o);
				o = NULL;
			}
		} else if (have) {
			json_t *both = json_array();

			append(&both, json_incref(have));
			append(&both, addr);
			put(&o, name, both);
		} else {
			put(&o, name, addr);
		}
	}
	return o;
}

static void put_setting(const char *key, const char *value, void *arg)
{
	json_t **op = arg, *values;

	if (!config_net_repeats(key)) {
		put(op, key, json_string(value));
		return;
	}
	values = json_object_get(*op, key);
	if (!values)
		put(op, key, json_array());
	values = json_object_get(*op, key);
	if (values && json_array_append_new(values, json_string(value)) < 0) {
		json_decref(*op);
		*op = NULL;
	}
}

/* By the keys of the configuration file; what is not set is not there. */
static json_t *settings(const struct config *config)
{
	json_t *o = json_object();

	config_net_format(config, put_setting, &o);
	return o;
}

static json_t *dns(const struct config *config)
{
	json_t *a = json_array();

	for (size_t i = 0; i < config->ndns; i++)
		append(&a, json_string(config->dns[i]));
	return a;
}

static json_t *inits(const struct portspace_priv *priv)
{
	json_t *a = json_array();

	for (const struct init *init = priv->inits; init; init = init->next) {
		json_t *o = json_object();

		put(&o, "pid", json_integer(init->pid));
		put(&o, "seal", json_string(init->seal));
		put(&o, "command", init->command ? json_incref(init->command) : json_array());
		put(&o, "started_s", integer(init->started_s));
		append(&a, o);
	}
	return a;
}

static int append_port(const struct porttab_entry *entry, void *arg)
{
	char text[ADDR_STRLEN];
	json_t **ap = arg, *o = json_object();

	put(&o, "proto", json_string(entry->proto == IPPROTO_UDP ? "udp" : "tcp"));
	put(&o, "address", json_string(addr_format(&entry->local.addr, text)));
	put(&o, "port", integer(entry->local.port));
	put(&o, "inode", integer(entry->inode));
	put(&o, "pid", json_integer(entry->pid));
	put(&o, "listening", json_boolean(entry->listening));
	append(ap, o);
	return *ap ? 0 : -1;
}

static json_t *ports(struct portspace *ps)
{
	struct core *core = ps->priv->core;
	json_t *a = json_array();

	pthread_mutex_lock(&core->lock);
	porttab_each(ps->porttab, append_port, &a);
	pthread_mutex_unlock(&core->lock);
	return a;
}

/* Why its links have no network, or cannot be reached in it. */
static json_t *super_error(const struct portspace *ps)
{
	if (!ps->below || ps->nested)
		return json_null();
	return json_string(atomic_load(&ps->super) ? "port in use" : "not found");
}

json_t *status_portspace(struct portspace *ps, bool detail)
{
	json_t *o = json_object();

	put(&o, "name", json_string(ps->info.name));
	put(&o, "id", integer(ps->id));
	put(&o, "public_key", key_text(&ps->public_key));
	put(&o, "addresses", addresses(ps));
	put(&o, "hostname", json_string(ps->info.hostname));
	put(&o, "mtu", integer(ps->info.mtu));
	put(&o, "super", json_string(ps->below ? ps->priv->config->super : "root"));
	put(&o, "super_error", super_error(ps));
	put(&o, "ephemeral", json_boolean(ps->ephemeral));
	put(&o, "links", status_links(ps, detail));
	put(&o, "hosts", hosts(ps->priv->config));
	put(&o, "dns", dns(ps->priv->config));
	put(&o, "settings", settings(ps->priv->config));
	if (detail) {
		put(&o, "inits", inits(ps->priv));
		put(&o, "streams", integer(ps->streams));
		put(&o, "datagrams_dropped", integer(ps->dgrams_dropped));
		put(&o, "ports", ports(ps));
	}
	return o;
}

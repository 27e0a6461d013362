/* SPDX-License-Identifier: MIT */
/* A portspace's configuration: the struct, its rules and its text form. See config.h; the parser is
 * in config_parse.c. */
#include "config.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_net.h"
#include "config_parse.h"
#include "prefix_set.h"

enum { ALLOWED_PER_LINE = 8 };

struct config *config_new(void)
{
	return calloc(1, sizeof(struct config));
}

static void peer_wipe(struct config_peer *peer)
{
	key_free(peer->psk);
	free(peer->allowed);
	sodium_memzero(peer, sizeof(*peer));
}

void config_free(struct config *config)
{
	if (!config)
		return;
	key_free(config->private_key);
	for (size_t i = 0; i < config->npeers; i++)
		peer_wipe(&config->peers[i]);
	free(config->peers);
	free(config->hosts);
	config_net_free(config);
	for (size_t i = 0; i < config->nwarnings; i++)
		free(config->warnings[i]);
	free(config->warnings);
	sodium_memzero(config, sizeof(*config));
	free(config);
}

/* --- changes --- */

/* Makes room for one more item of `size` bytes behind *np. Capacities are powers of two, so the
 * array grows exactly when the count is one (or 0). 0 or -ENOMEM. */
static int grow(void **itemsp, size_t n, size_t size)
{
	void *items;

	if (n & (n - 1))
		return 0;
	items = realloc(*itemsp, (n ? 2 * n : 1) * size);
	if (!items)
		return -ENOMEM;
	*itemsp = items;
	return 0;
}

int config_add_peer(struct config *config, const struct key *public_key, struct config_peer **peerp)
{
	void *peers = config->peers;
	struct config_peer *peer;
	int r;

	if (config->npeers >= CONFIG_PEERS_MAX)
		return -ENOSPC;
	r = grow(&peers, config->npeers, sizeof(*peer));
	if (r)
		return r;
	config->peers = peers;
	peer = &config->peers[config->npeers++];
	*peer = (struct config_peer){.public_key = *public_key};
	*peerp = peer;
	return 0;
}

int config_append_allowed(struct config_peer *peer, const struct prefix *prefix)
{
	void *allowed = peer->allowed;
	int r;

	if (peer->nallowed >= LINK_PREFIXES_MAX)
		return -ENOSPC;
	r = grow(&allowed, peer->nallowed, sizeof(*prefix));
	if (r)
		return r;
	peer->allowed = allowed;
	peer->allowed[peer->nallowed] = *prefix;
	prefix_mask(&peer->allowed[peer->nallowed++]);
	return 0;
}

int config_add_allowed(struct config_peer *peer, const struct prefix *prefix)
{
	struct prefix masked = *prefix;

	prefix_mask(&masked);
	for (size_t i = 0; i < peer->nallowed; i++) {
		const struct prefix *have = &peer->allowed[i];

		if (have->len == masked.len && addr_equal(&have->addr, &masked.addr))
			return 0;
	}
	return config_append_allowed(peer, &masked);
}

int config_append_host(struct config *config, const struct addr *addr, const char *name)
{
	void *hosts = config->hosts;
	struct config_host *host;
	int r;

	if (config->nhosts >= CONFIG_HOSTS_MAX)
		return -ENOSPC;
	r = grow(&hosts, config->nhosts, sizeof(*host));
	if (r)
		return r;
	config->hosts = hosts;
	host = &config->hosts[config->nhosts++];
	*host = (struct config_host){.addr = *addr};
	snprintf(host->name, sizeof(host->name), "%s", name);
	return 0;
}

int config_add_host(struct config *config, const struct addr *addr, const char *name)
{
	if (!hosts_name_valid(name))
		return -EINVAL;
	for (size_t i = 0; i < config->nhosts; i++) {
		const struct config_host *have = &config->hosts[i];

		if (addr_equal(&have->addr, addr) && !strcasecmp(have->name, name))
			return 0;
	}
	return config_append_host(config, addr, name);
}

struct config_peer *config_find_peer(const struct config *config, const struct key *public_key)
{
	for (size_t i = 0; i < config->npeers; i++) {
		if (key_equal(&config->peers[i].public_key, public_key))
			return &config->peers[i];
	}
	return NULL;
}

struct config_peer *config_find_link(const struct config *config, const char *name)
{
	for (size_t i = 0; *name && i < config->npeers; i++) {
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	}
	return NULL;
}

void config_remove_peer(struct config *config, struct config_peer *peer)
{
	const size_t at = (size_t)(peer - config->peers);
	size_t routes = 0;

	for (size_t i = 0; i < config->nroutes; i++)
		if (!peer->name[0] || strcmp(config->routes[i].link, peer->name) != 0)
			config->routes[routes++] = config->routes[i];
	config->nroutes = routes;
	peer_wipe(peer);
	memmove(peer, peer + 1, (config->npeers - at - 1) * sizeof(*peer));
	config->npeers--;
	sodium_memzero(&config->peers[config->npeers], sizeof(*peer));
}

/* --- rules --- */

bool config_name_valid(const char *name)
{
	const size_t len = strnlen(name, PORTSPACE_NAME_MAX);

	if (!len || len >= PORTSPACE_NAME_MAX || name[0] == '.' || name[0] == '_' || name[0] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool config_link_name_valid(const char *name)
{
	const size_t len = strnlen(name, LINK_NAME_MAX);

	if (!len || len >= LINK_NAME_MAX || !strcmp(name, ".") || !strcmp(name, "..") ||
		!strcmp(name, "lo"))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~' || strchr("/:#,", name[i]))
			return false;
	}
	return true;
}

int config_endpoint_split(const char *text, char *hostp, uint16_t *portp)
{
	const size_t len = strnlen(text, CONFIG_ENDPOINT_MAX);
	const char *colon = len < CONFIG_ENDPOINT_MAX ? strrchr(text, ':') : NULL;
	char host[CONFIG_ENDPOINT_MAX];
	size_t host_len = colon ? (size_t)(colon - text) : 0;
	unsigned long port;
	struct addr addr;

	if (!host_len)
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (host[0] == '[') {
		if (host[host_len - 1] != ']')
			return -EINVAL;
		host[host_len - 1] = '\0';
		memmove(host, host + 1, host_len - 1);
		if (!strchr(host, ':') || addr_parse(host, &addr))
			return -EINVAL;
	} else if (strchr(host, ':') || (addr_parse(host, &addr) && !hosts_name_valid(host))) {
		return -EINVAL;
	}
	if (!colon[1] || strlen(colon + 1) > 5 ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	port = strtoul(colon + 1, NULL, 10);
	if (!port || port > UINT16_MAX)
		return -EINVAL;
	if (hostp)
		memcpy(hostp, host, strlen(host) + 1); /* an address or a valid name: it fits */
	if (portp)
		*portp = (uint16_t)port;
	return 0;
}

const char *config_address_problem(const struct prefix *prefix)
{
	if (prefix->len > 128 || (addr_is_v4(&prefix->addr) && prefix->len < 96))
		return "has an impossible prefix length";
	if (addr_is_any(&prefix->addr))
		return "is the wildcard, not the address of a host";
	if (addr_is_multicast(&prefix->addr))
		return "is a multicast or broadcast address, not that of a host";
	if (addr_is_loopback(&prefix->addr))
		return "is a loopback address, which every portspace has already";
	return NULL;
}

int config_fail(struct config_error *errp, unsigned line, int err, const char *fmt, ...)
{
	va_list ap;

	if (!errp)
		return err;
	errp->line = line;
	va_start(ap, fmt);
	vsnprintf(errp->message, sizeof(errp->message), fmt, ap);
	va_end(ap);
	/* Foreign text goes to terminals and logs. */
	for (char *p = errp->message; *p; p++) {
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	}
	return err;
}

/* The rules for one peer by itself. */
static int check_peer(const struct config *config, size_t at, struct config_error *errp)
{
	const struct config_peer *peer = &config->peers[at];
	char key[KEY_STRLEN];

	key_format(&peer->public_key, key);
	if (key_is_zero(&peer->public_key))
		return config_fail(errp, 0, -EINVAL,
			"a [Peer] has no usable PublicKey; put the key that `persona pubkey` "
			"prints on "
			"the other host");
	for (size_t i = 0; i < at; i++) {
		const struct config_peer *other = &config->peers[i];

		if (key_equal(&other->public_key, &peer->public_key))
			return config_fail(errp, 0, -EINVAL,
				"peer %s is there twice; merge the two [Peer] sections", key);
		if (peer->name[0] && !strcmp(other->name, peer->name))
			return config_fail(errp, 0, -EINVAL,
				"two peers have the interface name %s; give each its own Link name",
				peer->name);
	}
	if (peer->name[0] && !config_link_name_valid(peer->name))
		return config_fail(errp, 0, -EINVAL,
			"'%.20s' is no interface name: use 1 to 15 characters without space and "
			"without / : # or comma, not 'lo'",
			peer->name);
	if (peer->endpoint[0] && config_endpoint_split(peer->endpoint, NULL, NULL))
		return config_fail(errp, 0, -EINVAL,
			"peer %s: '%.80s' is no endpoint; write HOST:PORT or [IPV6]:PORT", key,
			peer->endpoint);
	return 0;
}

/* No prefix may lead to two peers. */
static int check_allowed(const struct config *config, struct config_error *errp)
{
	struct prefix_set *set = NULL;
	int r = 0;

	for (size_t i = 0; !r && i < config->npeers; i++) {
		struct config_peer *peer = &config->peers[i];

		for (size_t j = 0; !r && j < peer->nallowed; j++) {
			char text[PREFIX_STRLEN], key[KEY_STRLEN];

			r = prefix_set_add(&set, &peer->allowed[j], i);
			if (r == -EEXIST)
				r = config_fail(errp, 0, -EINVAL,
					"peer %s: %s is another peer's already; a prefix can lead "
					"to one "
					"peer only",
					key_format(&peer->public_key, key),
					prefix_format(&peer->allowed[j], text));
			else if (r == -EINVAL)
				config_fail(
					errp, 0, r, "AllowedIPs has an impossible prefix length");
		}
	}
	if (r == -ENOMEM)
		config_fail(errp, 0, r, "out of memory");
	prefix_set_free(set);
	return r;
}

static int check_addresses(const struct config *config, struct config_error *errp)
{
	char text[PREFIX_STRLEN];

	if (!config->naddresses)
		return config_fail(errp, 0, -EINVAL,
			"no Address in [Interface]; add one, for example Address = 10.77.0.1/24");
	for (size_t i = 0; i < config->naddresses; i++) {
		const struct prefix *prefix = &config->addresses[i];
		const char *problem = config_address_problem(prefix);

		if (problem)
			return config_fail(errp, 0, -EINVAL, "Address %s %s",
				prefix->len > 128 ? "" : prefix_format(prefix, text), problem);
		for (size_t j = 0; j < i; j++) {
			if (addr_equal(&config->addresses[j].addr, &prefix->addr))
				return config_fail(errp, 0, -EINVAL,
					"Address %s is there twice; remove one",
					prefix_format(prefix, text));
		}
	}
	return 0;
}

static int check_hosts(const struct config *config, struct config_error *errp)
{
	struct hosts *hosts = NULL;
	int r = hosts_new(&hosts);

	for (size_t i = 0; !r && i < config->nhosts; i++) {
		r = hosts_add(hosts, config->hosts[i].name, &config->hosts[i].addr);
		if (r == -EINVAL || r == -ENOSPC)
			r = config_fail(errp, 0, -EINVAL, "Host %.80s: %s", config->hosts[i].name,
				r == -EINVAL ? "not a host name that can be set"
					     : "has too many addresses");
	}
	if (r == -ENOMEM)
		config_fail(errp, 0, r, "out of memory");
	hosts_free(hosts);
	return r;
}

static int check_interface(const struct config *config, struct config_error *errp)
{
	struct key own;

	if (!config->private_key)
		return config_fail(errp, 0, -EINVAL,
			"no PrivateKey in [Interface]; add one, `wg genkey` makes it");
	if (key_public(config->private_key, &own))
		return config_fail(errp, 0, -EINVAL,
			"PrivateKey cannot be used; make another one, for example with `wg "
			"genkey`");
	if (config_find_peer(config, &own))
		return config_fail(errp, 0, -EINVAL,
			"a [Peer] has the PublicKey of this very portspace; put the other host's "
			"key");
	if (config->mtu && config->mtu < CONFIG_MTU_MIN)
		return config_fail(errp, 0, -EINVAL, "MTU %u is too small; use %d to %d",
			config->mtu, CONFIG_MTU_MIN, CONFIG_MTU_MAX);
	if (config->hostname[0] && !config_hostname_valid(config->hostname))
		return config_fail(errp, 0, -EINVAL,
			"Hostname '%.64s' is not valid: use letters, digits, '-' and '.', at most "
			"64",
			config->hostname);
	if (config->streams_max > CONFIG_STREAMS_MAX)
		return config_fail(errp, 0, -EINVAL, "StreamsMax %u is too large; use 1 to %d",
			config->streams_max, CONFIG_STREAMS_MAX);
	for (size_t i = 0; i < config->ndns; i++) {
		struct addr addr;

		if (addr_parse(config->dns[i], &addr) && !hosts_name_valid(config->dns[i]))
			return config_fail(errp, 0, -EINVAL,
				"DNS '%.80s' is neither an address nor a domain", config->dns[i]);
	}
	return 0;
}

bool config_hostname_valid(const char *name)
{
	const size_t len = strnlen(name, CONFIG_HOSTNAME_MAX);

	return len && len < CONFIG_HOSTNAME_MAX && name[len - 1] != '.' && hosts_name_valid(name);
}

int config_check(const struct config *config, struct config_error *errp)
{
	int r = check_interface(config, errp);

	if (!r)
		r = check_addresses(config, errp);
	for (size_t i = 0; !r && i < config->npeers; i++)
		r = check_peer(config, i, errp);
	if (!r)
		r = check_allowed(config, errp);
	if (!r)
		r = check_hosts(config, errp);
	if (!r)
		r = config_net_check(config, errp);
	return r;
}

/* --- text --- */

/* Counts when p is NULL, else writes. */
struct out {
	char *p;
	size_t len;
};

static void put(struct out *out, const char *text)
{
	const size_t len = strlen(text);

	if (out->p)
		memcpy(out->p + out->len, text, len);
	out->len += len;
}

static void put_line(struct out *out, const char *key, const char *value)
{
	put(out, key);
	put(out, " = ");
	put(out, value);
	put(out, "\n");
}

static void put_number(struct out *out, const char *key, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	put_line(out, key, text);
}

static void put_key(struct out *out, const char *key, const struct key *value)
{
	char text[KEY_STRLEN];

	put_line(out, key, key_format(value, text));
	sodium_memzero(text, sizeof(text));
}

static void put_peer(struct out *out, const struct config_peer *peer)
{
	char text[PREFIX_STRLEN];

	put(out, "\n[Peer]\n");
	put_key(out, "PublicKey", &peer->public_key);
	if (peer->psk && !key_is_zero(peer->psk))
		put_key(out, "PresharedKey", peer->psk);
	for (size_t i = 0; i < peer->nallowed; i++) {
		put(out, i % ALLOWED_PER_LINE ? ", " : "AllowedIPs = ");
		put(out, prefix_format(&peer->allowed[i], text));
		if (i % ALLOWED_PER_LINE == ALLOWED_PER_LINE - 1 || i + 1 == peer->nallowed)
			put(out, "\n");
	}
	if (peer->endpoint[0])
		put_line(out, "Endpoint", peer->endpoint);
	if (peer->keepalive_s)
		put_number(out, "PersistentKeepalive", peer->keepalive_s);
}

/* The section's lines; only those of config_net.c go through here. */
static void put_net(const char *key, const char *value, void *arg)
{
	put_line(arg, key, value);
}

static void put_persona_lines(struct out *out, const struct config *config)
{
	char text[PREFIX_STRLEN]; /* the longest of the texts below and more */

	if (config->hostname[0])
		put_line(out, "Hostname", config->hostname);
	if (config->streams_max)
		put_number(out, "StreamsMax", config->streams_max);
	for (size_t i = 0; i < config->nhosts; i++) {
		put(out, "Host = ");
		put(out, addr_format(&config->hosts[i].addr, text));
		put(out, " ");
		put(out, config->hosts[i].name);
		put(out, "\n");
	}
	for (size_t i = 0; i < config->npeers; i++) {
		if (!config->peers[i].name[0])
			continue;
		put(out, "Link = ");
		put(out, key_format(&config->peers[i].public_key, text));
		put(out, " ");
		put(out, config->peers[i].name);
		put(out, "\n");
	}
	config_net_format(config, put_net, out);
}

static void put_persona(struct out *out, const struct config *config)
{
	struct out count = {0};

	put_persona_lines(&count, config);
	if (count.len == 0)
		return;
	put(out, "\n[Persona]\n");
	put_persona_lines(out, config);
}

static void put_config(struct out *out, const struct config *config)
{
	char text[PREFIX_STRLEN];

	put(out, "[Interface]\n");
	put_key(out, "PrivateKey", config->private_key);
	for (size_t i = 0; i < config->naddresses; i++)
		put_line(out, "Address", prefix_format(&config->addresses[i], text));
	if (config->mtu)
		put_number(out, "MTU", config->mtu);
	if (config->listen_port)
		put_number(out, "ListenPort", config->listen_port);
	for (size_t i = 0; i < config->ndns; i++)
		put_line(out, "DNS", config->dns[i]);
	for (size_t i = 0; i < config->npeers; i++)
		put_peer(out, &config->peers[i]);
	put_persona(out, config);
}

int config_format(const struct config *config, char **textp, size_t *lenp)
{
	struct out out = {0};

	if (!config->private_key)
		return -EINVAL;
	put_config(&out, config);
	if (out.len > CONFIG_TEXT_MAX)
		return -E2BIG;
	out.p = sodium_malloc(out.len + 1);
	if (!out.p)
		return -ENOMEM;
	out.len = 0;
	put_config(&out, config);
	out.p[out.len] = '\0';
	*textp = out.p;
	*lenp = out.len;
	return 0;
}

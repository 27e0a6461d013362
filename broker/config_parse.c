/* SPDX-License-Identifier: MIT */
/* The parser of configuration files. See config.h.
 *
 * Why not inih, which other projects use for such files: it cuts lines at a fixed length (200 bytes
 * as Debian builds it; AllowedIPs lines are longer), does not tell one [Peer] section from the
 * next, and takes ';' for a comment; and its copies of the lines, with keys in them, stay behind in
 * memory. The format needs no more than the below.
 *
 * Model: the whole text is copied to memory that is wiped when freed, and cut into lines and values
 * in place. Each key has one handler in a table. A handler gets its value trimmed and terminated.
 * Errors name the line and never show a secret: values of key settings are not printed, nor is a
 * line that is not understood.
 *
 * As wg(8) and wg-quick(8) have it: '#' starts a comment anywhere, case does not matter in keys and
 * section names, [Peer] starts a new peer each time, Address, DNS and AllowedIPs may be repeated.
 * Stricter: a single-valued key must not be repeated, nor a prefix belong to two peers (wg lets the
 * last one win, which hides mistakes). */
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "config_net.h"
#include "config_parse.h"
#include "config_word.h"
#include "prefix_set.h"

enum section { SECTION_NONE, SECTION_INTERFACE, SECTION_PEER, SECTION_PERSONA };

/* A Link line, applied when all peers are known. */
struct pending_link {
	unsigned line;
	struct key peer;
	char name[LINK_NAME_MAX];
};

struct parser {
	struct config *config;
	struct config_error *errp;
	unsigned line;
	enum section section;
	unsigned peer_line; /* of the last [Peer] */
	uint32_t seen;	    /* keys of the table given in [Interface], [Persona] or this [Peer] */
	uint32_t net_seen;  /* keys of config_net.c */
	struct config_peer *peer;
	struct prefix_set *allowed; /* every AllowedIPs so far, by number of peer */
	struct hosts *hosts;	    /* every Host so far */
	struct pending_link *links;
	size_t nlinks;
};

struct rule {
	enum section section;
	const char *key;
	int (*handle)(struct parser *p, char *value); /* NULL: ignored, `why` is the warning */
	const char *why;
	bool once;
};

#define bad(p, ...) config_fail((p)->errp, (p)->line, -EINVAL, __VA_ARGS__)

static int no_memory(struct parser *p)
{
	return config_fail(p->errp, p->line, -ENOMEM, "out of memory");
}

static int warn(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int warn(struct parser *p, const char *fmt, ...)
{
	struct config *config = p->config;
	char text[CONFIG_MESSAGE_MAX];
	va_list ap;
	int n;

	if (config->nwarnings >= CONFIG_WARNINGS_MAX) {
		config->nwarnings_lost++;
		return 0;
	}
	if (!config->warnings)
		config->warnings = calloc(CONFIG_WARNINGS_MAX, sizeof(*config->warnings));
	n = snprintf(text, sizeof(text), "line %u: ", p->line);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (!config->warnings || !(config->warnings[config->nwarnings] = strdup(text)))
		return no_memory(p);
	config->nwarnings++;
	return 0;
}

/* A secret key to fresh key_new() memory. */
static int parse_secret(struct parser *p, const char *name, const char *value, struct key **keyp)
{
	struct key *key = key_new();

	if (!key)
		return no_memory(p);
	if (key_parse(value, key)) {
		key_free(key);
		return bad(p,
			"%s is no key: it must be 44 characters of base64 as wg(8) prints them",
			name);
	}
	*keyp = key;
	return 0;
}

/* --- [Interface] --- */

static int handle_private_key(struct parser *p, char *value)
{
	struct key public;
	int r = parse_secret(p, "PrivateKey", value, &p->config->private_key);

	if (!r && key_public(p->config->private_key, &public))
		r = bad(p, "PrivateKey cannot be used; make another one, for example with `wg "
			   "genkey`");
	return r;
}

static int handle_address(struct parser *p, char *value)
{
	struct config *config = p->config;
	char *item;

	while ((item = config_next_item(&value, ","))) {
		struct prefix prefix;
		const char *problem;

		if (prefix_parse(item, &prefix))
			return bad(p,
				"Address '%.60s' is no address; write for example 10.77.0.1/24",
				config_show(item));
		problem = config_address_problem(&prefix);
		if (problem)
			return bad(p, "Address %.60s %s", config_show(item), problem);
		for (size_t i = 0; i < config->naddresses; i++) {
			if (addr_equal(&config->addresses[i].addr, &prefix.addr))
				return bad(p, "Address %.60s is there twice; remove one",
					config_show(item));
		}
		if (config->naddresses == INFO_ADDRS_MAX)
			return bad(p, "more than %d addresses; a portspace cannot have more",
				INFO_ADDRS_MAX);
		config->addresses[config->naddresses++] = prefix;
	}
	return 0;
}

static int handle_mtu(struct parser *p, char *value)
{
	unsigned long mtu;

	if (config_parse_number(value, CONFIG_MTU_MAX, &mtu) || mtu < CONFIG_MTU_MIN)
		return bad(p, "MTU '%.20s' must be a number from %d to %d", config_show(value),
			CONFIG_MTU_MIN, CONFIG_MTU_MAX);
	p->config->mtu = (uint16_t)mtu;
	return 0;
}

static int handle_dns(struct parser *p, char *value)
{
	struct config *config = p->config;
	char *item;

	while ((item = config_next_item(&value, ","))) {
		struct addr addr;

		if (addr_parse(item, &addr) && !hosts_name_valid(item))
			return bad(p, "DNS '%.60s' is neither an address nor a domain",
				config_show(item));
		if (config->ndns == CONFIG_DNS_MAX)
			return bad(p, "more than %d DNS entries; remove some", CONFIG_DNS_MAX);
		snprintf(config->dns[config->ndns++], HOSTS_NAME_MAX, "%s", item);
	}
	return 0;
}

static int handle_listen_port(struct parser *p, char *value)
{
	unsigned long port;

	if (config_parse_number(value, UINT16_MAX, &port) || !port)
		return bad(p, "ListenPort '%.20s' must be a number from 1 to 65535",
			config_show(value));
	p->config->listen_port = (uint16_t)port;
	return 0;
}

/* --- [Peer] --- */

static int handle_public_key(struct parser *p, char *value)
{
	const struct config_peer *other;
	struct key key;

	if (key_parse(value, &key) || key_is_zero(&key))
		return bad(p, "PublicKey is no key: it must be 44 characters of base64 as "
			      "`persona pubkey` prints them on the other host");
	other = config_find_peer(p->config, &key);
	if (other)
		return bad(p, "this PublicKey is another [Peer]'s already; merge the two sections");
	p->peer->public_key = key;
	return 0;
}

static int handle_preshared_key(struct parser *p, char *value)
{
	int r = parse_secret(p, "PresharedKey", value, &p->peer->psk);

	/* All zero means none, as in wg(8). */
	if (!r && key_is_zero(p->peer->psk)) {
		key_free(p->peer->psk);
		p->peer->psk = NULL;
	}
	return r;
}

static int handle_allowed_ips(struct parser *p, char *value)
{
	const size_t self = p->config->npeers;
	char *item;

	if (!*value)
		return 0;
	while ((item = config_next_item(&value, ","))) {
		struct prefix prefix;
		int r;

		if (prefix_parse(item, &prefix))
			return bad(p,
				"AllowedIPs '%.60s' is no prefix; write for example 10.77.0.0/24",
				config_show(item));
		if (prefix_set_has(p->allowed, &prefix, self))
			continue;
		r = prefix_set_add(&p->allowed, &prefix, self);
		if (r == -EEXIST)
			return bad(p,
				"AllowedIPs %.60s is another [Peer]'s already; a prefix can lead "
				"to "
				"one peer only",
				config_show(item));
		if (!r)
			r = config_append_allowed(p->peer, &prefix);
		if (r == -ENOSPC)
			return bad(p, "more than %d AllowedIPs; a link cannot have more",
				LINK_PREFIXES_MAX);
		if (r)
			return no_memory(p);
	}
	return 0;
}

static int handle_endpoint(struct parser *p, char *value)
{
	if (config_endpoint_split(value, NULL, NULL))
		return bad(
			p, "Endpoint '%.80s' must be HOST:PORT or [IPV6]:PORT", config_show(value));
	snprintf(p->peer->endpoint, sizeof(p->peer->endpoint), "%s", value);
	return 0;
}

static int handle_keepalive(struct parser *p, char *value)
{
	unsigned long seconds = 0;

	if (strcasecmp(value, "off") && config_parse_number(value, UINT16_MAX, &seconds))
		return bad(p, "PersistentKeepalive '%.20s' must be seconds from 0 to 65535, or off",
			config_show(value));
	p->peer->keepalive_s = (uint16_t)seconds;
	return 0;
}

/* --- [Persona] --- */

static int handle_hostname(struct parser *p, char *value)
{
	if (!config_hostname_valid(value))
		return bad(p,
			"Hostname '%.64s' is not valid: use letters, digits, '-' and '.', at most "
			"64",
			config_show(value));
	snprintf(p->config->hostname, sizeof(p->config->hostname), "%s", value);
	return 0;
}

static int handle_host(struct parser *p, char *value)
{
	char *item = config_next_item(&value, config_space);
	struct addr addr;
	size_t names = 0;

	if (addr_parse(item, &addr))
		return bad(p, "Host '%.60s' is no address; write Host = ADDRESS NAME",
			config_show(item));
	while ((item = config_next_item(&value, config_space))) {
		size_t before = hosts_count(p->hosts);
		int r;

		if (!*item)
			continue;
		names++;
		r = hosts_add(p->hosts, item, &addr);
		if (r == -EINVAL)
			return bad(p,
				"Host name '%.80s' is not valid, or below localhost, which cannot "
				"be changed",
				config_show(item));
		if (!r && hosts_count(p->hosts) > before)
			r = config_append_host(p->config, &addr, item);
		if (r == -ENOSPC)
			return bad(p, "too many Host names (%d), or addresses of one name (%d)",
				CONFIG_HOSTS_MAX, HOSTS_ADDRS_MAX);
		if (r)
			return no_memory(p);
	}
	return names ? 0 : bad(p, "Host has no name; write Host = ADDRESS NAME");
}

static int handle_link(struct parser *p, char *value)
{
	const char *key = config_next_item(&value, config_space), *name;
	struct pending_link *links, *link;

	if (value)
		value += strspn(value, config_space);
	name = value ? value : "";
	links = reallocarray(p->links, p->nlinks + 1, sizeof(*links));
	if (!links)
		return no_memory(p);
	p->links = links;
	link = &links[p->nlinks];
	if (key_parse(key, &link->peer))
		return bad(p,
			"Link must start with the PublicKey of a [Peer]; write Link = PUBKEY NAME");
	if (!config_link_name_valid(name))
		return bad(p,
			"Link '%.20s' is no interface name: use 1 to 15 characters without space "
			"and without / : # or comma, not 'lo'",
			config_show(name));
	for (size_t i = 0; i < p->nlinks; i++) {
		if (!strcmp(links[i].name, name) || key_equal(&links[i].peer, &link->peer))
			return bad(p,
				"Link: this name or this peer was on line %u already; remove one",
				links[i].line);
	}
	link->line = p->line;
	snprintf(link->name, sizeof(link->name), "%s", name);
	p->nlinks++;
	return p->nlinks > CONFIG_PEERS_MAX ? bad(p, "more than %d links", CONFIG_PEERS_MAX) : 0;
}

static int handle_streams_max(struct parser *p, char *value)
{
	unsigned long n;

	if (config_parse_number(value, CONFIG_STREAMS_MAX, &n) || !n)
		return bad(p, "StreamsMax '%.20s' must be a number from 1 to %d",
			config_show(value), CONFIG_STREAMS_MAX);
	p->config->streams_max = (unsigned)n;
	return 0;
}

static const char no_hooks[] = "is never run: a portspace needs no interface and no firewall rules";

static const struct rule rules[] = {
	{SECTION_INTERFACE, "PrivateKey", handle_private_key, NULL, true},
	{SECTION_INTERFACE, "Address", handle_address, NULL, false},
	{SECTION_INTERFACE, "MTU", handle_mtu, NULL, true},
	{SECTION_INTERFACE, "DNS", handle_dns, NULL, false},
	{SECTION_INTERFACE, "ListenPort", handle_listen_port, NULL, true},
	{SECTION_INTERFACE, "FwMark", NULL, "is ignored: the host's own packets are not marked",
		false},
	{SECTION_INTERFACE, "Table", NULL, "is ignored: a portspace has one routing table", false},
	{SECTION_INTERFACE, "SaveConfig", NULL, "is ignored: every change is saved", false},
	{SECTION_INTERFACE, "PreUp", NULL, no_hooks, false},
	{SECTION_INTERFACE, "PostUp", NULL, no_hooks, false},
	{SECTION_INTERFACE, "PreDown", NULL, no_hooks, false},
	{SECTION_INTERFACE, "PostDown", NULL, no_hooks, false},
	{SECTION_PEER, "PublicKey", handle_public_key, NULL, true},
	{SECTION_PEER, "PresharedKey", handle_preshared_key, NULL, true},
	{SECTION_PEER, "AllowedIPs", handle_allowed_ips, NULL, false},
	{SECTION_PEER, "Endpoint", handle_endpoint, NULL, true},
	{SECTION_PEER, "PersistentKeepalive", handle_keepalive, NULL, true},
	{SECTION_PERSONA, "Hostname", handle_hostname, NULL, true},
	{SECTION_PERSONA, "Host", handle_host, NULL, false},
	{SECTION_PERSONA, "Link", handle_link, NULL, false},
	{SECTION_PERSONA, "StreamsMax", handle_streams_max, NULL, true},
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

_Static_assert(RULES <= 32, "parser.seen has one bit for each rule");

/* Is the [Peer] that ends here complete? */
static int end_peer(struct parser *p)
{
	const unsigned line = p->line;
	int r = 0;

	if (p->peer && key_is_zero(&p->peer->public_key)) {
		p->line = p->peer_line;
		r = bad(p, "this [Peer] has no PublicKey; put the key that `persona pubkey` prints "
			   "on the "
			   "other host");
		p->line = line;
	}
	p->peer = NULL;
	return r;
}

static int start_section(struct parser *p, const char *name)
{
	static const struct key no_key;
	int r = end_peer(p);

	if (r)
		return r;
	if (!strcasecmp(name, "[Interface]")) {
		p->section = SECTION_INTERFACE;
	} else if (!strcasecmp(name, "[Persona]")) {
		p->section = SECTION_PERSONA;
	} else if (!strcasecmp(name, "[Peer]")) {
		p->section = SECTION_PEER;
		p->peer_line = p->line;
		for (unsigned i = 0; i < RULES; i++) {
			if (rules[i].section == SECTION_PEER)
				p->seen &= ~(1U << i);
		}
		r = config_add_peer(p->config, &no_key, &p->peer);
		if (r == -ENOSPC)
			return bad(p, "more than %d peers", CONFIG_PEERS_MAX);
		return r ? no_memory(p) : 0;
	} else {
		return bad(p,
			"section '%.40s' is not known; there are [Interface], [Peer] and [Persona]",
			config_show(name));
	}
	return 0;
}

static int apply_rule(struct parser *p, unsigned i, char *value)
{
	const struct rule *rule = &rules[i];

	if (!rule->handle)
		return warn(p, "%s %s", rule->key, rule->why);
	if (rule->once && (p->seen & 1U << i))
		return bad(p, "%s is there twice; remove one", rule->key);
	p->seen |= 1U << i;
	return rule->handle(p, value);
}

/* A key of config_net.c. -ENOENT: it is none. */
static int parse_net_setting(struct parser *p, const char *key, const char *value)
{
	struct config_error error = {0};
	const char *name = NULL;
	unsigned i = 0;
	int r;

	while ((name = config_net_key(i)) && strcasecmp(name, key))
		i++;
	if (!name)
		return -ENOENT;
	if (p->section != SECTION_PERSONA)
		return bad(p, "%s does not belong here; move it to [Persona]", name);
	if (!config_net_repeats(name) && (p->net_seen & 1U << i))
		return bad(p, "%s is there twice; remove one", name);
	p->net_seen |= 1U << i;
	r = config_net_set(p->config, name, config_show(value), &error);
	return r ? config_fail(p->errp, p->line, r, "%s", error.message) : 0;
}

static int parse_setting(struct parser *p, char *text)
{
	static const char *const names[] = {"", "[Interface]", "[Peer]", "[Persona]"};
	char *value = text, *key;
	int r;

	if (!strchr(text, '='))
		return bad(p,
			"neither [Section] nor Key = Value; correct it or start the line with #");
	key = config_next_item(&value, "=");
	value = config_next_item(&value, "");
	if (p->section == SECTION_NONE)
		return bad(p, "'%.40s' stands before any section; start the file with [Interface]",
			config_show(key));
	for (unsigned i = 0; i < RULES; i++) {
		if (rules[i].section == p->section && !strcasecmp(rules[i].key, key))
			return apply_rule(p, i, value);
	}
	r = parse_net_setting(p, key, value);
	if (r != -ENOENT)
		return r;
	for (unsigned i = 0; i < RULES; i++) {
		if (!strcasecmp(rules[i].key, key))
			return bad(p, "%s does not belong to %s; move it to %s", rules[i].key,
				names[p->section], names[rules[i].section]);
	}
	return bad(p, "key '%.40s' is not known in %s; correct or remove it", config_show(key),
		names[p->section]);
}

static int parse_line(struct parser *p, char *text)
{
	char *line;

	text[strcspn(text, "#")] = '\0';
	line = config_next_item(&text, "");
	if (!*line)
		return 0;
	return *line == '[' ? start_section(p, line) : parse_setting(p, line);
}

static int apply_links(struct parser *p)
{
	for (size_t i = 0; i < p->nlinks; i++) {
		struct config_peer *peer = config_find_peer(p->config, &p->links[i].peer);

		p->line = p->links[i].line;
		if (!peer)
			return bad(p, "Link names a key that no [Peer] has; add the peer or remove "
				      "the line");
		memcpy(peer->name, p->links[i].name, sizeof(peer->name));
	}
	return 0;
}

static int parse_text(struct parser *p, char *text, size_t len)
{
	char *const end = text + len;
	int r = 0;

	while (!r && text < end) {
		char *newline = memchr(text, '\n', (size_t)(end - text));
		char *stop = newline ? newline : end;

		p->line++;
		if (memchr(text, '\0', (size_t)(stop - text)))
			return bad(p, "holds a zero byte: this is no text file");
		*stop = '\0'; /* there is room for one at `end` */
		r = parse_line(p, text);
		text = stop + 1;
	}
	if (!r)
		r = end_peer(p);
	if (!r)
		r = apply_links(p);
	return r;
}

int config_parse(const char *text, size_t len, struct config **configp, struct config_error *errp)
{
	struct parser p = {.errp = errp};
	char *copy;
	int r;

	if (len > CONFIG_TEXT_MAX)
		return config_fail(errp, 0, -E2BIG,
			"larger than %d bytes: this is no configuration file", CONFIG_TEXT_MAX);
	copy = sodium_malloc(len + 1);
	p.config = config_new();
	if (!copy || !p.config || hosts_new(&p.hosts)) {
		r = no_memory(&p);
	} else {
		memcpy(copy, text, len);
		r = parse_text(&p, copy, len);
	}
	if (!r)
		r = config_check(p.config, errp);
	if (!r)
		*configp = p.config;
	else
		config_free(p.config);
	sodium_free(copy);
	prefix_set_free(p.allowed);
	hosts_free(p.hosts);
	free(p.links);
	return r;
}

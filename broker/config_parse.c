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
#include "config_parse.h"
#include "route.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
static const char space[] = " \t\r\v\f";

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
	struct config_peer *peer;
	struct route *allowed; /* every AllowedIPs so far, to peer index + 1 */
	struct hosts *hosts;   /* every Host so far */
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

/* The next item of *sp, separated by any of `delims` and trimmed; NULL at the end. */
static char *next_item(char **sp, const char *delims)
{
	char *item = strsep(sp, delims);
	size_t len;

	if (!item)
		return NULL;
	item += strspn(item, space);
	len = strlen(item);
	while (len && strchr(space, item[len - 1]))
		item[--len] = '\0';
	return item;
}

/* A foreign text as errors may show it: not when something in it looks like a key in the wrong
 * place. */
static const char *show(const char *text)
{
	for (const char *at = text; *at; at++) {
		const size_t run = strspn(at, base64);

		if (run >= KEY_STRLEN - 5)
			return "(a key?)";
		if (!run)
			continue;
		at += run - 1;
	}
	return text;
}

/* A decimal number of digits only, at most `max`. 0 or -EINVAL. */
static int parse_number(const char *s, unsigned long max, unsigned long *np)
{
	const size_t len = strlen(s);
	unsigned long n;

	if (!len || len > 9 || strspn(s, "0123456789") != len)
		return -EINVAL;
	n = strtoul(s, NULL, 10);
	if (n > max)
		return -EINVAL;
	*np = n;
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

	while ((item = next_item(&value, ","))) {
		struct prefix prefix;
		const char *problem;

		if (prefix_parse(item, &prefix))
			return bad(p,
				"Address '%.60s' is no address; write for example 10.77.0.1/24",
				show(item));
		problem = config_address_problem(&prefix);
		if (problem)
			return bad(p, "Address %.60s %s", show(item), problem);
		for (size_t i = 0; i < config->naddresses; i++) {
			if (addr_equal(&config->addresses[i].addr, &prefix.addr))
				return bad(
					p, "Address %.60s is there twice; remove one", show(item));
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

	if (parse_number(value, CONFIG_MTU_MAX, &mtu) || mtu < CONFIG_MTU_MIN)
		return bad(p, "MTU '%.20s' must be a number from %d to %d", show(value),
			CONFIG_MTU_MIN, CONFIG_MTU_MAX);
	p->config->mtu = (uint16_t)mtu;
	return 0;
}

static int handle_dns(struct parser *p, char *value)
{
	struct config *config = p->config;
	char *item;

	while ((item = next_item(&value, ","))) {
		struct addr addr;

		if (addr_parse(item, &addr) && !hosts_name_valid(item))
			return bad(p, "DNS '%.60s' is neither an address nor a domain", show(item));
		if (config->ndns == CONFIG_DNS_MAX)
			return bad(p, "more than %d DNS entries; remove some", CONFIG_DNS_MAX);
		snprintf(config->dns[config->ndns++], HOSTS_NAME_MAX, "%s", item);
	}
	return warn(p, "DNS is kept but no server is asked: names come from Host lines and links");
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
	/* Values of the route table: peer numbers from 1 as pointers. */
	void *self = (void *)(uintptr_t)p->config->npeers;
	char *item;

	if (!*value)
		return 0;
	while ((item = next_item(&value, ","))) {
		struct prefix prefix;
		int r;

		if (prefix_parse(item, &prefix))
			return bad(p,
				"AllowedIPs '%.60s' is no prefix; write for example 10.77.0.0/24",
				show(item));
		if (route_get(p->allowed, &prefix) == self)
			continue;
		r = route_add(p->allowed, &prefix, self);
		if (r == -EEXIST)
			return bad(p,
				"AllowedIPs %.60s is another [Peer]'s already; a prefix can lead "
				"to "
				"one peer only",
				show(item));
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
		return bad(p, "Endpoint '%.80s' must be HOST:PORT or [IPV6]:PORT", show(value));
	snprintf(p->peer->endpoint, sizeof(p->peer->endpoint), "%s", value);
	return 0;
}

static int handle_keepalive(struct parser *p, char *value)
{
	unsigned long seconds = 0;

	if (strcasecmp(value, "off") && parse_number(value, UINT16_MAX, &seconds))
		return bad(p, "PersistentKeepalive '%.20s' must be seconds from 0 to 65535, or off",
			show(value));
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
			show(value));
	snprintf(p->config->hostname, sizeof(p->config->hostname), "%s", value);
	return 0;
}

static int handle_host(struct parser *p, char *value)
{
	char *item = next_item(&value, space);
	struct addr addr;
	size_t names = 0;

	if (addr_parse(item, &addr))
		return bad(p, "Host '%.60s' is no address; write Host = ADDRESS NAME", show(item));
	while ((item = next_item(&value, space))) {
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
				show(item));
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
	const char *key = next_item(&value, space), *name;
	struct pending_link *links, *link;

	if (value)
		value += strspn(value, space);
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
			show(name));
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

	if (parse_number(value, CONFIG_STREAMS_MAX, &n) || !n)
		return bad(p, "StreamsMax '%.20s' must be a number from 1 to %d", show(value),
			CONFIG_STREAMS_MAX);
	p->config->streams_max = (unsigned)n;
	return 0;
}

static const char no_hooks[] = "is never run: a portspace needs no interface and no firewall rules";

static const struct rule rules[] = {
	{SECTION_INTERFACE, "PrivateKey", handle_private_key, NULL, true},
	{SECTION_INTERFACE, "Address", handle_address, NULL, false},
	{SECTION_INTERFACE, "MTU", handle_mtu, NULL, true},
	{SECTION_INTERFACE, "DNS", handle_dns, NULL, false},
	{SECTION_INTERFACE, "ListenPort", NULL,
		"is ignored: portspaces share the port of persona-broker --listen", false},
	{SECTION_INTERFACE, "FwMark", NULL, "is ignored: there are no packets to mark", false},
	{SECTION_INTERFACE, "Table", NULL, "is ignored: a portspace routes by AllowedIPs alone",
		false},
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
			show(name));
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

static int parse_setting(struct parser *p, char *text)
{
	static const char *const names[] = {"", "[Interface]", "[Peer]", "[Persona]"};
	char *value = text, *key;

	if (!strchr(text, '='))
		return bad(p,
			"neither [Section] nor Key = Value; correct it or start the line with #");
	key = next_item(&value, "=");
	value = next_item(&value, "");
	if (p->section == SECTION_NONE)
		return bad(p, "'%.40s' stands before any section; start the file with [Interface]",
			show(key));
	for (unsigned i = 0; i < RULES; i++) {
		if (rules[i].section == p->section && !strcasecmp(rules[i].key, key))
			return apply_rule(p, i, value);
	}
	for (unsigned i = 0; i < RULES; i++) {
		if (!strcasecmp(rules[i].key, key))
			return bad(p, "%s does not belong to %s; move it to %s", rules[i].key,
				names[p->section], names[rules[i].section]);
	}
	return bad(p, "key '%.40s' is not known in %s; correct or remove it", show(key),
		names[p->section]);
}

static int parse_line(struct parser *p, char *text)
{
	char *line;

	text[strcspn(text, "#")] = '\0';
	line = next_item(&text, "");
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
	if (!copy || !p.config || route_new(&p.allowed) || hosts_new(&p.hosts)) {
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
	route_free(p.allowed);
	hosts_free(p.hosts);
	free(p.links);
	return r;
}

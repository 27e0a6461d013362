/* SPDX-License-Identifier: MIT */
/* See config_net.h. */
#include "config_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_parse.h"

enum { METRIC_MAX = 15, RIP_UPDATE_MAX = 3600, ITEM_MAX = 64 };

/* --- port ranges --- */

static int parse_port(const char *text, size_t len, uint16_t *portp)
{
	unsigned long n;

	if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
		return -EINVAL;
	n = strtoul(text, NULL, 10);
	if (n == 0 || n > UINT16_MAX)
		return -EINVAL;
	*portp = (uint16_t)n;
	return 0;
}

int config_ports_parse(const char *text, struct config_ports *portsp)
{
	struct config_ports ports;
	const char *dash;
	int r;

	if (strncasecmp(text, "tcp/", 4) == 0)
		ports.proto = IPPROTO_TCP;
	else if (strncasecmp(text, "udp/", 4) == 0)
		ports.proto = IPPROTO_UDP;
	else
		return -EINVAL;
	text += 4;
	dash = strchr(text, '-');
	r = parse_port(text, dash ? (size_t)(dash - text) : strlen(text), &ports.first);
	ports.last = ports.first;
	if (r == 0 && dash)
		r = parse_port(dash + 1, strlen(dash + 1), &ports.last);
	if (r < 0 || ports.last < ports.first)
		return -EINVAL;
	*portsp = ports;
	return 0;
}

char *config_ports_format(const struct config_ports *ports, char *buf)
{
	const char *proto = ports->proto == IPPROTO_TCP ? "tcp" : "udp";

	if (ports->first == ports->last)
		snprintf(buf, CONFIG_PORTS_STRLEN, "%s/%u", proto, ports->first);
	else
		snprintf(buf, CONFIG_PORTS_STRLEN, "%s/%u-%u", proto, ports->first, ports->last);
	return buf;
}

bool config_ports_contain(const struct config_port_list *list, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct config_ports *p = &list->ports[i];

		if (p->proto == proto && port >= p->first && port <= p->last)
			return true;
	}
	return false;
}

static int append_ports(struct config_port_list *list, const struct config_ports *ports)
{
	struct config_ports *grown;

	if (list->n >= CONFIG_PORTS_MAX)
		return -ENOSPC;
	grown = reallocarray(list->ports, list->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->ports = grown;
	grown[list->n++] = *ports;
	return 0;
}

int config_ports_add(struct config_port_list *list, const struct config_ports *ports)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct config_ports *p = &list->ports[i];

		if (p->proto == ports->proto && p->first <= ports->first && p->last >= ports->last)
			return 0;
	}
	return append_ports(list, ports);
}

int config_ports_remove(struct config_port_list *list, const struct config_ports *ports)
{
	bool found = false;

	for (size_t i = 0; i < list->n; i++) {
		struct config_ports *p = &list->ports[i];
		struct config_ports above;

		if (p->proto != ports->proto || p->last < ports->first || p->first > ports->last)
			continue;
		found = true;
		above = (struct config_ports){p->proto, (uint16_t)(ports->last + 1), p->last};
		if (p->first >= ports->first && p->last <= ports->last) {
			*p = list->ports[--list->n];
			i--;
		} else if (p->first >= ports->first) {
			p->first = above.first;
		} else {
			const bool cut = p->last > ports->last;

			p->last = (uint16_t)(ports->first - 1);
			if (cut) {
				int r = append_ports(list, &above);

				if (r < 0) {
					p->last = above.last;
					return r;
				}
			}
		}
	}
	return found ? 0 : -ENOENT;
}

/* --- static routes --- */

int config_route_parse(const char *text, struct config_route *routep)
{
	char prefix[ITEM_MAX], how[8], hop[ITEM_MAX], word[8], rest[2];
	struct config_route route = {.metric = 1};
	unsigned metric;
	int n = sscanf(text, "%63s %7s %63s %7s %u %1s", prefix, how, hop, word, &metric, rest);

	if ((n != 3 && n != 5) || prefix_parse(prefix, &route.prefix) < 0)
		return -EINVAL;
	prefix_mask(&route.prefix);
	if (strcasecmp(how, "via") == 0) {
		if (addr_parse(hop, &route.via) < 0 ||
			addr_is_v4(&route.via) != addr_is_v4(&route.prefix.addr))
			return -EINVAL;
	} else if (strcasecmp(how, "dev") == 0 && config_link_name_valid(hop)) {
		snprintf(route.link, sizeof(route.link), "%.*s", LINK_NAME_MAX - 1, hop);
	} else {
		return -EINVAL;
	}
	if (n == 5) {
		if (strcasecmp(word, "metric") != 0 || metric == 0 || metric > METRIC_MAX)
			return -EINVAL;
		route.metric = (uint8_t)metric;
	}
	*routep = route;
	return 0;
}

char *config_route_format(const struct config_route *route, char *buf)
{
	char prefix[PREFIX_STRLEN], via[ADDR_STRLEN], metric[16] = "";

	if (route->metric != 1)
		snprintf(metric, sizeof(metric), " metric %u", route->metric);
	prefix_format(&route->prefix, prefix);
	if (route->link[0])
		snprintf(buf, CONFIG_ROUTE_STRLEN, "%s dev %s%s", prefix, route->link, metric);
	else
		snprintf(buf, CONFIG_ROUTE_STRLEN, "%s via %s%s", prefix,
			addr_format(&route->via, via), metric);
	return buf;
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

static bool same_hop(const struct config_route *a, const struct config_route *b)
{
	return strcmp(a->link, b->link) == 0 && (a->link[0] || addr_equal(&a->via, &b->via));
}

int config_route_add(struct config *config, const struct config_route *route)
{
	struct config_route *grown;

	for (size_t i = 0; i < config->nroutes; i++)
		if (same_prefix(&config->routes[i].prefix, &route->prefix) &&
			same_hop(&config->routes[i], route))
			return -EEXIST;
	if (config->nroutes >= CONFIG_ROUTES_MAX)
		return -ENOSPC;
	grown = reallocarray(config->routes, config->nroutes + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->routes = grown;
	grown[config->nroutes++] = *route;
	return 0;
}

int config_route_remove(struct config *config, const struct config_route *route, bool any_hop)
{
	size_t kept = 0, before = config->nroutes;

	for (size_t i = 0; i < config->nroutes; i++) {
		const struct config_route *have = &config->routes[i];

		if (same_prefix(&have->prefix, &route->prefix) &&
			(any_hop || same_hop(have, route)))
			continue;
		config->routes[kept++] = *have;
	}
	config->nroutes = kept;
	return kept < before ? 0 : -ENOENT;
}

/* --- keys --- */

#define bad(errp, ...) config_fail(errp, 0, -EINVAL, __VA_ARGS__)

static int set_super(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	(void)key;
	if (strcmp(value, "root") == 0) {
		config->super[0] = '\0';
		return 0;
	}
	if (!config_name_valid(value))
		return bad(errp, "Super '%.60s' is no portspace's name", value);
	snprintf(config->super, sizeof(config->super), "%s", value);
	return 0;
}

static int set_inherit(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	(void)key;
	if (strcasecmp(value, "yes") != 0 && strcasecmp(value, "no") != 0)
		return bad(errp, "Inherit '%.20s' must be yes or no", value);
	config->inherit = strcasecmp(value, "yes") == 0;
	return 0;
}

static int set_routing(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	(void)key;
	if (strcasecmp(value, "rip") != 0 && strcasecmp(value, "static") != 0)
		return bad(errp, "Routing '%.20s' must be static or rip", value);
	config->rip = strcasecmp(value, "rip") == 0;
	return 0;
}

static int set_rip_update(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	uint16_t seconds;

	(void)key;
	if (parse_port(value, strlen(value), &seconds) < 0 || seconds > RIP_UPDATE_MAX)
		return bad(errp, "RipUpdate '%.20s' must be seconds from 1 to %d", value,
			RIP_UPDATE_MAX);
	config->rip_update_s = seconds;
	return 0;
}

static int add_ports(
	struct config *config, const char *key, const char *item, struct config_error *errp)
{
	struct config_port_list *list =
		strcasecmp(key, "Hide") == 0 ? &config->hide : &config->proxy;
	struct config_ports ports;
	int r;

	if (config_ports_parse(item, &ports) < 0)
		return bad(errp,
			"%s '%.40s' must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, such as "
			"tcp/22 or udp/5000-5010",
			key, item);
	if (list == &config->proxy && ports.proto != IPPROTO_TCP)
		return bad(errp, "ProxyProtocol '%.40s': only tcp ports can have it", item);
	r = config_ports_add(list, &ports);
	if (r == -ENOSPC)
		return bad(errp, "%s has more than %d ranges", key, CONFIG_PORTS_MAX);
	return r < 0 ? config_fail(errp, 0, r, "out of memory") : 0;
}

static int add_prefix(
	struct config *config, const char *key, const char *item, struct config_error *errp)
{
	struct config_prefix_list *list =
		strcasecmp(key, "Gateway") == 0 ? &config->gateways : &config->networks;
	struct prefix prefix, *grown;

	if (prefix_parse(item, &prefix) < 0)
		return bad(
			errp, "%s '%.60s' is no prefix; write for example 192.0.2.0/24", key, item);
	prefix_mask(&prefix);
	for (size_t i = 0; i < list->n; i++)
		if (same_prefix(&list->prefixes[i], &prefix))
			return 0;
	if (list->n >= CONFIG_PREFIXES_MAX)
		return bad(errp, "%s has more than %d prefixes", key, CONFIG_PREFIXES_MAX);
	grown = reallocarray(list->prefixes, list->n + 1, sizeof(*grown));
	if (!grown)
		return config_fail(errp, 0, -ENOMEM, "out of memory");
	list->prefixes = grown;
	grown[list->n++] = prefix;
	return 0;
}

/* Items with commas between. */
static int add_list(const char *value, struct config *config, const char *key,
	struct config_error *errp,
	int (*add)(struct config *, const char *, const char *, struct config_error *))
{
	int r = 0;

	while (r == 0 && *value) {
		size_t len = strcspn(value, ","), skip = strspn(value, " \t"), end;
		char item[ITEM_MAX];

		end = len;
		while (end > skip && strchr(" \t", value[end - 1]))
			end--;
		if (end <= skip || end - skip >= sizeof(item))
			return bad(
				errp, "%s '%.60s' has an empty or far too long item", key, value);
		memcpy(item, value + skip, end - skip);
		item[end - skip] = '\0';
		r = add(config, key, item, errp);
		value += len;
		value += *value == ',';
	}
	return r;
}

static int set_ports(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	return add_list(value, config, key, errp, add_ports);
}

static int set_prefixes(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	return add_list(value, config, key, errp, add_prefix);
}

static int set_route(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	struct config_route route;
	int r;

	(void)key;
	if (config_route_parse(value, &route) < 0)
		return bad(errp,
			"Route '%.80s' must be PREFIX via ADDRESS or PREFIX dev LINK, "
			"with or without metric 1 to %d",
			value, METRIC_MAX);
	r = config_route_add(config, &route);
	if (r == -EEXIST)
		return bad(errp, "Route '%.80s' is there twice; remove one", value);
	if (r == -ENOSPC)
		return bad(errp, "more than %d Route lines", CONFIG_ROUTES_MAX);
	return r < 0 ? config_fail(errp, 0, r, "out of memory") : 0;
}

struct setting {
	const char *key;
	int (*set)(struct config *config, const char *key, const char *value,
		struct config_error *errp);
	bool repeats;
};

static const struct setting settings[] = {
	{"Super", set_super, false},
	{"Inherit", set_inherit, false},
	{"Hide", set_ports, true},
	{"ProxyProtocol", set_ports, true},
	{"Gateway", set_prefixes, true},
	{"Network", set_prefixes, true},
	{"Routing", set_routing, false},
	{"RipUpdate", set_rip_update, false},
	{"Route", set_route, true},
};

static const struct setting *find(const char *key)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (strcasecmp(settings[i].key, key) == 0)
			return &settings[i];
	return NULL;
}

int config_net_set(
	struct config *config, const char *key, const char *value, struct config_error *errp)
{
	const struct setting *s = find(key);

	if (!s)
		return -ENOENT;
	if (!*value)
		return bad(errp, "%s has no value", s->key);
	return s->set(config, s->key, value, errp);
}

bool config_net_repeats(const char *key)
{
	const struct setting *s = find(key);

	return s && s->repeats;
}

const char *config_net_key(size_t i)
{
	return i < sizeof(settings) / sizeof(*settings) ? settings[i].key : NULL;
}

/* --- the whole --- */

static bool inside(const struct prefix *outer, const struct prefix *inner)
{
	return inner->len >= outer->len && prefix_contains(outer, &inner->addr);
}

bool config_network_contains(const struct config *config, const struct prefix *prefix)
{
	for (size_t i = 0; i < config->networks.n; i++)
		if (inside(&config->networks.prefixes[i], prefix))
			return true;
	for (size_t i = 0; config->networks.n == 0 && i < config->naddresses; i++)
		if (inside(&config->addresses[i], prefix))
			return true;
	return false;
}

static int check_gateways(const struct config *config, struct config_error *errp)
{
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < config->gateways.n; i++) {
		const struct prefix *p = &config->gateways.prefixes[i];

		if (addr_is_loopback(&p->addr) || addr_is_multicast(&p->addr))
			return config_fail(errp, 0, -EINVAL,
				"Gateway %s: loopback and multicast cannot be forwarded",
				prefix_format(p, text));
		for (size_t j = 0; j < config->naddresses; j++)
			if (prefix_contains(p, &config->addresses[j].addr) && p->len != 0 &&
				p->len != 96)
				return config_fail(errp, 0, -EINVAL,
					"Gateway %s contains the portspace's own address",
					prefix_format(p, text));
	}
	return 0;
}

int config_net_check(const struct config *config, struct config_error *errp)
{
	if (config->super[0] && !config_name_valid(config->super))
		return config_fail(
			errp, 0, -EINVAL, "Super '%.60s' is no portspace's name", config->super);
	for (size_t i = 0; i < config->nroutes; i++) {
		char text[CONFIG_ROUTE_STRLEN];

		if (config->routes[i].link[0] && !config_find_link(config, config->routes[i].link))
			return config_fail(errp, 0, -EINVAL,
				"Route '%s': there is no link of this name",
				config_route_format(&config->routes[i], text));
	}
	return check_gateways(config, errp);
}

void config_net_format(const struct config *config,
	void (*put)(const char *key, const char *value, void *arg), void *arg)
{
	char text[CONFIG_ROUTE_STRLEN];

	if (config->super[0])
		put("Super", config->super, arg);
	if (config->inherit)
		put("Inherit", "yes", arg);
	for (size_t i = 0; i < config->hide.n; i++)
		put("Hide", config_ports_format(&config->hide.ports[i], text), arg);
	for (size_t i = 0; i < config->proxy.n; i++)
		put("ProxyProtocol", config_ports_format(&config->proxy.ports[i], text), arg);
	for (size_t i = 0; i < config->gateways.n; i++)
		put("Gateway", prefix_format(&config->gateways.prefixes[i], text), arg);
	for (size_t i = 0; i < config->networks.n; i++)
		put("Network", prefix_format(&config->networks.prefixes[i], text), arg);
	if (config->rip)
		put("Routing", "rip", arg);
	if (config->rip_update_s) {
		snprintf(text, sizeof(text), "%u", config->rip_update_s);
		put("RipUpdate", text, arg);
	}
	for (size_t i = 0; i < config->nroutes; i++)
		put("Route", config_route_format(&config->routes[i], text), arg);
}

void config_net_free(struct config *config)
{
	free(config->hide.ports);
	free(config->proxy.ports);
	free(config->gateways.prefixes);
	free(config->networks.prefixes);
	free(config->routes);
}

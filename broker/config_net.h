/* SPDX-License-Identifier: MIT */
/* Settings of a portspace's network: hierarchy, hidden ports, gateway, routing.
 *
 * Each is a key of the [Persona] section with a value in text; the same texts come from the
 * configuration file and from the control protocol, so there is one reader for both. No I/O; thread
 * safe on distinct configurations. */
#ifndef PERSONA_BROKER_CONFIG_NET_H
#define PERSONA_BROKER_CONFIG_NET_H

#include "config.h"

/* Reads one setting. Lists (Hide, ProxyProtocol: ports; Gateway, Network: prefixes, each with
 * commas between) and Route add to what is there; the others replace it. 0; -ENOENT: no such key;
 * -EINVAL with *errp (may be NULL); -ENOMEM. What was added before an error stays. */
int config_net_set(
	struct config *config, const char *key, const char *value, struct config_error *errp);
/* Does the key add to what is there? */
bool config_net_repeats(const char *key);
/* The keys, until NULL. */
const char *config_net_key(size_t i);

/* "tcp/22" or "udp/5000-5010". 0 or -EINVAL. */
int config_ports_parse(const char *text, struct config_ports *portsp);
enum { CONFIG_PORTS_STRLEN = 20 };
char *config_ports_format(const struct config_ports *ports, char *buf);
bool config_ports_contain(const struct config_port_list *list, uint8_t proto, uint16_t port);
/* Adds a range; one that is covered already is not stored again. 0, -ENOSPC, -ENOMEM. */
int config_ports_add(struct config_port_list *list, const struct config_ports *ports);
/* Takes a range out of the list, cutting others where necessary. 0; -ENOENT when nothing of it was
 * there; -ENOSPC, -ENOMEM. */
int config_ports_remove(struct config_port_list *list, const struct config_ports *ports);

/* "10.9.0.0/16 via 10.77.0.2 metric 2". 0 or -EINVAL. */
int config_route_parse(const char *text, struct config_route *routep);
enum { CONFIG_ROUTE_STRLEN = 128 };
char *config_route_format(const struct config_route *route, char *buf);
/* 0; -EEXIST: the prefix has a route by this next hop; -ENOSPC; -ENOMEM. */
int config_route_add(struct config *config, const struct config_route *route);
/* Removes those to the prefix, by this next hop when `route` has one (via or link). 0, -ENOENT. */
int config_route_remove(struct config *config, const struct config_route *route, bool any_hop);

/* Is the address inside the portspace's networks (Network, else those of Address)? */
bool config_network_contains(const struct config *config, const struct prefix *prefix);

/* For config.c and config_parse.c. */
int config_net_check(const struct config *config, struct config_error *errp);
/* Calls put(key, value, arg) for each line to be written. */
void config_net_format(const struct config *config,
	void (*put)(const char *key, const char *value, void *arg), void *arg);
void config_net_free(struct config *config);

#endif

/* SPDX-License-Identifier: MIT */
/* Between config.c and config_parse.c, for no one else. */
#ifndef PERSONA_BROKER_CONFIG_PARSE_H
#define PERSONA_BROKER_CONFIG_PARSE_H

#include "config.h"

/* config_add_allowed() and config_add_host() without the search for what is there already: the
 * parser has faster ways, and a file may hold very many. 0, -ENOMEM or -ENOSPC. */
int config_append_allowed(struct config_peer *peer, const struct prefix *prefix);
int config_append_host(struct config *config, const struct addr *addr, const char *name);

/* Why this cannot be an address of a portspace ("is ..."); NULL when it can. */
const char *config_address_problem(const struct prefix *prefix);
bool config_hostname_valid(const char *name);

/* Fills *errp (NULL allowed), with '?' for what is not printable ASCII. Returns err. */
int config_fail(struct config_error *errp, unsigned line, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif

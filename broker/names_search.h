/* SPDX-License-Identifier: MIT */
/* Which names to ask for when a program asks for one, and what to say when none is found
 * (resolv.conf(5): search, ndots 1).
 *
 * Model: candidates come one after the other. A failure that says something of one name only (no
 * such name, no data, a server that failed) goes on with the next; anything else ends the search.
 * The verdict is the first of: what the name as it is gave, when that was tried first; no data;
 * failed; no such name. Pure; domains are those entries of DNS = that are no addresses. */
#ifndef PERSONA_BROKER_NAMES_SEARCH_H
#define PERSONA_BROKER_NAMES_SEARCH_H

#include <stdbool.h>

#include "config.h"

struct names_search {
	char name[ASK_NAME_MAX]; /* without a final dot */
	bool absolute;		 /* it had one */
	bool dotted;		 /* it has another */
	bool as_is;		 /* was tried */
	size_t next;		 /* entry of config->dns */
	int first_err;		 /* of the name as it is, tried first; 0 none */
	bool nodata, again;
};

void names_search_init(struct names_search *s, const char *name);
/* The next name to ask for; false: there is none left. */
bool names_search_next(
	struct names_search *s, const struct config *config, char name[ASK_NAME_MAX]);
/* The name that was asked for last failed. Shall the search go on? */
bool names_search_failed(struct names_search *s, int err);
/* What to say in the end: `err` is that of the last name. */
int names_search_verdict(const struct names_search *s, int err);

/* Is this entry of DNS = a search domain? */
bool names_search_is_domain(const char *entry);

#endif

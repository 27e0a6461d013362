/* SPDX-License-Identifier: MIT */
/* Prefixes, and to whom each belongs: finds what a configuration gives twice. Not thread safe. */
#ifndef PERSONA_BROKER_PREFIX_SET_H
#define PERSONA_BROKER_PREFIX_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

struct prefix_set; /* an empty one is NULL */

/* Adds a prefix (host bits are ignored) for `owner`, a number that the caller chose. 0, also when
 * the owner has it already; -EEXIST when another one has it; -EINVAL (length over 128); -ENOMEM. */
int prefix_set_add(struct prefix_set **setp, const struct prefix *prefix, size_t owner);
/* Does this owner have exactly this prefix? */
bool prefix_set_has(const struct prefix_set *set, const struct prefix *prefix, size_t owner);
void prefix_set_free(struct prefix_set *set); /* NULL is allowed */

#endif

/* SPDX-License-Identifier: MIT */
/* The host's own addresses. Any thread. */
#ifndef PERSONA_BROKER_HOSTADDR_H
#define PERSONA_BROKER_HOSTADDR_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

enum { HOSTADDR_MAX = 32, HOSTADDR_AGE_MS = 1000 };

/* Where services of the root are reached (inherit.h): addresses of interfaces that are up, without
 * loopback and link-local ones. Up to HOSTADDR_MAX addresses, those of the family of `like` first;
 * the list may be HOSTADDR_AGE_MS old. Returns their number, 0 also when the kernel does not tell.
 */
size_t hostaddr_list(const struct addr *like, struct addr list[HOSTADDR_MAX]);

/* The address that the kernel would send from to there, by its routes. 0 or negative errno
 * (-ENETUNREACH, ...). */
int hostaddr_source(const struct endpoint *to, struct addr *srcp);
/* Is `b` in a network of the interface that has the address `a`? False when none has it. */
bool hostaddr_is_beside(const struct addr *a, const struct addr *b);

#endif

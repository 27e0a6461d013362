/* SPDX-License-Identifier: MIT */
/* The host's own addresses, where services of the root are reached (inherit.h): those of interfaces
 * that are up, without loopback and link-local ones. Any thread. */
#ifndef PERSONA_BROKER_HOSTADDR_H
#define PERSONA_BROKER_HOSTADDR_H

#include <stddef.h>

#include "addr.h"

enum { HOSTADDR_MAX = 32, HOSTADDR_AGE_MS = 1000 };

/* Up to HOSTADDR_MAX addresses, those of the family of `like` first; the list may be
 * HOSTADDR_AGE_MS old. Returns their number, 0 also when the kernel does not tell. */
size_t hostaddr_list(const struct addr *like, struct addr list[HOSTADDR_MAX]);

#endif

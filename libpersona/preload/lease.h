/* SPDX-License-Identifier: MIT */
/* Ephemeral source ports for connects, leased from the broker in blocks.
 *
 * Model: one page with the blocks this process holds and a cursor that walks over them; a port may
 * be used for many destinations at once, because the kernel refuses a second socket with the same
 * name (sockname.h). When the ports ahead of the cursor are in use for a destination, another block
 * is leased. The page is wiped in a forked child (MADV_WIPEONFORK), which so takes its own lease.
 */
#ifndef PERSONA_PRELOAD_LEASE_H
#define PERSONA_PRELOAD_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* The next port, or a negative errno: -ENETUNREACH without a broker, or what it said. `more` asks
 * for a new block, because the last ports were all in use; when there is none to be had, the walk
 * goes on over the old ones. */
int lease_next(bool more);

#endif

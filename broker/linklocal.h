/* SPDX-License-Identifier: MIT */
/* The link-local IPv6 address of a portspace, from its public key.
 *
 * RIPng speaks from link-local addresses (RFC 2080, section 2.1), and a link has no way to agree on
 * them. So both ends derive them: fe80::/64 and 64 bits of a BLAKE2s hash of the key, with the
 * "universal" and "group" bits clear, which also keeps clear of the reserved identifiers of RFC
 * 5453. A portspace has the same address on each of its links. */
#ifndef PERSONA_BROKER_LINKLOCAL_H
#define PERSONA_BROKER_LINKLOCAL_H

#include "addr.h"
#include "key.h"

void addr_link_local(const struct key *public_key, struct addr *ap);
bool addr_is_link_local(const struct addr *a); /* fe80::/10 or 169.254.0.0/16 */

#endif

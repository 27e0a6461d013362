/* SPDX-License-Identifier: MIT */
/* Link-local addresses. See linklocal.h. */
#include "linklocal.h"

#include <blake2.h>
#include <string.h>

enum { GROUP_AND_UNIVERSAL = 0x03 };

void addr_link_local(const struct key *public_key, struct addr *ap)
{
	static const uint8_t label[] = "persona link-local address";
	uint8_t hash[8];
	blake2s_state st;

	blake2s_init(&st, sizeof(hash));
	blake2s_update(&st, label, sizeof(label) - 1);
	blake2s_update(&st, public_key->b, sizeof(public_key->b));
	blake2s_final(&st, hash, sizeof(hash));
	hash[0] &= (uint8_t)~GROUP_AND_UNIVERSAL;
	*ap = (struct addr){.b = {0xfe, 0x80}};
	memcpy(ap->b + 8, hash, sizeof(hash));
}

bool addr_is_link_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

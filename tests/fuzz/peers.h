/* SPDX-License-Identifier: MIT */
/* Two peers with fixed keys, for the targets of the handshake. */
#ifndef PERSONA_FUZZ_PEERS_H
#define PERSONA_FUZZ_PEERS_H

#include <sodium.h>

#include "fuzz.h"
#include "handshake.h"

struct peer {
	struct key s, pub;
};

static struct peer initiator = {.s = {{0x40, 1}}}, responder = {.s = {{0x40, 2}}};
static const struct key psk = {{3}};
static uint8_t mac1_key[32];

static inline void peers_init(void)
{
	if (!key_is_zero(&initiator.pub))
		return;
	FUZZ_CHECK(sodium_init() >= 0);
	FUZZ_CHECK(key_public(&initiator.s, &initiator.pub) == 0);
	FUZZ_CHECK(key_public(&responder.s, &responder.pub) == 0);
	handshake_mac1_key(&responder.pub, mac1_key);
}

#endif

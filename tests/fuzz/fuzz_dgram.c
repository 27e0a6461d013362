/* SPDX-License-Identifier: MIT */
/* Messages of datagram sockets, as the broker and the shim decode them. */
#include "fuzz.h"

#include "dgram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dgram_head head;
	uint8_t again[DGRAM_HEAD];

	if (dgram_head_decode(data, size, &head) < 0)
		return 0;
	FUZZ_CHECK(size >= DGRAM_HEAD);
	dgram_head_encode(&head, again);
	FUZZ_CHECK(memcmp(again, data, sizeof(again)) == 0);
	return 0;
}

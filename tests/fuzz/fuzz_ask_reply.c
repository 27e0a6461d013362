/* SPDX-License-Identifier: MIT */
/* Replies of the local protocol, as the shim decodes them. */
#include "fuzz.h"

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ask_reply none;
	static struct ask_reply rep;
	static uint8_t again[ASK_DNS_HEAD + ASK_DNS_MAX];

	if (ask_decode_reply(data, size, &rep) < 0) {
		FUZZ_CHECK(memcmp(&rep, &none, sizeof(rep)) == 0);
		return 0;
	}
	FUZZ_CHECK(ask_encode_reply(&rep, again, sizeof(again)) == (int)size);
	FUZZ_CHECK(memcmp(again, data, size) == 0);
	return 0;
}

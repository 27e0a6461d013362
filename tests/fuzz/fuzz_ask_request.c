/* SPDX-License-Identifier: MIT */
/* Requests of the local protocol, as the broker decodes them. */
#include "fuzz.h"

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ask_request req;
	uint8_t again[ASK_MAX];

	if (ask_decode_request(data, size, &req) < 0)
		return 0;
	FUZZ_CHECK(ask_encode_request(&req, again, sizeof(again)) == (int)size);
	FUZZ_CHECK(memcmp(again, data, size) == 0);
	return 0;
}

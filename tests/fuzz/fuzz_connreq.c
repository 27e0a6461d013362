/* SPDX-License-Identifier: MIT */
/* The connect request at the head of an application's stream. */
#include "fuzz.h"

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t head[CONNREQ_LEN] = {0}, again[CONNREQ_LEN + CONNREQ_PAD];
	struct connreq req;

	/* The decoder always gets a whole head; shorter inputs are filled up. */
	if (size)
		memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
	if (connreq_decode(head, &req) < 0)
		return 0;
	connreq_encode(&req, again);
	FUZZ_CHECK(memcmp(again, head, sizeof(head)) == 0);
	return 0;
}

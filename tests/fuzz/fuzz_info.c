/* SPDX-License-Identifier: MIT */
/* The info file, as the shim reads it at start. */
#include "fuzz.h"

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[INFO_MAX];
	struct info info;

	if (info_decode(data, size, &info) < 0)
		return 0;
	FUZZ_CHECK(info_encode(&info, again, sizeof(again)) == (int)size);
	FUZZ_CHECK(memcmp(again, data, size) == 0);
	return 0;
}

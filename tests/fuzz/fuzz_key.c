/* SPDX-License-Identifier: MIT */
/* Keys as text. */
#include "fuzz.h"

#include <sodium.h>

#include "key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), again[KEY_STRLEN];
	struct key key;

	FUZZ_CHECK(sodium_init() >= 0);
	if (key_parse(text, &key) == 0)
		FUZZ_CHECK(strcmp(key_format(&key, again), text) == 0);
	free(text);
	return 0;
}
